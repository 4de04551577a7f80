"""Which files hold posts, and in what format."""

import re
from pathlib import Path
from typing import Literal

from flair_espvr.data.bio import is_tag
from flair_espvr.data.formats.contexts import CONTEXT_FILES
from flair_espvr.errors import ConfigurationError
from flair_espvr.io.lines import read_lines

Format = Literal["jsonl", "imgid", "conll", "conll2003"]
"""What a first line can tell; `"conll"` are two columns, `"conll2003"` more."""

TargetFormat = Literal["jsonl", "imgid", "conll", "csv", "docbin", "label-studio"]
"""What posts can be written as."""

IMAGE_ID_PREFIX = "IMGID:"

DOCUMENT_START = "-DOCSTART-"
"""What opens a document in CoNLL-2003."""

_OBJECT = re.compile(r"(\[\s*)?\{")

_SUFFIXES = {".jsonl", ".txt", ".conll", ".parquet"}

_STEMS = {"train": ("train",), "dev": ("valid", "dev"), "test": ("test",)}
"""What the files of a split are called, before their suffix."""


def _split_names(*suffixes: str) -> dict[str, tuple[str, ...]]:
    return {split: tuple(f"{stem}{suffix}" for suffix in suffixes for stem in stems) for split, stems in _STEMS.items()}


CORPUS_FILES = _split_names(".txt", ".jsonl")
"""The names that the file of `"train"`, `"dev"` or `"test"` may have in a corpus, in order of preference."""

JSONL_FILES = _split_names(".jsonl")
"""The same where all are JSONL."""


def format_of_line(first: str) -> Format:
    """Return the format of posts of which this is the first line that is not empty: JSONL, columns or CoNLL.

    A line of three words or more, the last a tag, can only be of CoNLL-2003, as can `-DOCSTART-`. An array of objects
    is taken for JSONL too, whose reader says how to mend it.

    >>> format_of_line('{"text": "Paris is cold"}'), format_of_line("IMGID:7"), format_of_line("Paris B-LOC")
    ('jsonl', 'imgid', 'conll')
    """
    if _OBJECT.match(first):
        return "jsonl"
    if first.startswith(IMAGE_ID_PREFIX):
        return "imgid"
    columns = first.strip(" ").split(" ")
    return "conll2003" if columns[0] == DOCUMENT_START or (len(columns) > 2 and is_tag(columns[-1])) else "conll"


def format_of(path: str | Path) -> Format:
    """Return the format of a file, told by its first line with anything in it."""
    return format_of_line(next((line for _, line in read_lines(path) if line.strip(" \t")), ""))


def format_by_suffix(path: str | Path) -> TargetFormat:
    """Return the format of a file to be written: `.jsonl`, `.conll`, `.csv`, `.spacy`, or `.txt` for IMGID columns.

    Raises:
        ConfigurationError: the suffix is another one.
    """
    suffixes: dict[str, TargetFormat] = {
        ".jsonl": "jsonl",
        ".conll": "conll",
        ".txt": "imgid",
        ".csv": "csv",
        ".spacy": "docbin",
    }
    suffix = Path(path).suffix
    if suffix not in suffixes:
        raise ConfigurationError(
            f"{path}: the suffix {suffix!r} tells no format to write; take one of {', '.join(suffixes)}, or name the "
            "format (--to)"
        )
    return suffixes[suffix]


def is_saved_dataset(path: str | Path) -> bool:
    """Whether a folder is what `save_to_disk` of Hugging Face's `datasets` writes."""
    return any((Path(path) / name).is_file() for name in ("dataset_dict.json", "dataset_info.json"))


def corpus_files(folder: Path) -> dict[str, str | None]:
    """Return the names of the files that a corpus takes for `"train"`, `"dev"` and `"test"`, None of one without."""
    return {
        split: next((name for name in names if (folder / name).is_file()), None)
        for split, names in CORPUS_FILES.items()
    }


def split_files(folder: Path) -> list[Path]:
    """Return the files of posts in a folder, in the order train, development, test.

    Raises:
        ConfigurationError: there are none.
    """
    names = [name for names in _split_names(".txt", ".conll", ".jsonl").values() for name in names]
    files = [folder / name for name in names if (folder / name).is_file()]
    if not files:
        raise ConfigurationError(f"{folder}: expected files of posts named {', '.join(names)}, found none")
    return files


def post_files(folder: Path) -> list[Path]:
    """Return the files of posts in a folder, by name: `.jsonl`, `.txt`, `.conll`, `.parquet`; none of contexts.

    Raises:
        ConfigurationError: there are none.
    """
    contexts = {Path(name).stem for name in CONTEXT_FILES.values()}
    files = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES and path.stem not in contexts)
    if not files:
        raise ConfigurationError(f"{folder}: expected files of posts (.jsonl, .txt, .conll or .parquet), found none")
    return files

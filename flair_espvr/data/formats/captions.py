"""Captions and other contexts in a file: a text about each picture, by the picture's id."""

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

from flair_espvr.data.metadata import CAPTION, KNOWLEDGE, OCR, TAGS
from flair_espvr.errors import ConfigurationError
from flair_espvr.io.lines import format_error, read_lines

log = logging.getLogger("flair.espvr.data")

CONTEXT_FILES: Mapping[str, str] = {
    CAPTION: "captions.tsv",
    TAGS: "tags.tsv",
    OCR: "ocr.tsv",
    KNOWLEDGE: "knowledge.tsv",
}
"""What the files of contexts are called in a folder of posts, by metadata key."""

COLUMN_NAMES = f"image_id\t{CAPTION}"


def read_contexts(files: Mapping[str, Path]) -> dict[str, dict[str, str]]:
    """Texts by image id from files of `read_captions`, each under the metadata key of its file.

    Raises:
        ConfigurationError: a file is not there.
        PostFormatError: a line is not what it should be.
    """
    for key, path in files.items():
        if not path.is_file():
            kind = "captions" if key == CAPTION else key
            raise ConfigurationError(f"{path}: expected a file of {kind}, 'image_id<TAB>{key}' or JSONL")
    return {key: read_captions(path, key=key) for key, path in files.items()}


def read_captions(path: str | Path, *, key: str = CAPTION) -> dict[str, str]:
    """Captions by image id, from TSV or, where the name ends in `.jsonl`, from JSONL; or texts of another kind.

    TSV: `image_id<TAB>caption`; lines that begin with `#` and a first line of column names are skipped. JSONL:
    `{"image_id": ..., "caption": ...}`; an object with the key `header` is skipped. An empty caption is no caption. Of
    two captions for one id the later counts, and a warning says how many such there were.

    Args:
        path: the file.
        key: what the texts are called in place of "caption", in the column names and in JSON.

    Raises:
        OSError: the file cannot be opened.
        PostFormatError: a line is neither; the message names file and line.
    """
    lines = _jsonl(path, key) if Path(path).suffix == ".jsonl" else _tsv(path, key)
    captions: dict[str, str] = {}
    replaced = 0
    for image_id, caption in lines:
        replaced += captions.get(image_id, caption) != caption
        captions[image_id] = caption
    if replaced:
        log.warning("%s: %d captions replace an earlier, different one of the same image id", path, replaced)
    return {image_id: caption for image_id, caption in captions.items() if caption}


def _tsv(path: str | Path, key: str) -> Iterator[tuple[str, str]]:
    names_allowed = True
    for number, line in read_lines(path):
        if line.startswith("#") or not line:
            continue
        if not (names_allowed and line == f"image_id\t{key}"):
            image_id, tab, caption = line.partition("\t")
            if not tab or not image_id:
                raise format_error(path, number, line, f"'image_id<TAB>{key}'")
            yield image_id, caption.strip()
        names_allowed = False


def _jsonl(path: str | Path, key: str) -> Iterator[tuple[str, str]]:
    for number, line in read_lines(path):
        if not line:
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if isinstance(record, dict) and "header" in record:
            continue
        match record:
            case {"image_id": str(image_id)} if image_id and isinstance(record.get(key), str):
                yield image_id, record[key].strip()
            case _:
                raise format_error(path, number, line, f'\'{{"image_id": "...", "{key}": "..."}}\'')

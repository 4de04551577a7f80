"""Captions and other texts in a file: a text about each picture, by the picture's id."""

import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from flair_espvr.data.metadata import CAPTION
from flair_espvr.io.lines import format_error, read_lines

log = logging.getLogger("flair.espvr.data")

COLUMN_NAMES = f"image_id\t{CAPTION}"

Value = TypeVar("Value")


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
    captions = latest_by_image_id(text_lines(path, key), path, "captions")
    return {image_id: caption for image_id, caption in captions.items() if caption}


def text_lines(path: str | Path, key: str) -> Iterator[tuple[str, str]]:
    """Return the image id and the text, possibly empty, of each line of a file as `read_captions` reads it.

    Raises:
        OSError: the file cannot be opened.
        PostFormatError: a line is neither; the message names file and line.
    """
    return _jsonl(path, key) if Path(path).suffix == ".jsonl" else _tsv(path, key)


def latest_by_image_id(lines: Iterable[tuple[str, Value]], path: str | Path, kind: str) -> dict[str, Value]:
    """Return the last value of each image id; a warning counts those that replace a different one.

    Args:
        lines: image ids and their values, as the file has them.
        path: the file, for the warning.
        kind: what the values are, in the plural.
    """
    latest: dict[str, Value] = {}
    replaced = 0
    for image_id, value in lines:
        replaced += latest.get(image_id, value) != value
        latest[image_id] = value
    if replaced:
        log.warning("%s: %d %s replace an earlier, different one of the same image id", path, replaced, kind)
    return latest


def json_records(path: str | Path) -> Iterator[tuple[int, str, Any]]:
    """Yield the lines of a JSONL file that are not empty and no header, as `(number, line, value)`.

    The value is None for what is no JSON.

    Raises:
        OSError: the file cannot be opened.
        PostFormatError: a line is not UTF-8.
    """
    for number, line in read_lines(path):
        if not line:
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not (isinstance(record, dict) and "header" in record):
            yield number, line, record


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
    for number, line, record in json_records(path):
        match record:
            case {"image_id": str(image_id)} if image_id and isinstance(record.get(key), str):
                yield image_id, record[key].strip()
            case _:
                raise format_error(path, number, line, f'\'{{"image_id": "...", "{key}": "..."}}\'')

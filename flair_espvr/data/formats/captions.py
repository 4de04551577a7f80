"""Captions in a file: what describes each picture, by the picture's id."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

from flair_espvr.io.lines import format_error, read_lines

log = logging.getLogger("flair.espvr.data")

COLUMN_NAMES = "image_id\tcaption"


def read_captions(path: str | Path) -> dict[str, str]:
    """Captions by image id, from TSV or, where the name ends in `.jsonl`, from JSONL.

    TSV: `image_id<TAB>caption`; lines that begin with `#` and a first line of column names are skipped. JSONL:
    `{"image_id": ..., "caption": ...}`; an object with the key `header` is skipped. An empty caption is no caption. Of
    two captions for one id the later counts, and a warning says how many such there were.

    Raises:
        OSError: the file cannot be opened.
        PostFormatError: a line is neither; the message names file and line.
    """
    lines = _jsonl(path) if Path(path).suffix == ".jsonl" else _tsv(path)
    captions: dict[str, str] = {}
    replaced = 0
    for image_id, caption in lines:
        replaced += captions.get(image_id, caption) != caption
        captions[image_id] = caption
    if replaced:
        log.warning("%s: %d captions replace an earlier, different one of the same image id", path, replaced)
    return {image_id: caption for image_id, caption in captions.items() if caption}


def _tsv(path: str | Path) -> Iterator[tuple[str, str]]:
    names_allowed = True
    for number, line in read_lines(path):
        if line.startswith("#") or not line:
            continue
        if not (names_allowed and line == COLUMN_NAMES):
            image_id, tab, caption = line.partition("\t")
            if not tab or not image_id:
                raise format_error(path, number, line, "'image_id<TAB>caption'")
            yield image_id, caption.strip()
        names_allowed = False


def _jsonl(path: str | Path) -> Iterator[tuple[str, str]]:
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
            case {"image_id": str(image_id), "caption": str(caption)} if image_id:
                yield image_id, caption.strip()
            case _:
                raise format_error(path, number, line, '\'{"image_id": "...", "caption": "..."}\'')

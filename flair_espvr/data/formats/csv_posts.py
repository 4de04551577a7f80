"""Posts as CSV, one a row, with a header that names the columns: what JSONL says, in cells.

    id,text,image,caption,entities
    7,Kevin Durant enters Oracle Arena,pictures/7.jpg,a man in a suit,"[{""start"": 0, ""end"": 12, ""type"": ""PER""}]"

Columns have the names of JSONL's fields, or others that are said when the file is read; further ones are kept. An empty
cell is a field that is missing. Words, entities and objects are JSON, and so are several pictures or captions.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from flair_espvr.data.formats.records import record_images
from flair_espvr.data.metadata import CAPTION, CONTEXTS, OBJECTS
from flair_espvr.errors import ConfigurationError, PostFormatError
from flair_espvr.io.lines import format_error

_IN_JSON = ("tokens", OBJECTS, "entities")

_MAYBE_LISTS = ("image", "images", CAPTION)
"""Fields that are JSON where the cell begins as a list of strings does."""

_FIELDS = ("id", "text", "image", *(key for key in CONTEXTS if key != OBJECTS), *_IN_JSON)


def csv_as_json_lines(path: str | Path, columns: Mapping[str, str] | None = None) -> Iterator[tuple[int, str]]:
    """Yield the rows of a file as numbered lines of JSONL, for `flair_espvr.data.formats.jsonl.parse_jsonl`.

    Args:
        path: UTF-8, with or without a byte order mark, separated by commas; cells in quotes may have line ends.
        columns: by field of JSONL, the column it is in, where that has another name.

    Raises:
        OSError: the file cannot be opened.
        ConfigurationError: a column of `columns` is not in the header.
        PostFormatError: a row is not what it should be; the message names file and line.
    """
    rows = _rows(path)
    _, header = next(rows, (1, []))
    given = dict(columns or {})
    if absent := sorted(set(given.values()) - set(header)):
        raise ConfigurationError(f"{path}: has no column {', '.join(absent)}; it has {', '.join(header) or 'none'}")
    fields = [name for name in header if name not in given.values()]
    place = {**{name: header.index(name) for name in fields}, **{field: header.index(given[field]) for field in given}}
    if not {"text", "tokens"} & place.keys():
        raise format_error(path, 1, ",".join(header), "a header with a column text, or --column text=NAME")
    for number, row in rows:
        if len(row) != len(header):
            raise format_error(path, number, ",".join(row), f"{len(header)} cells, as the header has")
        has_tokens = "tokens" in place and row[place["tokens"]]
        missing = {field for field, index in place.items() if not row[index] and (field != "text" or has_tokens)}
        cells = {field: row[index] for field, index in place.items() if field not in missing}
        try:
            record = {field: json.loads(cell) if _is_json(field, cell) else cell for field, cell in cells.items()}
        except ValueError as error:
            expected = f"JSON in the cells {', '.join(_IN_JSON)}, or of a list ({error})"
            raise format_error(path, number, ",".join(row), expected) from None
        yield number, json.dumps(record)


def write_csv_posts(records: Iterable[Mapping[str, Any]], file: BinaryIO) -> int:
    """Write posts as CSV that `csv_as_json_lines` reads, without fields of one's own; returns how many."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    rows = csv.DictWriter(text, _FIELDS, extrasaction="ignore")
    rows.writeheader()
    count = 0
    for record in records:
        images = record_images(record)
        cells = {**record, "image": list(images) if len(images) > 1 else next(iter(images), None)}
        named = {field: cells[field] for field in (*_IN_JSON, *_MAYBE_LISTS) if cells.get(field)}
        in_json = {
            field: json.dumps(value, ensure_ascii=False) for field, value in named.items() if not isinstance(value, str)
        }
        rows.writerow({**cells, **in_json})
        count += 1
    text.detach()
    return count


def _is_json(field: str, cell: str) -> bool:
    return field in _IN_JSON or (field in _MAYBE_LISTS and cell.startswith('["'))


def _rows(path: str | Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not blank, each with the number of its first line."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        while True:
            number = reader.line_num + 1
            try:
                row = next(reader, None)
            except (csv.Error, UnicodeDecodeError) as error:
                raise PostFormatError(f"{path}, line {number}: expected CSV in UTF-8 ({error})") from None
            if row is None:
                return
            if row:
                yield number, row

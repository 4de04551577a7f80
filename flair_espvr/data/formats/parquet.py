"""Posts as Parquet: a row each, whose columns are the fields of JSONL (`flair_espvr.data.formats.jsonl`).

`image` is a path, relative to the file's folder, or the bytes of a picture file, or a struct of both, as Hugging Face's
`datasets` writes it; `images` is a list of such. Columns that are null in a row are fields that the post does not have.
"""

import io
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flair_espvr.data.formats.jsonl import parse_jsonl
from flair_espvr.data.formats.records import image_id_of
from flair_espvr.data.post import Picture, Post, one_or_several
from flair_espvr.errors import ConfigurationError, PostFormatError

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

SUFFIX = ".parquet"

_ROWS = 256
"""Rows in memory at once; each may hold the bytes of a picture."""


def row_count(path: str | Path) -> int:
    """Return the number of rows, from the file's end alone; raise what `read_rows` raises."""
    with _opened(path) as file:
        return int(file.metadata.num_rows)


def read_rows(path: str | Path, *, start: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of a file and their numbers, from 1, a few at a time.

    Args:
        path: The file.
        start: Rows to leave out at the beginning; of their row groups only the last is read.

    Raises:
        ConfigurationError: pyarrow is not installed.
        OSError: The file cannot be opened.
        PostFormatError: It is no Parquet, or damaged.
    """
    with _opened(path) as file, _damage_explained(path):
        group, before = 0, 0
        while group < file.num_row_groups and before + file.metadata.row_group(group).num_rows <= start:
            before += file.metadata.row_group(group).num_rows
            group += 1
        number = before
        for batch in file.iter_batches(_ROWS, row_groups=range(group, file.num_row_groups)):
            first = max(0, start - number)
            yield from enumerate(batch.slice(first).to_pylist(), start=number + first + 1)
            number += batch.num_rows


def parsed_row(number: int, row: Mapping[str, Any], *, source: str | Path, folder: Path) -> Post:
    """Return the post in a row, with its JSON object; a picture's bytes are no part of that.

    Args:
        number: The row's, from 1.
        row: Its values by column.
        source: What messages call the place it is from.
        folder: What a picture that it names is relative to.

    Raises:
        PostFormatError: It is no post.
    """
    record = {name: value for name, value in row.items() if value is not None and name != "entities"}
    field = "image" if "image" in record else "images"
    contents: dict[int, bytes] = {}
    if field in record:
        given = record[field]
        pictures = list(map(_picture, given if isinstance(given, list) else [given]))
        contents = {place: picture for place, picture in enumerate(pictures) if isinstance(picture, bytes)}
        names = [str(place) if place in contents else picture for place, picture in enumerate(pictures)]
        record[field] = names if isinstance(given, list) else names[0]
    try:
        line = json.dumps(record)
    except (TypeError, ValueError) as error:
        raise PostFormatError(
            f"{source}, row {number}: expected columns that JSON can represent ({error})",
            line=number,
            expected=f"columns that JSON can represent ({error})",
        ) from None
    (post,) = parse_jsonl([(number, line)], source=source, folder=folder)
    if not contents:
        return post
    images: list[Picture] = [contents.get(place, picture) for place, picture in enumerate(post.images)]
    unnamed = {name: value for name, value in (post.record or {}).items() if name != field}
    return replace(post, image=one_or_several(images), image_id=image_id_of(unnamed, number), record=unnamed)


def tagged_as_parquet(lines: bytes) -> bytes:
    """Tagged posts as a Parquet file whose columns are the same, whatever fields the posts have.

    `id`, `text`, `tokens` and `image` are those of the post, null where it has none, the id as text; `images` are its
    pictures where they are a list; `entities` is what was found, as in JSONL; `other` is a JSON object of all other
    fields.

    Args:
        lines: The posts as JSONL.

    Raises:
        ConfigurationError: pyarrow is not installed.
    """
    arrow, parquet = _pyarrow("writing Parquet")
    number, whole, text = arrow.float64(), arrow.int64(), arrow.string()
    edges = [(name, number) for name in ("left", "top", "right", "bottom", "score", "times_even")]
    region = arrow.struct([*edges, ("image", whole)])
    entity = arrow.struct(
        [
            *(("text", text), ("type", text), ("score", number), ("start", whole), ("end", whole)),
            *(("words", arrow.list_(whole)), ("region", region), ("grounded", number)),
        ]
    )
    columns = {
        "id": text,
        "text": text,
        "tokens": arrow.list_(text),
        "image": text,
        "images": arrow.list_(text),
        "entities": arrow.list_(entity),
        "other": text,
    }
    table = arrow.Table.from_pylist([_row(line, columns) for line in lines.splitlines()], arrow.schema(columns))
    file = io.BytesIO()
    parquet.write_table(table, file)
    return file.getvalue()


def _picture(value: Any) -> Any:
    """Return a picture's bytes, or its path; anything else as it is."""
    match value:
        case {"bytes": bytes(content)}:
            return content
        case {"path": str(path)}:
            return path
        case _:
            return value


def _row(line: bytes, columns: Collection[str]) -> dict[str, Any]:
    record = json.loads(line)
    if isinstance(record.get("image"), list):
        record["images"] = record.pop("image")
    elif isinstance(record.get("images"), str):
        record["image"] = record.pop("images")
    row = {name: record.pop(name, None) for name in columns if name != "other"}
    return {**row, "id": None if row["id"] is None else str(row["id"]), "other": json.dumps(record) if record else None}


def _opened(path: str | Path) -> "ParquetFile":
    _, parquet = _pyarrow(f"{path}: reading Parquet")
    with _damage_explained(path):
        return parquet.ParquetFile(path)


def _pyarrow(purpose: str) -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise ConfigurationError(f"{purpose} needs pyarrow: pip install 'flair-espvr[ray]'") from None
    return pyarrow, parquet


@contextmanager
def _damage_explained(path: str | Path) -> Iterator[None]:
    """Turn what pyarrow says of damaged bytes, in as many kinds of error as it has layers, into one."""
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the system's
        raise PostFormatError(f"{path}: expected a Parquet file, and this is none or damaged ({error})") from error

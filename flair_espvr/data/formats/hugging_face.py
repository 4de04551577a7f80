"""Posts of Hugging Face's `datasets`: a `DatasetDict` of tokens, ner_tags and image as a folder of posts, and back.

`tokens` are words, or `text` is a text; `ner_tags` are tags in BIO or BIOES, as text or as numbers of a `ClassLabel`;
`image` is an `Image` or a path. Further columns are fields of JSONL: `id`, `caption`, `ocr` and the like.
"""

import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flair_espvr.data.bio import bio_from_bioes, is_tag, lenient_entities
from flair_espvr.data.formats.contexts import read_contexts
from flair_espvr.data.formats.convert import read_any
from flair_espvr.data.formats.detect import corpus_files
from flair_espvr.data.formats.jsonl import write_records
from flair_espvr.data.formats.parquet import parsed_row
from flair_espvr.data.metadata import CONTEXTS, IMAGE, OBJECTS
from flair_espvr.data.post import Post
from flair_espvr.data.post_folder import context_files, image_folder
from flair_espvr.errors import ConfigurationError, PostFormatError
from flair_espvr.images.folder import ImageFolder
from flair_espvr.images.loading import image_format
from flair_espvr.io.atomic import atomic_folder, atomic_write

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

log = logging.getLogger("flair.espvr.data")

_TAGS = "ner_tags"

_SPLITS = {"validation": "dev", "valid": "dev", "val": "dev"}
"""What splits are called here that have another name there."""

_TEXTS = tuple(key for key in CONTEXTS if key != OBJECTS)

_OPTIONAL = (IMAGE, *_TEXTS)
"""Columns that are only there where a post has something for them."""


def write_dataset_posts(
    dataset: "DatasetDict | Dataset", folder: str | Path, *, columns: Mapping[str, str] | None = None
) -> dict[str, int]:
    """Write a data set as a folder of posts, which every corpus, recipe and command reads: JSONL and `images`.

    Args:
        dataset: as `load_dataset` or `load_from_disk` gives it; a single `Dataset` becomes training posts.
        folder: the folder to make.
        columns: `tokens`, `text`, `ner_tags`, `image` or another field of JSONL -> the column that it is in, where that
            has another name.

    Returns:
        How many posts were written, by split: train, dev, test, or the name of another one.

    Raises:
        ConfigurationError: the folder is there already, or the data set has not the columns.
        OSError: a file cannot be written.
        PostFormatError: a row is no post.
    """
    splits = {"train": dataset} if hasattr(dataset, "features") else dict(dataset)
    counts = {}
    with _new_folder(folder) as target:
        (target / "images").mkdir()
        for name, rows in splits.items():
            split = _SPLITS.get(name, name)
            if not re.fullmatch(r"\w[\w.-]*", split):
                raise ConfigurationError(f"{name!r}: expected the name of a split, such as train")
            with atomic_write(target / f"{split}.jsonl") as file:
                records = _records(_with_columns(rows, columns or {}), split, target)
                counts[split] = write_records(records, file)
    return counts


def read_dataset(source: str | Path) -> "DatasetDict":
    """Return a folder of posts, or a single file, as a `DatasetDict` with the columns id, tokens, ner_tags and image.

    There is also a column for each of caption, tags, ocr and knowledge that any post has. Pictures are read when they
    are asked for, or saved. Objects, gold regions and fields of one's own are left out.

    Args:
        source: the folder, whose files are those that a corpus takes, or a file.

    Raises:
        ConfigurationError: there are no files of posts, or `datasets` is not installed.
        PostFormatError: a file does not follow its format.
    """
    datasets = _datasets()
    source = Path(source)
    folder, files = (source, corpus_files(source)) if source.is_dir() else (source.parent, {"train": source})
    known, pictures = read_contexts(context_files(folder)), ImageFolder(image_folder(folder))
    splits = {
        "validation" if split == "dev" else split: [_row(_completed(post, pictures, known)) for post in read_any(path)]
        for split, path in files.items()
    }
    rows = [row for split in splits.values() for row in split]
    types = sorted({tag[2:] for row in rows for tag in row[_TAGS] if tag != "O"})
    names = ["O", *(f"{prefix}-{name}" for name in types for prefix in "BI")]
    text = datasets.Value("string")
    columns = {
        "id": text,
        "tokens": datasets.Sequence(text),
        _TAGS: datasets.Sequence(datasets.ClassLabel(names=names)),
        IMAGE: datasets.Image(),
        **dict.fromkeys(_TEXTS, text),
    }
    features = {name: kind for name, kind in columns.items() if any(row[name] for row in rows) or name not in _OPTIONAL}
    made = {
        split: datasets.Dataset.from_dict(
            {name: [row[name] for row in found] for name in features}, features=datasets.Features(features)
        )
        for split, found in splits.items()
    }
    return datasets.DatasetDict(made)


def save_dataset(dataset: "DatasetDict", folder: str | Path) -> None:
    """Write a data set, with its pictures, as a folder for `load_from_disk`, whole or not at all.

    Raises:
        ConfigurationError: the folder is there already.
        OSError: it cannot be written.
    """
    with _new_folder(folder) as target:
        dataset.save_to_disk(str(target))


def load_saved_dataset(path: str | Path) -> "DatasetDict | Dataset":
    """Return the data set that `save_to_disk` has written to a folder.

    Raises:
        ConfigurationError: there is none, or `datasets` is not installed.
    """
    datasets = _datasets()
    try:
        return datasets.load_from_disk(str(path))
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path}: expected a folder that save_to_disk of datasets has written") from error


def _new_folder(folder: str | Path) -> AbstractContextManager[Path]:
    if Path(folder).exists():
        raise ConfigurationError(f"{folder}: is there already; name a folder to be made")
    return atomic_folder(folder)


def _with_columns(dataset: "Dataset", columns: Mapping[str, str]) -> "Dataset":
    """Return a split with its columns under the names of fields, and with pictures as they are in their files."""
    if absent := sorted(set(columns.values()) - set(dataset.column_names)):
        raise ConfigurationError(f"no column {', '.join(absent)}; there are {', '.join(dataset.column_names)}")
    dataset = dataset.rename_columns({column: field for field, column in columns.items() if column != field})
    if not {"tokens", "text"} & set(dataset.column_names):
        raise ConfigurationError(
            f"expected a column tokens or text, given {', '.join(dataset.column_names)}: name it, --column tokens=NAME"
        )
    image = _datasets().Image
    is_image = isinstance(dataset.features.get(IMAGE), image)
    return dataset.cast_column(IMAGE, image(decode=False)) if is_image else dataset


def _records(dataset: "Dataset", split: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the posts of a split as JSON objects; their pictures go into `folder`."""
    names = _tag_names(dataset.features.get(_TAGS))
    missing = 0
    for number, row in enumerate(dataset, start=1):
        tags = row.pop(_TAGS, None)
        post = parsed_row(number, row, source=split, folder=Path())
        record = dict(post.record or {})
        content = _picture(post)
        missing += content is None and post.image is not None
        if content is not None:
            suffix = (image_format(content) or "bin").lower()
            record[IMAGE] = f"images/{split}-{number}.{suffix}"
            (folder / record[IMAGE]).write_bytes(content)
        if tags is not None:
            record["entities"] = _entities(tags, names, record, f"{split}, row {number}")
        yield record
    if missing:
        log.warning("%s: %d of the pictures it names are not there", split, missing)


def _picture(post: Post) -> bytes | None:
    if isinstance(post.image, bytes):
        return post.image
    return Path(post.image).read_bytes() if post.image is not None and os.path.isfile(post.image) else None


def _tag_names(feature: Any) -> Sequence[str] | None:
    """Return the names of the numbers that tags are, None where they are text."""
    inner = feature[0] if isinstance(feature, list) else getattr(feature, "feature", None)
    return getattr(inner, "names", None)


def _entities(
    tags: Iterable[Any], names: Sequence[str] | None, record: Mapping[str, Any], place: str
) -> list[dict[str, Any]]:
    """Return the entities that tags stand for.

    Raises:
        PostFormatError: they are not tags, or not one for each word.
    """
    named = [names[tag] if names is not None and isinstance(tag, int) else tag for tag in tags]
    words = record.get("tokens")
    if words is None or len(words) != len(named) or not all(isinstance(tag, str) and is_tag(tag) for tag in named):
        raise PostFormatError(
            f"{place}: expected for each of tokens one of {_TAGS}, O, B-TYPE or I-TYPE (in BIOES also E-TYPE or "
            f"S-TYPE), as text or numbers of a ClassLabel, given {named!r:.80}"
        )
    return [entity._asdict() for entity in lenient_entities(bio_from_bioes(named))]


def _completed(post: Post, pictures: ImageFolder, known: Mapping[str, Mapping[str, Any]]) -> Post:
    """Return a post with the picture and the texts that its folder has for it."""
    assert post.image_id is not None
    image = post.image if isinstance(post.image, str) and os.path.isfile(post.image) else pictures.find(post.image_id)
    texts = {key: values[post.image_id] for key, values in known.items() if post.image_id in values}
    return replace(post, image=None if image is None else str(image), contexts={**texts, **post.contexts})


def _row(post: Post) -> dict[str, Any]:
    identity = (post.record or {}).get("id", post.image_id)
    texts = {key: post.contexts.get(key) for key in _TEXTS}
    return {"id": str(identity), "tokens": post.tokens, _TAGS: post.tags, IMAGE: post.image, **texts}


def _datasets() -> Any:
    try:
        import datasets
    except ModuleNotFoundError:
        raise ConfigurationError(
            "reading and writing data sets needs datasets: pip install 'flair-espvr[datasets]'"
        ) from None
    return datasets

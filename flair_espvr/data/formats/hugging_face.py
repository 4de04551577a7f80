"""Posts of Hugging Face's `datasets`: a `DatasetDict` of tokens, ner_tags and image as a folder of posts, and back.

`tokens` are words, or `text` is a text; `ner_tags` are tags in BIO or BIOES, as text or as numbers of a `ClassLabel`;
`image` is an `Image` or a path, `images` a list of such. Further columns are fields of JSONL: `id`, `caption`, `ocr`
and the like.
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
from flair_espvr.data.formats.contexts import contexts_of, read_contexts
from flair_espvr.data.formats.convert import read_any
from flair_espvr.data.formats.detect import CORPUS_FILES, corpus_files
from flair_espvr.data.formats.jsonl import write_records
from flair_espvr.data.formats.parquet import parsed_row
from flair_espvr.data.metadata import CONTEXTS, IMAGE, OBJECTS
from flair_espvr.data.post import Context, Picture, Post, one_or_several
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

_IMAGES = "images"
"""The column of pictures where posts have several."""

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

    There is also a column for each of caption, tags, ocr and knowledge that any post has. Where any post has several
    pictures, the column is images, a list of those of each that are there. Pictures are read when they are asked for,
    or saved. Objects, gold regions and fields of one's own are left out.

    Args:
        source: the folder, whose files are those that a corpus takes, or a file.

    Raises:
        ConfigurationError: there are no files of posts, or `datasets` is not installed.
        PostFormatError: a file does not follow its format.
    """
    datasets = _datasets()
    source = Path(source)
    folder, files = (source, _files(source)) if source.is_dir() else (source.parent, {"train": source})
    known, pictures = read_contexts(context_files(folder)), ImageFolder(image_folder(folder))
    splits = {
        "validation" if split == "dev" else split: [_row(_completed(post, pictures, known)) for post in read_any(path)]
        for split, path in files.items()
    }
    rows = [row for split in splits.values() for row in split]
    types = sorted({tag[2:] for row in rows for tag in row[_TAGS] if tag != "O"})
    names = ["O", *(f"{prefix}-{name}" for name in types for prefix in "BI")]
    text = datasets.Value("string")
    if any(len(row[_IMAGES]) > 1 for row in rows):
        pictured = {_IMAGES: datasets.Sequence(datasets.Image())}
    else:
        pictured = {IMAGE: datasets.Image()}
    columns = {
        "id": text,
        "tokens": datasets.Sequence(text),
        _TAGS: datasets.Sequence(datasets.ClassLabel(names=names)),
        **pictured,
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


def _files(folder: Path) -> dict[str, Path]:
    """Return the files of posts that are there, by split."""
    files = {split: folder / name for split, name in corpus_files(folder).items() if name is not None}
    if not files:
        names = ", ".join(name for names in CORPUS_FILES.values() for name in names)
        raise ConfigurationError(f"{folder}: expected files of posts named {names}, found none")
    return files


def _with_columns(dataset: "Dataset", columns: Mapping[str, str]) -> "Dataset":
    """Return a split with its columns under the names of fields, and with pictures as they are in their files."""
    if absent := sorted(set(columns.values()) - set(dataset.column_names)):
        raise ConfigurationError(f"no column {', '.join(absent)}; there are {', '.join(dataset.column_names)}")
    dataset = dataset.rename_columns({column: field for field, column in columns.items() if column != field})
    if not {"tokens", "text"} & set(dataset.column_names):
        raise ConfigurationError(
            f"expected a column tokens or text, given {', '.join(dataset.column_names)}: name it, --column tokens=NAME"
        )
    datasets = _datasets()
    undecoded = datasets.Image(decode=False)
    if isinstance(dataset.features.get(IMAGE), datasets.Image):
        dataset = dataset.cast_column(IMAGE, undecoded)
    if isinstance(_inner(dataset.features.get(_IMAGES)), datasets.Image):
        dataset = dataset.cast_column(_IMAGES, datasets.Sequence(undecoded))
    return dataset


def _records(dataset: "Dataset", split: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the posts of a split as JSON objects; their pictures go into `folder`."""
    names = _tag_names(dataset.features.get(_TAGS))
    missing = 0
    for number, row in enumerate(dataset, start=1):
        tags = row.pop(_TAGS, None)
        post = parsed_row(number, row, source=split, folder=Path())
        record = dict(post.record or {})
        contents = list(map(_content, post.images))
        missing += contents.count(None)
        if any(content is not None for content in contents):
            paths = [image if isinstance(image, str) else "" for image in post.images]  # of those that are not there
            for place, content in enumerate(contents):
                if content is not None:
                    of_several = f"-{place}" if len(contents) > 1 else ""
                    suffix = (image_format(content) or "bin").lower()
                    paths[place] = f"images/{split}-{number}{of_several}.{suffix}"
                    (folder / paths[place]).write_bytes(content)
            record.pop(_IMAGES, None)
            record[IMAGE] = paths if len(paths) > 1 else paths[0]
        if tags is not None:
            record["entities"] = _entities(tags, names, record, f"{split}, row {number}")
        yield record
    if missing:
        log.warning("%s: %d of the pictures it names are not there", split, missing)


def _content(picture: Picture) -> bytes | None:
    if isinstance(picture, bytes):
        return picture
    return Path(picture).read_bytes() if os.path.isfile(picture) else None


def _tag_names(feature: Any) -> Sequence[str] | None:
    """Return the names of the numbers that tags are, None where they are text."""
    return getattr(_inner(feature), "names", None)


def _inner(feature: Any) -> Any:
    """Return what a list is of, None of what is no list."""
    return feature[0] if isinstance(feature, list) else getattr(feature, "feature", None)


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
    """Return a post with the pictures that are there, and the texts that its folder has for it."""
    assert post.image_id is not None
    there = [image for image in post.images if isinstance(image, str) and os.path.isfile(image)]
    if not there and (found := pictures.find(post.image_id)) is not None:
        there = [str(found)]
    contexts = {**contexts_of(known, post.picture_ids), **post.contexts}
    return replace(post, image=one_or_several(there), contexts=contexts)


def _row(post: Post) -> dict[str, Any]:
    identity = (post.record or {}).get("id", post.image_id)
    texts = {key: _as_text(post.contexts.get(key)) for key in _TEXTS}
    images = list(post.images)
    pictured = {IMAGE: next(iter(images), None), _IMAGES: images}
    return {"id": str(identity), "tokens": post.tokens, _TAGS: post.tags, **pictured, **texts}


def _as_text(context: Context | None) -> str | None:
    return context if context is None or isinstance(context, str) else " ".join(map(str, context))


def _datasets() -> Any:
    try:
        import datasets
    except ModuleNotFoundError:
        raise ConfigurationError(
            "reading and writing data sets needs datasets: pip install 'flair-espvr[datasets]'"
        ) from None
    return datasets

"""Files of what is known about pictures, by image id: captions, tags, text in them, knowledge and objects."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from flair_espvr.data.formats.captions import read_captions
from flair_espvr.data.formats.objects import read_objects
from flair_espvr.data.metadata import CAPTION, KNOWLEDGE, OBJECTS, OCR, TAGS
from flair_espvr.data.picture_object import PictureObject
from flair_espvr.data.post import Context
from flair_espvr.errors import ConfigurationError

CONTEXT_FILES: Mapping[str, str] = {
    CAPTION: "captions.tsv",
    TAGS: "tags.tsv",
    OCR: "ocr.tsv",
    KNOWLEDGE: "knowledge.tsv",
    OBJECTS: "objects.jsonl",
}
"""What the files of contexts are called in a folder of posts, by metadata key."""


def read_contexts(files: Mapping[str, Path]) -> dict[str, Mapping[str, Context]]:
    """Contexts by image id from files of `read_captions` or `read_objects`, each under the metadata key of its file.

    Raises:
        ConfigurationError: a file is not there.
        PostFormatError: a line is not what it should be.
    """
    for key, path in files.items():
        if not path.is_file():
            kind = "captions" if key == CAPTION else key
            form = "JSONL" if key == OBJECTS else f"'image_id<TAB>{key}' or JSONL"
            raise ConfigurationError(f"{path}: expected a file of {kind}, {form}")
    return {key: read_objects(path) if key == OBJECTS else read_captions(path, key=key) for key, path in files.items()}


def contexts_of(known: Mapping[str, Mapping[str, Context]], picture_ids: Sequence[str | None]) -> dict[str, Context]:
    """Return what is known of a post's pictures, by metadata key.

    Of several pictures the captions are a list, other texts one text, and the objects one list, each with its picture.

    Args:
        known: see `read_contexts`.
        picture_ids: the image id of each of its pictures, see `flair_espvr.data.post.picture_ids`.
    """
    ids = [image_id or "" for image_id in picture_ids]
    found = {key: _joined(key, list(map(values.get, ids))) for key, values in known.items()}
    return {key: context for key, context in found.items() if context is not None}


def _joined(key: str, contexts: Sequence[Context | None]) -> Context | None:
    """Return one context of those of each picture, None of a picture without one."""
    if len(contexts) == 1 or not any(context is not None for context in contexts):
        return contexts[0]
    texts: list[str] = []
    objects: list[PictureObject] = []
    for image, context in enumerate(contexts):
        if isinstance(context, str):
            texts.append(context)
        objects += [replace(one, image=image) for one in context or () if isinstance(one, PictureObject)]
    if key == OBJECTS:
        return objects
    return texts if key == CAPTION and len(texts) > 1 else " ".join(texts)

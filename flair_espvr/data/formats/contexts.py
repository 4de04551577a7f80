"""Files of what is known about pictures, by image id: captions, tags, text in them, knowledge and objects."""

from collections.abc import Mapping
from pathlib import Path

from flair_espvr.data.formats.captions import read_captions
from flair_espvr.data.formats.objects import read_objects
from flair_espvr.data.metadata import CAPTION, KNOWLEDGE, OBJECTS, OCR, TAGS
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

"""One's own posts as JSONL: one object per line.

    {"id": "7", "text": "Kevin Durant enters Oracle Arena", "image": "pictures/7.jpg", "caption": "a man in a suit",
     "entities": [{"start": 0, "end": 12, "type": "PER"}, {"start": 20, "end": 32, "type": "LOC"}]}

Offsets count characters of `"text"`, or words where a post gives `"tokens"` instead; `end` is exclusive. Every field
but `"text"` or `"tokens"` may be missing. `"image"` is relative to the file's folder. Further fields are kept.
"""

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from flair.data import Sentence

from flair_espvr.data.formats.records import RecordError, parse_record, record_sentence, sentence_record
from flair_espvr.data.metadata import CAPTION, IMAGE, IMAGE_ID
from flair_espvr.errors import PostFormatError
from flair_espvr.io.lines import format_error, read_lines

log = logging.getLogger("flair.espvr.data")


def read_jsonl_posts(
    path: str | Path,
    *,
    label_type: str = "ner",
    label_name_map: Mapping[str, str] | None = None,
    on_error: Callable[[PostFormatError], None] | None = None,
) -> Iterator[Sentence]:
    """The posts of a JSONL file as labelled sentences, one at a time.

    `"text"` is split into words as `Sentence(text)` does. The metadata of a sentence are its `"record"` (the object as
    it was read), `"image_id"` (the picture's file name without suffix, else the post's id, else the line number) and,
    where there are such, `"image"` and `"caption"`. A picture that is named but not there is left out; a warning at the
    end counts them. `"score"` and `"region"` of an entity, as `write_jsonl_posts` writes them, are read back.

    Args:
        path: the file; pictures are relative to its folder.
        label_type: the annotation layer that gets the entities.
        label_name_map: other names for some types.
        on_error: called with the error of each malformed post, which is then left out. Without it, the first is raised.

    Raises:
        OSError: the file cannot be opened.
        PostFormatError: a post is malformed, or one of its entities cuts a word, overlaps another or runs out of it.
    """
    missing: list[Path] = []
    for number, line in read_lines(path):
        if not line.strip(" \t"):
            continue
        try:
            record = parse_record(line)
            sentence = record_sentence(record, label_type=label_type, label_name_map=label_name_map or {})
        except RecordError as reason:
            error = format_error(path, number, line, f"a post as JSON ({reason})")
            if on_error is None:
                raise error from None
            on_error(error)
            continue
        image = record.get("image")
        sentence.add_metadata(IMAGE_ID, Path(image).stem if image else str(record.get("id", number)))
        if record.get("caption"):
            sentence.add_metadata(CAPTION, record["caption"])
        if image and os.path.isfile(picture := Path(path).parent / image):
            sentence.add_metadata(IMAGE, str(picture))
        elif image:
            missing.append(picture)
        yield sentence
    if missing:
        log.warning("%s: %d of the pictures it names are not there, the first is %s", path, len(missing), missing[0])


def write_jsonl_posts(
    sentences: Iterable[Sentence], file: BinaryIO, *, label_type: str = "ner", scores: bool = True
) -> int:
    """Write sentences as `read_jsonl_posts` reads them; returns how many.

    A sentence that was read from JSONL keeps all its fields and its kind of offsets; only `"entities"` are replaced, by
    the spans under `label_type`, with `"region"` where the label has one. Any other sentence is written by its tokens.

    Args:
        sentences: what to write; drawn one at a time.
        file: a binary file, for instance from `flair_espvr.io.atomic.atomic_write`.
        label_type: the annotation layer with the entities.
        scores: whether to write each entity's `"score"`; gold labels have none worth writing.
    """
    count = 0
    for sentence in sentences:
        record = sentence_record(sentence, label_type=label_type, scores=scores)
        file.write(json.dumps(record, ensure_ascii=False).encode("utf-8") + b"\n")
        count += 1
    return count

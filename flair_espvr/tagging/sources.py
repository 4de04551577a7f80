"""Posts to be tagged, one at a time: from JSONL, from column files with tags or without, from standard input."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from flair.data import Sentence

from flair_espvr.data.bio import is_bio_tag
from flair_espvr.data.formats.columns import IMAGE_ID_PREFIX
from flair_espvr.data.formats.records import RecordError, parse_record, record_sentence
from flair_espvr.data.metadata import CAPTION, IMAGE, IMAGE_ID
from flair_espvr.errors import ConfigurationError
from flair_espvr.images.folder import ImageFolder
from flair_espvr.io.lines import format_error, read_lines

STDIN = Path("/dev/stdin")

_SUFFIXES = {".jsonl", ".txt", ".conll"}


@dataclass(frozen=True)
class UntaggedPost:
    """One post as it was given, and what belongs to it.

    Attributes:
        record: it as a JSON object with `"text"` or `"tokens"`, without entities (`flair_espvr.data.formats.jsonl`).
        image_id: the picture's file name without suffix, else the post's id, else its number in the file.
        image: where its picture should be, which may turn out not to be one; `None` for no picture.
        caption: what describes the picture, or `None`.
        source, line: where it was read, for messages.
    """

    record: dict[str, Any]
    image_id: str
    image: str | None
    caption: str | None
    source: str | Path
    line: int

    def sentence(self) -> Sentence:
        """The sentence to be tagged, with image id, picture and caption as metadata.

        Raises:
            PostFormatError: Flair cannot split the text.
        """
        try:
            sentence = record_sentence(self.record, label_type="ner", label_name_map={})
        except RecordError as reason:
            raise format_error(self.source, self.line, json.dumps(self.record), f"a post ({reason})") from None
        for key, value in ((IMAGE_ID, self.image_id), (IMAGE, self.image), (CAPTION, self.caption)):
            if value is not None:
                sentence.add_metadata(key, value)
        return sentence


def read_untagged_posts(
    path: Path, *, images: ImageFolder | None = None, captions: Mapping[str, str] | None = None
) -> Iterator[UntaggedPost]:
    """The posts of a file, or of standard input for the path `STDIN`, one at a time.

    How the first line begins tells the format: `{` JSONL, `IMGID:` columns with image ids, else plain columns. Tags and
    entities in the file are read over. See `parse_untagged_posts` for the other arguments.

    Raises:
        OSError: the file cannot be opened.
        PostFormatError: a line is not what it should be; the posts before it have been given.
    """
    folder = Path() if path == STDIN else path.parent
    yield from parse_untagged_posts(read_lines(path), source=path, folder=folder, images=images, captions=captions)


def parse_untagged_posts(
    lines: Iterable[tuple[int, str]],
    *,
    source: str | Path,
    folder: Path,
    images: ImageFolder | None = None,
    captions: Mapping[str, str] | None = None,
) -> Iterator[UntaggedPost]:
    """The posts of numbered lines.

    Args:
        lines: `(number, line)`, as `read_lines` gives them.
        source: what messages call the place they are from.
        folder: what the pictures that JSONL posts name are relative to.
        images: pictures of the posts that name none or one that is not there, by image id.
        captions: captions of the posts that have none of their own, by image id.

    Raises:
        PostFormatError: a line is not what it should be.
    """
    filled = ((number, line) for number, line in lines)
    first = next(((number, line) for number, line in filled if line.strip(" \t")), (0, ""))
    lines = chain([first], filled)
    if first[1].startswith("{"):
        records = _json_records(lines, source)
    else:
        records = _column_records(lines, source, image_ids=first[1].startswith(IMAGE_ID_PREFIX))
    for number, image_id, record in records:
        image = record.get("image")
        picture = str(folder / image) if image else None
        if images is not None and (picture is None or not os.path.isfile(picture)):
            found = images.find(image_id)
            picture = str(found) if found is not None else picture
        caption = record.get("caption") or (captions or {}).get(image_id)
        yield UntaggedPost(record, image_id, picture, caption, source, number)


def post_files(folder: Path) -> list[Path]:
    """The files of posts in a folder, by name: `.jsonl`, `.txt` and `.conll`, apart from files of captions.

    Raises:
        ConfigurationError: there are none.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES and path.stem != "captions")
    if not files:
        raise ConfigurationError(f"{folder}: expected files of posts (.jsonl, .txt or .conll), found none")
    return files


def _json_records(lines: Iterable[tuple[int, str]], source: str | Path) -> Iterator[tuple[int, str, dict[str, Any]]]:
    for number, line in lines:
        if not line.strip(" \t"):
            continue
        try:
            record = parse_record(line)
        except RecordError as reason:
            raise format_error(source, number, line, f"a post as JSON ({reason})") from None
        record.pop("entities", None)
        image = record.get("image")
        yield number, Path(image).stem if image else str(record.get("id", number)), record


def _column_records(
    lines: Iterable[tuple[int, str]], source: str | Path, *, image_ids: bool
) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Posts of a column file; unlike in `read_posts`, the tag may be missing."""
    posts = 0
    start = 0  # line of the post being read; 0 between posts
    record: dict[str, Any] = {}
    for number, line in chain(lines, [(0, "")]):
        if not line.strip(" \t"):
            if start:
                yield start, record.get("id", str(posts)), record
            start = 0
            continue
        if not start:
            start, posts, record = number, posts + 1, {"tokens": []}
            if image_ids:
                record = {"id": _image_id(line, number, source), **record}
                continue
        record["tokens"].append(_word(line, number, source))


def _image_id(line: str, number: int, source: str | Path) -> str:
    image_id = line.removeprefix(IMAGE_ID_PREFIX).strip(" \t")
    if not line.startswith(IMAGE_ID_PREFIX) or not image_id:
        raise format_error(source, number, line, f"'{IMAGE_ID_PREFIX}<id>', the first line of a post")
    return image_id


def _word(line: str, number: int, source: str | Path) -> str:
    word, *tags = line.split("\t" if "\t" in line else " ")
    if not word or len(tags) > 1 or not all(map(is_bio_tag, tags)):
        raise format_error(
            source,
            number,
            line,
            "'word' or 'word<TAB>tag' with a tag O, B-TYPE or I-TYPE, or a blank line after a post",
        )
    return word

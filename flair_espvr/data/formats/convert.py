"""From one format of posts to another: JSONL, IMGID column files, plain CoNLL, CSV.

CoNLL-2003, plain text and Twitter-GMNER with its boxes are read only, tasks of Label Studio written only.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from flair.data import Sentence

from flair_espvr.data.formats.columns import read_posts, write_posts
from flair_espvr.data.formats.conll2003 import read_conll2003_posts
from flair_espvr.data.formats.csv_posts import csv_as_json_lines, write_csv_posts
from flair_espvr.data.formats.detect import Format, TargetFormat, format_of
from flair_espvr.data.formats.jsonl import parse_jsonl_sentences, write_jsonl_posts
from flair_espvr.data.formats.label_studio import write_label_studio_tasks
from flair_espvr.data.formats.overlaps import Keep
from flair_espvr.data.formats.plain_text import text_as_json_lines
from flair_espvr.data.gmner import read_gmner_sentences
from flair_espvr.data.metadata import CAPTION, INVALID_TAG
from flair_espvr.data.post import Post
from flair_espvr.data.sentences import post_sentence, sentence_post
from flair_espvr.errors import ConfigurationError
from flair_espvr.io.atomic import atomic_write
from flair_espvr.io.lines import read_lines

SourceFormat = Format | Literal["text", "csv", "gmner"]
"""What can be read: `"text"` has one post a line, `"gmner"` is a file `txt/<split>.txt` of Twitter-GMNER, whose boxes
are in the folder `xml` beside `txt`."""

_LABEL_TYPE = "ner"


@dataclass
class Conversion:
    """What a conversion did.

    Attributes:
        posts: how many posts were written.
        repaired_tags: invalid `I-` tags whose entity is now an ordinary one; JSONL cannot say them.
        lost_captions: captions left out; column files have no place for them.
    """

    posts: int = 0
    repaired_tags: int = 0
    lost_captions: int = 0


def convert_posts(
    source: str | Path,
    target: str | Path,
    *,
    source_format: SourceFormat,
    target_format: TargetFormat,
    columns: Mapping[str, str] | None = None,
    flatten: Keep | None = None,
) -> Conversion:
    """Write the posts of `source` to `target` in another format; `target` appears whole or not at all.

    Words, entities and image ids stay what they are. Plain CoNLL has no image ids: posts that come from it are numbered
    from 1. Column files take a post's image id (see `image_id_of`) and leave captions and further fields behind.

    Args:
        source: the file to read.
        target: the file to write.
        source_format: what `source` is.
        target_format: what `target` is to be.
        columns: of a CSV file, the names of columns by field, see `csv_as_json_lines`.
        flatten: which of overlapping entities in JSONL or CSV stay; by default they are an error.

    Raises:
        ConfigurationError: boxes are to go into a column file, which has no place for them.
        OSError: a file cannot be opened or written.
        PostFormatError: `source` does not follow its format, or a post cannot be said in the other one.
    """
    if columns and source_format != "csv":
        raise ConfigurationError(f"{source}: only CSV has named columns")
    if source_format == "gmner" and target_format != "jsonl":
        raise ConfigurationError(f"{target}: only JSONL has a place for boxes; name a .jsonl file, or read IN as imgid")
    done = Conversion()
    written = _Source(Path(source), source_format, columns, flatten)
    with atomic_write(target) as file:
        match target_format:
            case "jsonl":
                done.posts = write_jsonl_posts(_sentences(written, done), file, label_type=_LABEL_TYPE, scores=False)
            case "csv":
                done.posts = write_csv_posts(_sentences(written, done), file, label_type=_LABEL_TYPE)
            case "label-studio":
                done.posts = write_label_studio_tasks(_sentences(written, done), file, label_type=_LABEL_TYPE)
            case _:
                done.posts = write_posts(_posts(written, done), file, image_ids=target_format == "imgid")
    return done


def read_any(path: str | Path) -> Iterator[Post]:
    """The posts of a file, whichever of the formats it has."""
    return _posts(_Source(Path(path), format_of(path)), Conversion())


@dataclass(frozen=True)
class _Source:
    path: Path
    format: SourceFormat
    columns: Mapping[str, str] | None = None
    flatten: Keep | None = None


def _posts(source: _Source, done: Conversion) -> Iterator[Post]:
    match source.format:
        case "imgid":
            yield from read_posts(source.path)
        case "conll" | "conll2003":
            conll2003 = source.format == "conll2003"
            posts = read_conll2003_posts(source.path) if conll2003 else read_posts(source.path, image_ids=False)
            for number, post in enumerate(posts, start=1):
                yield replace(post, image_id=str(number))
        case _:
            for sentence in _sentences(source, done):
                done.lost_captions += sentence.has_metadata(CAPTION)
                yield sentence_post(sentence, label_type=_LABEL_TYPE)


def _sentences(source: _Source, done: Conversion) -> Iterator[Sentence]:
    match source.format:
        case "gmner":
            yield from read_gmner_sentences(source.path, label_type=_LABEL_TYPE)
        case "imgid" | "conll" | "conll2003":
            for post in _posts(source, done):
                sentence = post_sentence(post, label_type=_LABEL_TYPE)
                done.repaired_tags += sum(INVALID_TAG in label.metadata for label in sentence.get_labels(_LABEL_TYPE))
                yield sentence
        case _:
            yield from parse_jsonl_sentences(
                _json_lines(source),
                source=source.path,
                folder=source.path.parent,
                label_type=_LABEL_TYPE,
                flatten=source.flatten,
            )


def _json_lines(source: _Source) -> Iterator[tuple[int, str]]:
    if source.format == "csv":
        return csv_as_json_lines(source.path, source.columns)
    lines = read_lines(source.path)
    return text_as_json_lines(lines) if source.format == "text" else lines

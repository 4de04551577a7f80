"""From one format of posts to another: JSONL, IMGID column files, plain CoNLL, CSV.

CoNLL-2003, plain text and Twitter-GMNER with its boxes are read only, tasks of Label Studio and spaCy's DocBin written
only.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from flair_espvr.data.formats.columns import read_posts, write_posts
from flair_espvr.data.formats.conll2003 import read_conll2003_posts
from flair_espvr.data.formats.csv_posts import csv_as_json_lines, write_csv_posts
from flair_espvr.data.formats.detect import Format, TargetFormat, format_of
from flair_espvr.data.formats.docbin import write_docbin
from flair_espvr.data.formats.jsonl import made_of_jsonl, write_records
from flair_espvr.data.formats.label_studio import write_label_studio_tasks
from flair_espvr.data.formats.labelled import LabelledPost, labelled_post
from flair_espvr.data.formats.overlaps import Keep
from flair_espvr.data.formats.plain_text import text_as_json_lines
from flair_espvr.data.formats.records import record_images
from flair_espvr.data.metadata import CAPTION
from flair_espvr.data.post import Post
from flair_espvr.errors import ConfigurationError
from flair_espvr.io.atomic import atomic_write
from flair_espvr.io.lines import read_lines

SourceFormat = Format | Literal["text", "csv", "gmner"]
"""What can be read: `"text"` has one post a line, `"gmner"` is a file `txt/<split>.txt` of Twitter-GMNER, whose boxes
are in the folder `xml` beside `txt`."""


@dataclass
class Conversion:
    """What a conversion did.

    Attributes:
        posts: how many posts were written.
        repaired_tags: invalid `I-` tags whose entity is now an ordinary one; JSONL cannot say them.
        lost_captions: captions left out; column files have no place for them.
        lost_pictures: pictures left out, of posts with several; column files have one a post.
    """

    posts: int = 0
    repaired_tags: int = 0
    lost_captions: int = 0
    lost_pictures: int = 0


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
    posts = _posts(_Source(Path(source), source_format, columns, flatten))
    with atomic_write(target) as file:
        match target_format:
            case "jsonl":
                done.posts = write_records(_records(posts, done), file)
            case "csv":
                done.posts = write_csv_posts(_records(posts, done), file)
            case "docbin":
                done.posts = write_docbin(posts, file)
            case "label-studio":
                done.posts = write_label_studio_tasks(_records(posts, done), file)
            case _:
                done.posts = write_posts(_columns(posts, done), file, image_ids=target_format == "imgid")
    return done


def read_any(path: str | Path) -> Iterator[Post]:
    """Yield the posts of a file, whichever of the formats it has, with their words and tags, which may be invalid.

    Those of JSONL keep their record, and the name of a picture that is not there.

    Raises:
        OSError: the file cannot be opened.
        PostFormatError: it does not follow its format.
    """
    for labelled in _posts(_Source(Path(path), format_of(path)), keep_missing=True):
        post = labelled.post
        yield post if post.record is None else replace(labelled.to_post(), record=post.record)


@dataclass(frozen=True)
class _Source:
    path: Path
    format: SourceFormat
    columns: Mapping[str, str] | None = None
    flatten: Keep | None = None


def _posts(source: _Source, *, keep_missing: bool = False) -> Iterator[LabelledPost]:
    match source.format:
        case "gmner":
            from flair_espvr.data.gmner import read_gmner_posts

            yield from read_gmner_posts(source.path)
        case "imgid":
            yield from map(labelled_post, read_posts(source.path))
        case "conll" | "conll2003":
            conll2003 = source.format == "conll2003"
            posts = read_conll2003_posts(source.path) if conll2003 else read_posts(source.path, image_ids=False)
            for number, post in enumerate(posts, start=1):
                yield labelled_post(replace(post, image_id=str(number)))
        case _:
            yield from made_of_jsonl(
                _json_lines(source),
                labelled_post,
                source=source.path,
                folder=source.path.parent,
                flatten=source.flatten,
                keep_missing=keep_missing,
            )


def _records(posts: Iterable[LabelledPost], done: Conversion) -> Iterator[dict[str, Any]]:
    for post in posts:
        done.repaired_tags += post.repaired_tags
        yield post.to_record()


def _columns(posts: Iterable[LabelledPost], done: Conversion) -> Iterator[Post]:
    """As columns: tags of columns stay what they are, invalid ones included."""
    for post in posts:
        done.lost_captions += CAPTION in post.post.contexts
        done.lost_pictures += len(record_images(post.post.record or {})[1:])
        yield post.post if post.post.record is None else post.to_post()


def _json_lines(source: _Source) -> Iterator[tuple[int, str]]:
    if source.format == "csv":
        return csv_as_json_lines(source.path, source.columns)
    lines = read_lines(source.path)
    return text_as_json_lines(lines) if source.format == "text" else lines

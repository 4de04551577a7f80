"""From one format of posts to another: JSONL, IMGID column files, plain CoNLL; from CoNLL-2003 and Twitter-GMNER."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from flair.data import Sentence

from flair_espvr.data.formats.columns import read_posts, write_posts
from flair_espvr.data.formats.conll2003 import read_conll2003_posts
from flair_espvr.data.formats.detect import Format, TargetFormat, format_of
from flair_espvr.data.formats.jsonl import read_jsonl_sentences, write_jsonl_posts
from flair_espvr.data.gmner import read_gmner_sentences
from flair_espvr.data.metadata import CAPTION, INVALID_TAG
from flair_espvr.data.post import Post
from flair_espvr.data.sentences import post_sentence, sentence_post
from flair_espvr.errors import ConfigurationError
from flair_espvr.io.atomic import atomic_write

SourceFormat = Format | Literal["gmner"]
"""What can be read: `"gmner"` is a file `txt/<split>.txt` of Twitter-GMNER, whose boxes are in the folder `xml` beside
`txt`."""

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
    source: str | Path, target: str | Path, *, source_format: SourceFormat, target_format: TargetFormat
) -> Conversion:
    """Write the posts of `source` to `target` in another format; `target` appears whole or not at all.

    Words, entities and image ids stay what they are. Plain CoNLL has no image ids: posts that come from it are numbered
    from 1. Column files take a post's image id (see `image_id_of`) and leave captions and further fields behind.

    Raises:
        ConfigurationError: boxes are to go into a column file, which has no place for them.
        OSError: a file cannot be opened or written.
        PostFormatError: `source` does not follow its format, or a post cannot be said in the other one.
    """
    if source_format == "gmner" and target_format != "jsonl":
        raise ConfigurationError(f"{target}: only JSONL has a place for boxes; name a .jsonl file, or read IN as imgid")
    done = Conversion()
    with atomic_write(target) as file:
        if target_format == "jsonl":
            done.posts = write_jsonl_posts(
                _sentences(source, source_format, done), file, label_type=_LABEL_TYPE, scores=False
            )
        else:
            done.posts = write_posts(_posts(source, source_format, done), file, image_ids=target_format == "imgid")
    return done


def read_any(path: str | Path) -> Iterator[Post]:
    """The posts of a file, whichever of the formats it has."""
    return _posts(path, format_of(path), Conversion())


def _posts(path: str | Path, format: SourceFormat, done: Conversion) -> Iterator[Post]:
    if format == "jsonl":
        for sentence in read_jsonl_sentences(path, label_type=_LABEL_TYPE):
            done.lost_captions += sentence.has_metadata(CAPTION)
            yield sentence_post(sentence, label_type=_LABEL_TYPE)
    elif format == "imgid":
        yield from read_posts(path)
    else:
        posts = read_conll2003_posts(path) if format == "conll2003" else read_posts(path, image_ids=False)
        for number, post in enumerate(posts, start=1):
            yield replace(post, image_id=str(number))


def _sentences(path: str | Path, format: SourceFormat, done: Conversion) -> Iterator[Sentence]:
    if format == "gmner":
        yield from read_gmner_sentences(path, label_type=_LABEL_TYPE)
        return
    if format == "jsonl":
        yield from read_jsonl_sentences(path, label_type=_LABEL_TYPE)
        return
    for post in _posts(path, format, done):
        sentence = post_sentence(post, label_type=_LABEL_TYPE)
        done.repaired_tags += sum(INVALID_TAG in label.metadata for label in sentence.get_labels(_LABEL_TYPE))
        yield sentence

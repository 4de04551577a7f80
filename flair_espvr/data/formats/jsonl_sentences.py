"""JSONL posts as Flair's sentences, and sentences as JSONL; `flair_espvr.data.formats.jsonl` describes the format."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from flair.data import Sentence

from flair_espvr.data.formats.jsonl import made_of_jsonl, write_records
from flair_espvr.data.formats.overlaps import Keep
from flair_espvr.data.formats.record_sentences import sentence_record
from flair_espvr.data.post import Post
from flair_espvr.data.sentences import post_sentence
from flair_espvr.errors import PostFormatError
from flair_espvr.io.lines import read_lines


def read_jsonl_sentences(
    path: str | Path,
    *,
    label_type: str = "ner",
    label_name_map: Mapping[str, str] | None = None,
    flatten: Keep | None = None,
    spaces: bool = True,
    on_error: Callable[[PostFormatError], None] | None = None,
) -> Iterator[Sentence]:
    """Yield the posts of a JSONL file as labelled sentences, one at a time.

    `"text"` is split into words as `Sentence(text)` does. The metadata of a sentence are its `"record"` (the object as
    it was read), `"image_id"` (the picture's file name without suffix, else the post's id, else the line number) and,
    where there are such, `"image"`, `"caption"` and the other contexts. A picture that is named but not there is left
    out; a warning at the end counts them. `"score"` and `"region"` of an entity, as `write_jsonl_posts` writes them,
    are read back.

    Args:
        path: the file; pictures are relative to its folder.
        label_type: the annotation layer that gets the entities.
        label_name_map: other names for some types.
        flatten: which of overlapping entities stay; a warning at the end counts the others. By default they are an
            error, which counts them.
        spaces: whether there are spaces between words, in posts of `"tokens"`.
        on_error: called with the error of each malformed post, which is then left out. Without it, the first is raised.

    Raises:
        OSError: the file cannot be opened.
        PostFormatError: a post is malformed, or one of its entities cuts a word, overlaps another or runs out of it.
    """

    def make(post: Post) -> Sentence:
        post = post if spaces else replace(post, spaces=False)
        return post_sentence(post, label_type=label_type, label_name_map=label_name_map)

    folder = Path(path).parent
    yield from made_of_jsonl(read_lines(path), make, source=path, folder=folder, flatten=flatten, on_error=on_error)


def write_jsonl_posts(
    sentences: Iterable[Sentence], file: BinaryIO, *, label_type: str = "ner", scores: bool = True
) -> int:
    """Write sentences as `read_jsonl_sentences` reads them; returns how many.

    A sentence that was read from JSONL keeps all its fields and its kind of offsets; only `"entities"` are replaced, by
    the spans under `label_type`, with `"region"` where the label has one. Any other sentence is written by its tokens.

    Args:
        sentences: what to write; drawn one at a time.
        file: a binary file, for instance from `flair_espvr.io.atomic.atomic_write`.
        label_type: the annotation layer with the entities.
        scores: whether to write each entity's `"score"`; gold labels have none worth writing.

    Raises:
        PostFormatError: a sentence has what JSON cannot represent, as a score that is NaN.
    """
    records = (sentence_record(sentence, label_type=label_type, scores=scores) for sentence in sentences)
    return write_records(records, file)

"""From a stream of posts to a finished file: resumable where the format allows, in the order in which posts come."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO, Literal

from flair.data import Sentence
from tqdm import tqdm

from flair_espvr.errors import ConfigurationError
from flair_espvr.io.atomic import is_written_through
from flair_espvr.io.resumable import ResumableFile
from flair_espvr.report import write_report
from flair_espvr.tagging.outputs import column_predictions, jsonl_predictions
from flair_espvr.tagging.stream import PostTagging

Format = Literal["jsonl", "columns", "html"]


def write_tagged(
    tagging: PostTagging,
    out: Path | None,
    *,
    format: Format,
    made_by: Mapping[str, Any],
    progress: bool = True,
    total: int | None = None,
) -> None:
    """Tag the posts of a stream and write them.

    A file is called `FILE.part` while it is written; a run that was stopped goes on where it was, if it is given the
    same posts and `made_by`. A page begins anew.

    Args:
        tagging: the posts on their way through a tagger; it counts them.
        out: the file to write; standard output where it is None. A device or a pipe is written through.
        format: see `flair_espvr.tagging.outputs`; `"html"` is a page (`write_report`) and needs a file.
        made_by: JSON values that stand for all that the output depends on besides the posts: model, precision.
        progress: show a bar.
        total: how many posts there are, for the bar; None where nobody knows.

    Raises:
        ConfigurationError: a page without a file, or the part that is there is of other posts or settings.
        EspvrError: a post cannot be read, or its image's regions cannot be computed at all.
        OSError: the output cannot be written.
    """
    label_type = tagging.label_type
    if format == "html":
        if out is None:
            raise ConfigurationError("a page needs a file to be written to")
        sentences = (sentence for window in _shown(tagging, progress, total) for sentence in window)
        write_report(sentences, out, label_type=label_type)
        return
    to_bytes = column_predictions if format == "columns" else jsonl_predictions
    if out is None or is_written_through(out):
        with nullcontext(sys.stdout.buffer) if out is None else open(out, "wb") as stream:
            for window in _shown(tagging, progress, total):
                _pour(to_bytes(window, label_type=label_type), stream, out or "standard output")
        return
    with ResumableFile(out, {**made_by, "format": format}) as file:
        if file.notes and not tagging.resume(file.notes):
            raise ConfigurationError(
                f"{file.part}: the first {tagging.posts:,} posts are not those that the interrupted run tagged (their "
                "texts, ids, captions or pictures' places differ); write to another file, or remove this one"
            )
        for window in _shown(tagging, progress, total):
            file.write(to_bytes(window, label_type=label_type), tagging.note())
        file.finish()


def _shown(tagging: PostTagging, progress: bool, total: int | None) -> Iterator[list[Sentence]]:
    begun = tagging.posts + len(tagging.bad_posts)
    with tqdm(desc="Tagging", total=total, initial=begun, unit="post", dynamic_ncols=True, disable=not progress) as bar:
        for window in tagging.windows():
            yield window
            bar.update(tagging.posts + len(tagging.bad_posts) - begun)
            begun = tagging.posts + len(tagging.bad_posts)


def _pour(content: bytes, stream: BinaryIO, name: str | Path) -> None:
    try:
        stream.write(content)
        stream.flush()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(name)) from error

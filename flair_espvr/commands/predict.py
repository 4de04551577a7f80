"""`flair-espvr predict`: any number of posts through a saved tagger."""

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flair_espvr.commands import FOUND_BAD
from flair_espvr.commands.bad_images import add_bad_list_argument, report_bad_images
from flair_espvr.commands.cluster import add_cluster
from flair_espvr.commands.device import chosen_device
from flair_espvr.commands.options import (
    CONTEXT_OPTIONS,
    add_contexts,
    add_tagger,
    given_contexts,
    warn_without_images,
)

if TYPE_CHECKING:
    from flair_espvr.data.post import BadPost, Post
    from flair_espvr.images.folder import ImageFolder
    from flair_espvr.tagging import PostTagging
    from flair_espvr.tagging.shards import Totals

HELP = "tag posts with a saved model: entities with type, score and place in the picture"

_FORMATS = ("jsonl", "columns", "html", "parquet")
_FORMAT_OF_SUFFIX = {
    "": "jsonl",
    ".jsonl": "jsonl",
    ".html": "html",
    ".htm": "html",
    ".txt": "columns",
    ".conll": "columns",
}

_EPILOG = """\
forms:
  flair-espvr predict MODEL posts.jsonl --out tagged.jsonl        posts as JSONL, which name their pictures themselves
  flair-espvr predict MODEL posts.txt --images FOLDER             column files, IMGID: or plain, with tags (which are
                                                                  ignored) or without; pictures by image id
  flair-espvr predict MODEL FOLDER --out report.html              all .jsonl, .txt and .conll files in FOLDER, by name;
                                                                  pictures in FOLDER/images or, without that, in FOLDER;
                                                                  captions.tsv, tags.tsv, ocr.tsv, knowledge.tsv and
                                                                  objects.jsonl there, for models that read them
  flair-espvr predict MODEL --text "..." --image FILE             a single post; --captions, --objects, ... by the
                                                                  picture's name
  ... | flair-espvr predict MODEL - | ...                         standard input, in any of the formats
  flair-espvr predict MODEL posts.parquet --out tagged.jsonl      Parquet with the columns text, image (a path or the
                                                                  bytes of a picture), id, caption, ...
  flair-espvr predict MODEL FILE... --out FOLDER --ray            many processes, on this machine or on a Ray cluster
                                                                  (--ray ADDRESS); see docs/scaling.md

Pictures that posts name are read below the folder of the posts only, wherever links and .. lead; another folder is
given by --images-below. What lies outside counts as a picture that cannot be read, and is on no page.

Posts are read, tagged and written a window at a time, so their number makes no difference to the memory needed; of
--images the names are held in memory, of --captions and its like all. They come out in the order in which they went in;
a post without words has no entities. A malformed post ends the run with an error that names its line, or is put aside
with --bad-posts FILE.

jsonl    the post with its "entities", each with "text", "type", "score", "start" and "end" (characters of the post's
         "text", or words where it has "tokens"), "words" and "region" (fractions of the picture, or null)
columns  an IMGID: line, then word<TAB>tag lines
html     one page with all posts and pictures (some 50 kB each: for hundreds of posts, not for a million)
parquet  with --ray: columns id, text, tokens, image, entities (as in jsonl) and other, JSON of all other fields

While --out is written it is called FILE.part. A run that was stopped, by Ctrl-C or by a power cut, goes on where it
was when the same command is given again; only a page begins anew. Nothing is written but --out: to keep the regions of
pictures for another run, give --store a store that `flair-espvr regions` has filled.

exit codes: 0 all is well, also where the reader of a pipe has seen enough; 1 not all was done, the message says why;
3 all was done, but some pictures cannot be read (they are listed with the reasons) or posts were put aside; 130 stopped
by Ctrl-C
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    add_tagger(parser)
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help="files or folders of posts, or -; see the forms")
    parser.add_argument("--text", help="a single post, in place of INPUT")
    parser.add_argument(
        "--image", metavar="FILE", action="append", help="the picture of --text; once more for each further one"
    )
    parser.add_argument("--caption", help="what describes the picture of --text")
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="pictures, by image id")
    parser.add_argument(
        "--images-below",
        type=Path,
        metavar="FOLDER",
        help="read no picture outside of FOLDER, links followed (default: the folder of the posts; for --images and "
        "--image, anywhere)",
    )
    add_contexts(parser)
    parser.add_argument("--store", type=Path, help="region store to read, in place of the model's own")
    parser.add_argument("--format", choices=_FORMATS, help="default: told by the suffix of --out, else jsonl")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write (default: standard output)")
    parser.add_argument(
        "--min-score", type=float, default=0.0, metavar="P", help="leave out entities with a score below P, in 0..1"
    )
    parser.add_argument(
        "--no-spaces",
        action="store_true",
        help="posts of words, as columns, have no spaces between these (Chinese, say): texts are shown as written",
    )
    add_bad_list_argument(parser)
    parser.add_argument(
        "--bad-posts",
        type=Path,
        metavar="FILE",
        help="put malformed posts aside, in FILE, with the reasons, as JSONL, in place of stopping at the first",
    )
    add_cluster(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no counts")


def run(arguments: argparse.Namespace) -> int:
    """Run the command.

    Returns:
        0 or, where some pictures cannot be read, 3.

    Raises:
        EspvrError: what was asked cannot be done.
        OSError: a file cannot be read or written.
    """
    from flair_espvr.errors import ConfigurationError
    from flair_espvr.io.atomic import atomic_write

    suffix = arguments.out.suffix if arguments.out else ""
    format_: Any = arguments.format or _FORMAT_OF_SUFFIX.get(suffix)
    if format_ is None:
        known = ", ".join(filter(None, _FORMAT_OF_SUFFIX))
        raise ConfigurationError(
            f"{arguments.out}: the suffix {suffix!r} tells no format to write; take one of {known}, or name the "
            "format (--format)"
        )
    if format_ == "parquet" and arguments.ray is None:
        raise ConfigurationError("--format parquet: needs --ray and a folder as --out, a file for each block of posts")
    if format_ == "html" and arguments.out is None:
        raise ConfigurationError("--format html: needs --out FILE, the page to write")
    if arguments.batch_size < 1:
        raise ConfigurationError("--batch-size should be 1 or more")
    if not 0 <= arguments.min_score <= 1:
        raise ConfigurationError("--min-score should be in 0..1")
    done = _tag_here(arguments, format_) if arguments.ray is None else _tag_on_cluster(arguments, format_)
    report_bad_images(done.bad_images, arguments.bad_list)
    if arguments.bad_posts is not None:
        with atomic_write(arguments.bad_posts) as file:
            file.writelines(done.bad_posts.lines())
    if not arguments.quiet:
        aside = f" {len(done.bad_posts):,} posts are put aside." if arguments.bad_posts is not None else ""
        print(
            f"{arguments.out or 'standard output'}: {done.posts:,} posts, {done.images:,} with a picture, "
            f"{done.entities:,} entities; {len(done.bad_images):,} pictures cannot be read.{aside}",
            file=sys.stderr,
        )
    return FOUND_BAD if len(done.bad_images) or len(done.bad_posts) else 0


def _tag_here(arguments: argparse.Namespace, format_: Any) -> "PostTagging":
    """Tag the posts in this process."""
    import flair

    from flair_espvr.data.post import Post
    from flair_espvr.models.loading import load_tagger, read_store, tagger_digest
    from flair_espvr.tagging import PostTagging, count_posts, write_tagged

    keep_bad = arguments.bad_posts is not None
    with _flair_on_stderr() as log:
        posts, folders = _posts(arguments, keep_bad)
        if arguments.no_spaces:
            posts = (replace(post, spaces=False) if isinstance(post, Post) else post for post in posts)
        log.setLevel(logging.ERROR)  # pictures that cannot be read are listed at the end, each once
        flair.device = chosen_device(arguments.device)
        tagger = load_tagger(arguments.model, trusted=arguments.trust)
        if arguments.store is not None:
            read_store(tagger, arguments.store)
        tagging = PostTagging(
            tagger,
            posts,
            batch_size=arguments.batch_size,
            amp=arguments.amp,
            keep_bad=keep_bad,
            min_score=arguments.min_score,
            relevance=format_ == "html",
        )
        made_by = {"model": tagger_digest(arguments.model), "amp": arguments.amp}
        if arguments.no_spaces:
            made_by["spaces"] = False
        if arguments.min_score:
            made_by["min_score"] = arguments.min_score
        if arguments.images_below is not None:
            made_by["images_below"] = str(arguments.images_below.resolve())
        progress = not arguments.quiet
        total = count_posts(arguments.inputs) if progress and arguments.inputs else None
        write_tagged(tagging, arguments.out, format=format_, made_by=made_by, progress=progress, total=total)
    warn_without_images(tagger, tagging.images > 0)
    for folder in folders:
        for path in sorted(folder.not_images):
            tagging.bad_images.add(str(path), "is no picture")
    return tagging


def _tag_on_cluster(arguments: argparse.Namespace, format_: str) -> "Totals":
    """Tag the posts with many processes, into a folder."""
    from flair_espvr.errors import ConfigurationError
    from flair_espvr.tagging.backends.ray import tag_on_cluster
    from flair_espvr.tagging.block_tagger import TaggingJob

    if arguments.no_spaces:
        raise ConfigurationError("--no-spaces: is for one process; leave --ray out")
    if arguments.out is None or format_ == "html":
        raise ConfigurationError(
            "--ray: needs --out FOLDER, for JSONL, columns or Parquet; a page is written by one process"
        )
    if not arguments.inputs or arguments.text is not None:
        raise ConfigurationError("--ray: needs files or folders of posts")
    job = TaggingJob(
        model=arguments.model,
        inputs=tuple(arguments.inputs),
        out=arguments.out,
        format=format_,
        images=arguments.images,
        contexts=_contexts(arguments),
        images_below=arguments.images_below,
        batch_size=arguments.batch_size,
        amp=arguments.amp,
        min_score=arguments.min_score,
        keep_bad=arguments.bad_posts is not None,
        store=arguments.store,
        trusted=arguments.trust,
        device=arguments.device or (None if arguments.gpus_per_worker else "cpu"),
    )
    return tag_on_cluster(
        job,
        address=arguments.ray,
        workers=arguments.workers,
        gpus_per_worker=arguments.gpus_per_worker,
        progress=not arguments.quiet,
    )


def _posts(arguments: argparse.Namespace, keep_bad: bool) -> tuple[Iterator["Post | BadPost"], list["ImageFolder"]]:
    """Return the posts asked for; a file that is not there is an error here, before a model is loaded."""
    from flair_espvr.errors import ConfigurationError
    from flair_espvr.tagging import posts_from, single_post

    if (arguments.text is None) == (not arguments.inputs):
        raise ConfigurationError("expected either INPUT, files or folders of posts, or --text with a single post")
    if arguments.text is not None:
        contexts = _contexts(arguments)
        if contexts and arguments.image is None:
            raise ConfigurationError(
                "--captions and its like are looked up by the picture's name: give --image as well"
            )
        post = single_post(
            arguments.text,
            image=arguments.image,
            caption=arguments.caption,
            contexts=contexts,
            images_below=arguments.images_below,
        )
        return post, []
    if arguments.image is not None or arguments.caption is not None:
        raise ConfigurationError("--image and --caption belong to --text; for files of posts, see --images, --captions")
    return posts_from(
        arguments.inputs,
        images=arguments.images,
        contexts=_contexts(arguments),
        images_below=arguments.images_below,
        keep_bad=keep_bad,
    )


def _contexts(arguments: argparse.Namespace) -> dict[str, Path]:
    """Return the files of contexts that were given, by metadata key."""
    return {CONTEXT_OPTIONS[option]: path for option, path in given_contexts(arguments).items()}


@contextmanager
def _flair_on_stderr() -> Iterator[logging.Logger]:
    """Flair's log, from warnings up, moved away from standard output, where the posts go."""
    log = logging.getLogger("flair")
    level = log.level
    log.setLevel(logging.WARNING)
    moved = [
        (handler, handler.setStream(sys.stderr)) for handler in log.handlers if type(handler) is logging.StreamHandler
    ]
    try:
        yield log
    finally:
        log.setLevel(level)
        for handler, stream in moved:
            if stream is not None:
                handler.setStream(stream)

"""`flair-espvr predict`: any number of posts through a saved tagger."""

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from flair_espvr.commands import FOUND_BAD
from flair_espvr.commands.bad_pictures import add_bad_list_argument, report_bad_pictures
from flair_espvr.commands.device import chosen_device
from flair_espvr.commands.options import add_tagger

if TYPE_CHECKING:
    from flair.data import Sentence
    from flair.nn import Classifier

    from flair_espvr.data.post import Post
    from flair_espvr.images.folder import ImageFolder
    from flair_espvr.tagging.windows import PostTagging

HELP = "tag posts with a saved model: entities with type, score and place in the picture"

_FORMATS = ("jsonl", "columns", "html")
_FORMAT_OF_SUFFIX = {".html": "html", ".htm": "html", ".txt": "columns", ".conll": "columns"}

_EPILOG = """\
forms:
  flair-espvr predict MODEL posts.jsonl --out tagged.jsonl        posts as JSONL, which name their pictures themselves
  flair-espvr predict MODEL posts.txt --images FOLDER             column files, IMGID: or plain, with tags (which are
                                                                  read over) or without; pictures by image id
  flair-espvr predict MODEL FOLDER --out report.html              all .jsonl, .txt and .conll files in FOLDER, by name;
                                                                  pictures in FOLDER/images or, without that, in FOLDER;
                                                                  captions in FOLDER/captions.tsv if it is there
  flair-espvr predict MODEL --text "..." --image FILE             a single post
  ... | flair-espvr predict MODEL - | ...                         standard input, in any of the formats

Posts are read, tagged and written a window at a time, so their number makes no difference to the memory needed; of
--images the names are held in memory, of --captions all. They come out in the order in which they went in; a post
without words has no entities.

jsonl    the post with its "entities", each with "text", "type", "score", "start" and "end" (characters of the post's
         "text", or words where it has "tokens"), "words" and "region" (fractions of the picture, or null)
columns  an IMGID: line, then word<TAB>tag lines
html     one page with all posts and pictures (some 50 kB each: for hundreds of posts, not for a million)

While --out is written it is called FILE.part. A run that was stopped, by Ctrl-C or by a power cut, goes on where it
was when the same command is given again; only a page begins anew. Nothing is written but --out: to keep the regions of
pictures for another run, give --store a store that `flair-espvr regions` has filled.

exit codes: 0 all is well, also where the reader of a pipe has seen enough; 1 not all was done, the message says why;
3 all was done, but some pictures cannot be read (they are listed with the reasons); 130 stopped by Ctrl-C
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    add_tagger(parser)
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help="files or folders of posts, or -; see the forms")
    parser.add_argument("--text", help="a single post, in place of INPUT")
    parser.add_argument("--image", metavar="FILE", help="the picture of --text")
    parser.add_argument("--caption", help="what describes the picture of --text")
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="pictures, by image id")
    parser.add_argument("--captions", type=Path, metavar="FILE", help="captions by image id, TSV or JSONL")
    parser.add_argument("--store", type=Path, help="region store to read, in place of the model's own")
    parser.add_argument("--format", choices=_FORMATS, help="default: told by the suffix of --out, else jsonl")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write (default: standard output)")
    add_bad_list_argument(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no counts")


def run(arguments: argparse.Namespace) -> int:
    """Runs the command.

    Returns:
        0 or, where some pictures cannot be read, 3.

    Raises:
        EspvrError: what was asked cannot be done.
        OSError: a file cannot be read or written.
    """
    import flair

    from flair_espvr.errors import ConfigurationError
    from flair_espvr.tagging.windows import PostTagging

    format_ = arguments.format or _FORMAT_OF_SUFFIX.get(arguments.out.suffix if arguments.out else "", "jsonl")
    if format_ == "html" and arguments.out is None:
        raise ConfigurationError("--format html: needs --out FILE, the page to write")
    if arguments.batch_size < 1:
        raise ConfigurationError("--batch-size should be 1 or more")
    with _flair_on_stderr() as log:
        posts, folders = _posts(arguments)
        log.setLevel(logging.ERROR)  # pictures that cannot be read are listed at the end, each once
        flair.device = chosen_device(arguments.device)
        tagger = _load(arguments.model, arguments.store, trusted=arguments.trust)
        tagging = PostTagging(tagger, posts, batch_size=arguments.batch_size, amp=arguments.amp)
        _write(tagging, tagger.label_type, format_, arguments)
    bad = dict(tagging.bad_pictures)
    bad.update((str(path), "is no picture") for folder in folders for path in sorted(folder.not_pictures))
    report_bad_pictures(bad, arguments.bad_list)
    if not arguments.quiet:
        print(
            f"{arguments.out or 'standard output'}: {tagging.posts:,} posts, {tagging.pictures:,} with a picture, "
            f"{tagging.entities:,} entities; {len(bad):,} pictures cannot be read.",
            file=sys.stderr,
        )
    return FOUND_BAD if bad else 0


def _posts(arguments: argparse.Namespace) -> tuple[Iterator["Post"], list["ImageFolder"]]:
    """The posts asked for, not read yet, and where their pictures are looked up.

    A file that is not there is an error here, before a model is loaded.
    """
    import json
    from itertools import chain

    from flair_espvr.data.formats.captions import read_captions
    from flair_espvr.data.formats.detect import post_files
    from flair_espvr.errors import ConfigurationError
    from flair_espvr.images.folder import ImageFolder
    from flair_espvr.tagging.sources import STDIN, parse_untagged_posts, read_untagged_posts

    if (arguments.text is None) == (not arguments.inputs):
        raise ConfigurationError("expected either INPUT, files or folders of posts, or --text with a single post")
    if arguments.text is not None:
        fields = {"text": arguments.text, "image": arguments.image, "caption": arguments.caption}
        line = json.dumps({name: value for name, value in fields.items() if value is not None})
        return parse_untagged_posts([(1, line)], source="--text", folder=Path()), []
    if arguments.image is not None or arguments.caption is not None:
        raise ConfigurationError("--image and --caption belong to --text; for files of posts, see --images, --captions")
    images = None if arguments.images is None else ImageFolder(arguments.images)
    captions = None if arguments.captions is None else read_captions(arguments.captions)
    folders = [] if images is None else [images]
    streams = []
    for name in arguments.inputs:
        path = STDIN if name == "-" else Path(name)
        if not path.is_dir():
            path.stat()
            streams.append(read_untagged_posts(path, images=images, captions=captions))
            continue
        files, own_captions = post_files(path), path / "captions.tsv"
        beside = images
        if beside is None:
            beside = ImageFolder(path / "images" if (path / "images").is_dir() else path)
            folders.append(beside)
        told = captions if captions is not None or not own_captions.exists() else read_captions(own_captions)
        streams += [read_untagged_posts(file, images=beside, captions=told) for file in files]
    return chain.from_iterable(streams), folders


def _load(model: Path, store: Path | None, *, trusted: bool) -> "Classifier[Sentence]":
    from flair_espvr.errors import ConfigurationError
    from flair_espvr.evaluation.evaluate import load_model

    tagger = load_model(model, trusted=trusted)
    if store is not None:
        regions = getattr(tagger, "region_embeddings", None)
        if regions is None:
            raise ConfigurationError(f"--store {store}: {model} reads no pictures")
        regions.use_store(store, read_only=True)
    return tagger


def _write(tagging: "PostTagging", label_type: str, format_: str, arguments: argparse.Namespace) -> None:
    from flair_espvr.errors import ConfigurationError
    from flair_espvr.io.download import sha256_of
    from flair_espvr.io.resumable import ResumableFile
    from flair_espvr.report import write_report
    from flair_espvr.tagging.outputs import column_predictions, jsonl_predictions

    if format_ == "html":
        posts = (post for window in _with_progress(tagging, arguments.quiet) for post in window)
        write_report(posts, arguments.out, label_type=label_type)
        return
    to_bytes = column_predictions if format_ == "columns" else jsonl_predictions
    if arguments.out is None:
        for window in _with_progress(tagging, arguments.quiet):
            _print(to_bytes(window, label_type=label_type))
        return
    model = arguments.model
    files = sorted(file for file in model.rglob("*") if file.is_file()) if model.is_dir() else [model]
    made_by = {"model": [sha256_of(file) for file in files], "format": format_, "amp": arguments.amp}
    with ResumableFile(arguments.out, made_by) as file:
        if file.notes and not tagging.resume(file.notes):
            raise ConfigurationError(
                f"{file.part}: the first {tagging.posts:,} posts are not those that the interrupted run tagged (their "
                "texts, ids, captions or pictures' places differ); write to another file, or remove this one"
            )
        for window in _with_progress(tagging, arguments.quiet):
            file.write(to_bytes(window, label_type=label_type), tagging.note())
        file.finish()


def _with_progress(tagging: "PostTagging", quiet: bool) -> Iterator[list["Sentence"]]:
    from tqdm import tqdm

    with tqdm(desc="Tagging", initial=tagging.posts, unit="post", dynamic_ncols=True, disable=quiet) as bar:
        for window in tagging.windows():
            yield window
            bar.update(len(window))


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


def _print(content: bytes) -> None:
    try:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except OSError as error:
        raise OSError(error.errno, error.strerror, "standard output") from error

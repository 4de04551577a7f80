"""The pictures that a command goes through, of a folder or of the posts of a corpus, and its report about them."""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from flair_espvr.commands import FOUND_BAD
from flair_espvr.commands.bad_images import add_bad_list_argument, report_bad_images

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flair_espvr.data.post import Picture, Post


def forms(command: str, out: str) -> str:
    """Return the part of a command's help that says what pictures it takes."""
    name = f"flair-espvr {command}"
    lines = [
        (f"{name} FOLDER --out {out}", "all pictures in FOLDER and below; ids are file names"),
        (f"{name} POSTS --out {out}", "the pictures of POSTS, one file of posts or a folder with"),
        ("", "train, valid or dev, test: those that posts name, or"),
        ("", "by image id in its folder images or beside the posts"),
        (f"{name} POSTS --images FOLDER --out {out}", "the same, by image id in another folder"),
    ]
    return "forms:\n" + "\n".join(f"  {form:<62}  {meaning}".rstrip() for form, meaning in lines) + "\n"


def add_picture_arguments(parser: argparse.ArgumentParser, *, epilog: str, out: str, batch_size: int) -> None:
    """`FOLDER_OR_CORPUS`, `--out`, `--images`, `--batch-size`, `--device` and `--bad-list`.

    Args:
        parser: of the command.
        epilog: the end of the command's help, printed as it is.
        out: what the output file is, for its help.
        batch_size: default of pictures at once.
    """
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = epilog
    parser.add_argument("source", type=Path, metavar="FOLDER_OR_CORPUS", help="pictures, or posts; see the forms")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help=f"{out}; begun or new")
    parser.add_argument(
        "--images", type=Path, metavar="FOLDER", help="a corpus's pictures, by image id (default: its images)"
    )
    parser.add_argument(
        "--batch-size", type=int, default=batch_size, metavar="N", help="pictures at once (default: %(default)s)"
    )
    parser.add_argument("--device", help="where to compute, e.g. cpu or cuda:1 (default: a GPU if there is one)")
    add_bad_list_argument(parser)


def report_pictures(
    out: Path, kind: str, wanted: Mapping[str, Path], failures: Mapping[str, str], bad_list: Path | None
) -> int:
    """Print what a command did; returns its exit code.

    Args:
        out: the file written.
        kind: what is in it, in the plural.
        wanted: the pictures found, by image id.
        failures: the reason for each that has no line, and for ids without a picture.
        bad_list: a file for all of these.

    Raises:
        OSError: that file cannot be written.
    """
    from flair_espvr.images.bad_images import BadImages

    report_bad_images(BadImages(failures), bad_list)
    total = len(wanted.keys() | failures.keys())
    print(f"{out}: {kind} of {total - len(failures):,} of {total:,} pictures.")
    return FOUND_BAD if failures else 0


def find_pictures(source: Path, images: Path | None, *, copies: bool = False) -> tuple[dict[str, Path], dict[str, str]]:
    """Picture files by image id, and the reason for each id that has none.

    Args:
        source: a folder of pictures, a folder of posts, or a file of posts.
        images: where the pictures of posts are that name none; None for what a folder of posts brings along.
        copies: of a folder of pictures take all, by their paths, where several have one name in different folders.

    Raises:
        ConfigurationError: there are no pictures, or no posts.
        PostFormatError: the posts cannot be read.
    """
    from flair_espvr.errors import ConfigurationError

    pictures, failures = _pictures_of_posts(source, images) or ({}, {})
    if not pictures and images is None and source.is_dir():
        pictures, failures = _images_in(source, copies=copies)
    if not pictures:
        raise ConfigurationError(
            f"{images or source}: no pictures {'of these posts' if images else 'there, nor in the folders below'}. "
            "Expected a folder of pictures, or posts that name theirs or have them in a folder (--images)"
        )
    return pictures, failures


def _pictures_of_posts(source: Path, images: Path | None) -> tuple[dict[str, Path], dict[str, str]] | None:
    """Return what `find_pictures` gives for posts; None for a folder without posts.

    A post's pictures are those that it names; in place of one that is not there, and for a post that names none, it is
    the one of the image id.

    Raises:
        ConfigurationError: a folder of pictures is named for a folder without posts, or is not there.
        PostFormatError: the posts cannot be read.
    """
    from flair_espvr.data.formats.convert import read_any
    from flair_espvr.data.formats.detect import split_files
    from flair_espvr.data.post_folder import image_folder
    from flair_espvr.errors import ConfigurationError
    from flair_espvr.images.folder import ImageFolder

    try:
        files = [source] if source.is_file() else split_files(source)
    except ConfigurationError:
        if images is not None:
            raise
        return None
    folder = ImageFolder(images or image_folder(files[0].parent))
    pictures: dict[str, Path] = {}
    failures: dict[str, str] = {}
    posts = (post for file in files for post in read_any(file))
    for owner, image_id, image in (wanted for post in posts for wanted in _wanted(post)):
        if image_id in pictures:
            continue
        named = Path(image) if isinstance(image, str) and os.path.isfile(image) else None
        found = named or folder.find(image_id)
        if found is not None:
            pictures[image_id] = found
            failures.pop(image_id, None)
        elif image is not None or owner.record is None:
            failures[image_id] = f"no such picture in {folder.folder}"
    return pictures, failures


def _wanted(post: "Post") -> "Iterator[tuple[Post, str, Picture | None]]":
    """Yield a post with the image id of each of its pictures, and what it names there."""
    for image_id, image in zip(post.picture_ids, post.images or (None,), strict=True):
        if image_id:
            yield post, image_id, image


def _images_in(folder: Path, *, copies: bool) -> tuple[dict[str, Path], dict[str, str]]:
    from flair_espvr.images.folder import find_images

    pictures: dict[str, Path] = {}
    failures: dict[str, str] = {}
    for path in find_images(folder):
        image_id = str(path) if copies else path.stem
        if image_id in pictures:
            failures[str(path)] = "another picture has this image id, and was taken"
        else:
            pictures[image_id] = path
    return pictures, failures

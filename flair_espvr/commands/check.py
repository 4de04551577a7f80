"""`flair-espvr check`: what leaks between the splits of a corpus, where its labels are noisy, and what is not there."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from flair_espvr.commands import FOUND_BAD

if TYPE_CHECKING:
    from collections.abc import Callable

    from flair_espvr.data.post import Post

HELP = "report posts shared between splits, repeated posts, contradicting labels, invalid tags and missing pictures"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "data",
        metavar="DATA",
        type=Path,
        help="a folder with train, valid or dev, and test as .txt, .conll or .jsonl, or one file of posts",
    )
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="pictures by image id (default: as in training)")
    parser.add_argument(
        "--encoder",
        metavar="MODEL",
        help="also count the words that this encoder does not know, and the posts that are longer than it reads",
    )
    parser.add_argument("--all", action="store_true", help="show all that was found, in place of a few examples")


def run(arguments: argparse.Namespace) -> int:
    """Print the report; the exit code is 0 when nothing was found and 3 when something was."""
    from flair_espvr.data.checks import SHOWN_EXAMPLES, check_splits
    from flair_espvr.data.encoder_fit import read_tokenizer
    from flair_espvr.data.formats.convert import read_any
    from flair_espvr.data.formats.detect import CORPUS_FILES, corpus_files, split_files
    from flair_espvr.io.pretrained import find_model

    files = [arguments.data] if arguments.data.is_file() else split_files(arguments.data)
    tokenizer = None if arguments.encoder is None else read_tokenizer(find_model(arguments.encoder))
    report = check_splits(
        {path.name: read_any(path) for path in files},
        pictures_there=_pictures(arguments.images, files[0].parent),
        tokenizer=tokenizer,
    )
    print(report.to_text(None if arguments.all else SHOWN_EXAMPLES))
    if arguments.data.is_dir():
        for split, name in corpus_files(arguments.data).items():
            if name is None and split != "train":
                names = " or ".join(CORPUS_FILES[split])
                print(f"no {names}: tell a corpus {split}_file=None, a recipe {split}_file: null")
    return 0 if report.clean else FOUND_BAD


def _pictures(images: Path | None, posts: Path) -> "Callable[[Post], int]":
    """Tells how many of a post's pictures are there: those that it names or, without a name, the one of its id."""
    from flair_espvr.data.post_folder import image_folder
    from flair_espvr.images.folder import ImageFolder

    folder = ImageFolder(images or image_folder(posts))

    def there(post: "Post") -> int:
        if post.images:
            return sum(isinstance(image, str) and Path(image).is_file() for image in post.images)
        return post.image_id is not None and folder.find(post.image_id) is not None

    return there

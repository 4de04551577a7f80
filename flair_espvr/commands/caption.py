"""`flair-espvr caption`: a sentence about each picture of a folder or a corpus, into a captions file."""

import argparse
from pathlib import Path

from flair_espvr.commands import FOUND_BAD
from flair_espvr.commands.bad_images import add_bad_list_argument, report_bad_images
from flair_espvr.commands.device import chosen_device

HELP = "describe the pictures of a folder or a corpus in a captions file"

_EPILOG = """\
forms:
  flair-espvr caption FOLDER --out captions.tsv                   all pictures in FOLDER and below; ids are file names
  flair-espvr caption CORPUS --out captions.tsv                   the pictures of the posts in CORPUS, a folder with
                                                                  train, valid or dev, test and the folder images
  flair-espvr caption CORPUS --images FOLDER --out captions.tsv   the same for pictures that lie elsewhere; CORPUS may
                                                                  be a single file of posts

A run that was stopped, by Ctrl-C or by a power cut, goes on where it was when started again. Pictures that a file
has a caption for are not described again; for other settings, take another file.
To caption with a model or service of your own, see flair_espvr.annotators.caption_writer.caption_images.

exit codes: 0 every picture has its caption; 1 not all was done, the message says why; 3 all was done, but some
pictures could not be described (standard error says which and why); 130 stopped by Ctrl-C
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("source", type=Path, metavar="FOLDER_OR_CORPUS", help="pictures, or posts; see the forms")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the captions file, TSV; begun or new")
    parser.add_argument(
        "--images", type=Path, metavar="FOLDER", help="a corpus's pictures, by image id (default: its images)"
    )
    parser.add_argument(
        "--model",
        default="Salesforce/blip-image-captioning-base",
        help="a BLIP, BLIP-2, GIT, ViT-GPT2 or Florence-2: hub name or folder (default: %(default)s)",
    )
    parser.add_argument("--revision", help="the model's branch, tag or commit on the hub")
    parser.add_argument("--prompt", help="text that the model continues, or the task token of Florence-2")
    parser.add_argument("--num-beams", type=int, default=3, metavar="N", help="1 is greedy (default: %(default)s)")
    parser.add_argument(
        "--max-new-tokens", type=int, default=30, metavar="N", help="longest caption (default: %(default)s)"
    )
    parser.add_argument(
        "--batch-size", type=int, default=16, metavar="N", help="pictures at once (default: %(default)s)"
    )
    parser.add_argument("--device", help="where to compute, e.g. cpu or cuda:1 (default: a GPU if there is one)")
    add_bad_list_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command.

    Returns:
        0 or, where some pictures have no caption, 3.

    Raises:
        EspvrError: what was asked cannot be done.
    """
    pictures, failures = _find_images(arguments.source, arguments.images)

    import flair

    from flair_espvr.annotators.caption_writer import caption_images
    from flair_espvr.annotators.captioner import Captioner
    from flair_espvr.images.bad_images import BadImages

    flair.device = chosen_device(arguments.device)  # what the captioner follows
    captioner = Captioner(
        arguments.model,
        revision=arguments.revision,
        batch_size=arguments.batch_size,
        max_new_tokens=arguments.max_new_tokens,
        num_beams=arguments.num_beams,
        prompt=arguments.prompt,
    )
    failures |= caption_images(
        captioner, pictures, arguments.out, settings=captioner.settings, batch_size=arguments.batch_size
    )
    report_bad_images(BadImages(failures), arguments.bad_list)
    wanted = len(pictures.keys() | failures.keys())
    print(f"{arguments.out}: captions of {wanted - len(failures):,} of {wanted:,} pictures.")
    return FOUND_BAD if failures else 0


def _find_images(source: Path, images: Path | None) -> tuple[dict[str, Path], dict[str, str]]:
    """Picture files by image id, and the reason for each id that has none."""
    from flair_espvr.errors import ConfigurationError

    images = images or _images_of_corpus(source)
    pictures, failures = _images_in(source) if images is None else _images_of_posts(source, images)
    if not pictures:
        raise ConfigurationError(
            f"{images or source}: no pictures {'of these posts' if images else 'there, nor in the folders below'}. "
            "Expected a folder of pictures, or posts and --images with the folder of their pictures"
        )
    return pictures, failures


def _images_of_corpus(folder: Path) -> Path | None:
    """Where a folder of posts keeps its pictures; `None` for a folder of pictures alone."""
    from flair_espvr.data.formats.detect import split_files
    from flair_espvr.errors import ConfigurationError

    images = folder / "images"
    try:
        return images if images.is_dir() and split_files(folder) else None
    except ConfigurationError:
        return None


def _images_in(folder: Path) -> tuple[dict[str, Path], dict[str, str]]:
    from flair_espvr.images.folder import find_images

    pictures: dict[str, Path] = {}
    failures: dict[str, str] = {}
    for path in find_images(folder):
        if path.stem in pictures:
            failures[str(path)] = "another picture has this image id, and was described"
        else:
            pictures[path.stem] = path
    return pictures, failures


def _images_of_posts(corpus: Path, images: Path) -> tuple[dict[str, Path], dict[str, str]]:
    from flair_espvr.data.formats.convert import read_any
    from flair_espvr.data.formats.detect import split_files
    from flair_espvr.images.folder import ImageFolder

    folder = ImageFolder(images)
    files = [corpus] if corpus.is_file() else split_files(corpus)
    image_ids = dict.fromkeys(post.image_id for file in files for post in read_any(file) if post.image_id)
    found = {image_id: folder.find(image_id) for image_id in image_ids}
    pictures = {image_id: path for image_id, path in found.items() if path is not None}
    missing = [image_id for image_id, path in found.items() if path is None]
    return pictures, dict.fromkeys(missing, f"no such picture in {images}")

"""`flair-espvr caption`: a sentence about each picture of a folder or a corpus, into a captions file."""

import argparse

from flair_espvr.commands.device import chosen_device
from flair_espvr.commands.pictures import add_picture_arguments, find_pictures, forms, report_pictures

HELP = "describe the pictures of a folder or a corpus in a captions file"

_EPILOG = (
    forms("caption", "captions.tsv")
    + """
A run that was stopped, by Ctrl-C or by a power cut, goes on where it was when started again. Pictures that a file
has a caption for are not described again; for other settings, take another file.
To caption with a model or service of your own, see flair_espvr.annotators.caption_writer.caption_images.

exit codes: 0 every picture has its caption; 1 not all was done, the message says why; 3 all was done, but some
pictures could not be described (standard error says which and why); 130 stopped by Ctrl-C
"""
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_picture_arguments(parser, epilog=_EPILOG, out="the captions file, TSV", batch_size=16)
    parser.add_argument(
        "--model",
        default="Salesforce/blip-image-captioning-base",
        help="a BLIP, BLIP-2, GIT, ViT-GPT2 or Florence-2: hub name, folder, package:NAME/PATH (default: %(default)s)",
    )
    parser.add_argument("--revision", help="the model's branch, tag or commit on the hub")
    parser.add_argument("--prompt", help="text that the model continues, or the task token of Florence-2")
    parser.add_argument("--num-beams", type=int, default=3, metavar="N", help="1 is greedy (default: %(default)s)")
    parser.add_argument(
        "--max-new-tokens", type=int, default=30, metavar="N", help="longest caption (default: %(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command.

    Returns:
        0 or, where some pictures have no caption, 3.

    Raises:
        EspvrError: what was asked cannot be done.
    """
    pictures, failures = find_pictures(arguments.source, arguments.images)

    import flair

    from flair_espvr.annotators.caption_writer import caption_images
    from flair_espvr.annotators.captioner import Captioner

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
    return report_pictures(arguments.out, "captions", pictures, failures, arguments.bad_list)

"""`flair-espvr objects`: the objects in each picture of a folder or a corpus, into a file of objects."""

import argparse

from flair_espvr.commands.device import chosen_device
from flair_espvr.commands.pictures import add_picture_arguments, find_pictures, forms, report_pictures

HELP = "find the objects in the pictures of a folder or a corpus"

_EPILOG = (
    forms("objects", "objects.jsonl")
    + """
detectors (--detector):
  fasterrcnn_resnet50_fpn_v2, maskrcnn_resnet50_fpn_v2   torchvision's, of the 80 classes of COCO
  a DETR, RT-DETR or RT-DETR v2                          hub name or folder; its own classes
  a Grounding DINO or OWLv2                              hub name or folder; finds what --prompts names
  a Florence-2                                           hub name or folder; all objects, or what --prompts names
  package.module:Class                                   your own: detect(pictures, prompts); docs/annotators.md

By default, an RT-DETR v2 or, with --prompts, a Grounding DINO. Names of classes are written, never their numbers.
A run that was stopped, by Ctrl-C or by a power cut, goes on where it was when started again. Pictures that a file
has a line for are not looked at again; for other settings, take another file.

exit codes: 0 every picture has its line; 1 not all was done, the message says why; 3 all was done, but some pictures
cannot be read (standard error says which and why); 130 stopped by Ctrl-C
"""
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_picture_arguments(parser, epilog=_EPILOG, out="the file of objects, JSONL", batch_size=8)
    parser.add_argument("--detector", metavar="NAME", help="what finds the objects; see the detectors")
    parser.add_argument("--revision", help="the detector's branch, tag or commit on the hub")
    parser.add_argument("--prompts", metavar="A,B,...", help="what to look for, for detectors that are told")
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="P",
        help="least score of an object, 0..1 (default: 0.5, or 0.3 with --prompts; a Florence-2 gives no scores)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command.

    Returns:
        0 or, where some pictures cannot be read, 3.

    Raises:
        EspvrError: what was asked cannot be done.
    """
    pictures, failures = find_pictures(arguments.source, arguments.images)

    import flair

    from flair_espvr.annotators.detectors import load_detector
    from flair_espvr.annotators.object_writer import detect_objects

    flair.device = chosen_device(arguments.device)  # what the detector follows
    prompts = None if arguments.prompts is None else [prompt.strip() for prompt in arguments.prompts.split(",")]
    detector, settings = load_detector(
        arguments.detector, prompts=prompts, revision=arguments.revision, threshold=arguments.threshold
    )
    failures |= detect_objects(
        detector, pictures, arguments.out, settings=settings, prompts=prompts, batch_size=arguments.batch_size
    )
    return report_pictures(arguments.out, "objects", pictures, failures, arguments.bad_list)

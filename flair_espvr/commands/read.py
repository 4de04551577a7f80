"""`flair-espvr read`: the text in each picture of a folder or a corpus, into a file of texts."""

import argparse

from flair_espvr.commands.device import chosen_device
from flair_espvr.commands.pictures import add_picture_arguments, find_pictures, forms, report_pictures

HELP = "read the text in the pictures of a folder or a corpus (OCR)"

_EPILOG = (
    forms("read", "ocr.tsv")
    + """
readers (--reader):
  rapidocr               PP-OCR through ONNX Runtime, on the CPU; fetches nothing (pip install 'flair-espvr[ocr]')
  a Florence-2           hub name or folder
  package.module:Class   one of your own: read(pictures), see docs/annotators.md

A picture without text has a line with nothing behind its id. A run that was stopped, by Ctrl-C or by a power cut, goes
on where it was when started again. Pictures that a file has a line for are not read again; for other settings, take
another file.

exit codes: 0 every picture has its line; 1 not all was done, the message says why; 3 all was done, but some pictures
cannot be read (standard error says which and why); 130 stopped by Ctrl-C
"""
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_picture_arguments(parser, epilog=_EPILOG, out="the file of texts, TSV", batch_size=8)
    parser.add_argument("--reader", metavar="NAME", default="rapidocr", help="see the readers (default: %(default)s)")
    parser.add_argument("--revision", help="the reader's branch, tag or commit on the hub")


def run(arguments: argparse.Namespace) -> int:
    """Run the command.

    Returns:
        0 or, where some pictures cannot be read, 3.

    Raises:
        EspvrError: what was asked cannot be done.
    """
    pictures, failures = find_pictures(arguments.source, arguments.images)

    import flair

    from flair_espvr.annotators.text_reader import load_reader
    from flair_espvr.annotators.text_writer import read_text

    flair.device = chosen_device(arguments.device)  # what a Florence-2 follows
    reader, settings = load_reader(arguments.reader, revision=arguments.revision)
    failures |= read_text(reader, pictures, arguments.out, settings=settings, batch_size=arguments.batch_size)
    return report_pictures(arguments.out, "texts", pictures, failures, arguments.bad_list)

"""`flair-espvr check`: what leaks between the splits of a corpus, and where its labels are noisy."""

import argparse
from pathlib import Path

from flair_espvr.commands import FOUND_BAD

HELP = "report posts shared between splits, repeated posts, contradicting labels and invalid tags"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "data_folder",
        metavar="DATA_FOLDER",
        type=Path,
        help="a folder with train, valid or dev, and test as .txt, .conll or .jsonl",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the report; the exit code is 0 when nothing was found and 3 when something was."""
    from flair_espvr.data.checks import check_splits
    from flair_espvr.data.formats.convert import read_any
    from flair_espvr.data.formats.detect import split_files

    report = check_splits({path.name: read_any(path) for path in split_files(arguments.data_folder)})
    print(report)
    return 0 if report.clean else FOUND_BAD

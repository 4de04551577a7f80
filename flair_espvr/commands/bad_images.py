"""Bad images in the output of a command: a few lines by reason, and the whole list in a file for who wants it."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flair_espvr.images.bad_images import BadImages


def add_bad_list_argument(parser: argparse.ArgumentParser) -> None:
    """Declare the argument that `report_bad_images` takes as `bad_list`."""
    parser.add_argument(
        "--bad-list",
        type=Path,
        metavar="FILE",
        help="write all bad pictures and their reasons here, as JSONL; standard error gets a summary",
    )


def report_bad_images(bad: "BadImages", bad_list: Path | None) -> None:
    """Summarise bad images on standard error.

    Args:
        bad: the images.
        bad_list: a file for all of them, a line of JSON each.

    Raises:
        OSError: the file cannot be written.
    """
    for line in bad.summary():
        print(line, file=sys.stderr)
    if bad_list is not None:
        from flair_espvr.io.atomic import atomic_write

        with atomic_write(bad_list) as file:
            file.writelines(bad.lines())
    elif not bad.all_named:
        print("All of them, one a line: --bad-list FILE", file=sys.stderr)

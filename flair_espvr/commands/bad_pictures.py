"""Bad pictures in the output of a command: a few lines by reason, and the whole list in a file for who wants it."""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

_EXAMPLES = 3
"""Pictures named for each reason."""

_REASONS = 10
"""Reasons told apart."""

_NUMBER = re.compile(r"\d[\d,]*")


def add_bad_list_argument(parser: argparse.ArgumentParser) -> None:
    """The argument that `report_bad_pictures` takes as `bad_list`."""
    parser.add_argument(
        "--bad-list",
        type=Path,
        metavar="FILE",
        help="write all bad pictures and their reasons here, as JSONL; standard error gets a summary",
    )


def report_bad_pictures(reasons: Mapping[str, str], bad_list: Path | None) -> None:
    """Summarises bad pictures on standard error.

    Args:
        reasons: how the command names a picture -> why it is bad.
        bad_list: a file for all of them, a line `{"picture": ..., "reason": ...}` each.

    Raises:
        OSError: the file cannot be written.
    """
    for line in summary(reasons):
        print(line, file=sys.stderr)
    if bad_list is not None:
        from flair_espvr.io.atomic import atomic_write

        with atomic_write(bad_list) as file:
            for picture, reason in reasons.items():
                file.write(json.dumps({"picture": picture, "reason": reason}).encode() + b"\n")
    elif len(reasons) > _EXAMPLES:
        print("All of them, one a line: --bad-list FILE", file=sys.stderr)


def summary(reasons: Mapping[str, str]) -> Iterator[str]:
    """A line for each of the commonest reasons, with some of its pictures; numbers alone do not make another reason."""
    pictures: dict[str, list[str]] = {}
    for picture, reason in reasons.items():
        pictures.setdefault(_NUMBER.sub("N", reason), []).append(picture)
    commonest = sorted(pictures.items(), key=lambda item: -len(item[1]))
    for kind, named in commonest[:_REASONS]:
        exact = {reasons[picture] for picture in named}
        examples = ", ".join(map(_printable, named[:_EXAMPLES])) + (", ..." if len(named) > _EXAMPLES else "")
        yield f"{len(named):,} bad: {exact.pop() if len(exact) == 1 else kind} ({examples})"
    if others := sum(len(named) for _, named in commonest[_REASONS:]):
        yield f"{others:,} bad: for {len(commonest) - _REASONS:,} other reasons"


def _printable(name: str) -> str:
    """A file's name as it is, or quoted where control characters or bytes that are no text would reach a terminal."""
    return name if name.isprintable() else ascii(name)

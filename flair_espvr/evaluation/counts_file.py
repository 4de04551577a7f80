"""How many entities of each post were right, kept as CSV: enough to test one system against another, without the posts.

Posts and their labels often may not be passed on, as those of Twitter; these numbers hold neither. After the header a
line is a post, in the order of the test file: its gold, its predicted and its correctly predicted entities.
"""

from pathlib import Path

import numpy as np

from flair_espvr.evaluation.significance import PostCounts
from flair_espvr.io.atomic import write_text
from flair_espvr.io.lines import format_error, read_lines

_HEADER = "gold,predicted,correct"
_EXPECTED = "three whole numbers below a billion, of which the third is no larger than the others"


def write_counts(path: str | Path, counts: PostCounts) -> None:
    """Write the counts of each post; the file appears whole or not at all.

    Args:
        path: the file to write; its folder must exist.
        counts: (N, 3), see `PostCounts`.

    Raises:
        OSError: the file cannot be written.
    """
    lines = [_HEADER, *(",".join(map(str, post)) for post in counts.tolist())]
    write_text(path, "\n".join(lines) + "\n")


def read_counts(path: str | Path) -> PostCounts:
    """Read what `write_counts` wrote.

    Returns:
        (N, 3), see `PostCounts`.

    Raises:
        OSError: the file cannot be opened.
        PostFormatError: a line is damaged.
    """
    lines = read_lines(path)
    number, header = next(lines, (1, ""))
    if header != _HEADER:
        raise format_error(path, number, header, f"the header {_HEADER}")
    counts = []
    for number, line in lines:
        try:
            gold, predicted, correct = map(_count, line.split(","))
            if correct > min(gold, predicted):
                raise ValueError
        except ValueError:
            raise format_error(path, number, line, _EXPECTED) from None
        counts.append((gold, predicted, correct))
    return np.array(counts, dtype=np.int64).reshape(-1, 3)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ValueError
    return int(text)

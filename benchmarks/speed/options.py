"""What the scripts are asked for on the command line."""

import argparse
from pathlib import Path


def parser(description: str | None, *, posts: int = 320, rounds: int = 7) -> argparse.ArgumentParser:
    """Options that the scripts share."""
    result = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    result.add_argument("--data", type=Path, metavar="FOLDER", help="tweets, with captions.tsv; written posts without")
    result.add_argument("--posts", type=int, default=posts)
    result.add_argument("--rounds", type=int, default=rounds, help="timed rounds of each comparison")
    result.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    return result

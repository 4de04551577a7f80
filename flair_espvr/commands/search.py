"""`flair-espvr search`: try every combination of some settings, and rank them by their score on the dev posts."""

import argparse
import sys
from pathlib import Path

from flair_espvr.commands import FOUND_BAD
from flair_espvr.commands.cluster import add_cluster, make_jobs
from flair_espvr.commands.options import add_runs_folder, quiet_flair

HELP = "grid search over a recipe's settings, by dev score only; points that are done are skipped"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("search", type=Path, metavar="SEARCH", help="a YAML file, see recipes/search/")
    add_runs_folder(parser)
    add_cluster(parser)
    parser.add_argument("--no-run", action="store_true", help="make nothing; show what is done")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; `FOUND_BAD` where some points could not be run."""
    from flair_espvr.training.search import load_search, points, ranking_to_markdown

    found = points(load_search(arguments.search), arguments.out)
    quiet_flair()
    problems = make_jobs(found, arguments)
    for problem in problems:
        print(f"not run: {problem}", file=sys.stderr)
    print(ranking_to_markdown(found))
    return FOUND_BAD if problems else 0

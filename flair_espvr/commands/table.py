"""`flair-espvr table`: run what a table needs and does not have, then print it."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flair_espvr.commands import FOUND_BAD
from flair_espvr.commands.cluster import add_cluster, make_jobs
from flair_espvr.commands.options import add_runs_folder, add_trust, quiet_flair

if TYPE_CHECKING:
    from flair_espvr.training.tables.cell_runs import CellRun
    from flair_espvr.training.tables.table_file import TableFile

HELP = "run what a table needs and does not have, and write it to FOLDER/tables as Markdown, CSV and LaTeX"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("table", type=Path, metavar="TABLE", help="a YAML file, see recipes/tables/")
    add_runs_folder(parser)
    parser.add_argument(
        "--compare",
        nargs=2,
        action="append",
        default=[],
        metavar=("SYSTEM", "SYSTEM"),
        help="also test the difference between these two rows (may be repeated)",
    )
    add_trust(parser)
    add_cluster(parser)
    parser.add_argument("--no-run", action="store_true", help="make nothing; show what is done")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; `FOUND_BAD` where the table was written but some runs could not be made."""
    from flair_espvr.io.atomic import write_text
    from flair_espvr.training.tables.cell_runs import finished_runs
    from flair_espvr.training.tables.comparison import comparisons_to_markdown
    from flair_espvr.training.tables.latex import to_latex
    from flair_espvr.training.tables.markdown import to_markdown
    from flair_espvr.training.tables.table_file import load_table
    from flair_espvr.training.tables.table_results import comparisons, results_table
    from flair_espvr.training.tables.tidy_csv import to_csv

    table = load_table(arguments.table, compare=arguments.compare)
    finished = finished_runs(table, arguments.out) if arguments.no_run else None
    runs, missing, problems = (*finished, []) if finished is not None else _made(table, arguments)
    for problem in problems:
        print(f"not made: {problem}", file=sys.stderr)

    results = results_table(table, runs)
    markdown = f"{to_markdown(results)}\n{comparisons_to_markdown(comparisons(table, runs))}"
    folder = arguments.out / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, text in ((".md", markdown), (".csv", to_csv(results)), (".tex", to_latex(results))):
        write_text(folder / (arguments.table.stem + suffix), text)
    print(markdown)
    if missing:
        print(f"{missing} of {missing + len(runs)} runs are missing from this table", file=sys.stderr)
    return FOUND_BAD if problems else 0


def _made(table: "TableFile", arguments: argparse.Namespace) -> tuple[Sequence["CellRun"], int, Sequence[str]]:
    """Make the runs that are not done, unless none is to be; return those that are, how many are not, and why."""
    from flair_espvr.training.tables.table_runs import cell_jobs

    jobs = cell_jobs(table, arguments.out, trust=arguments.trust)
    quiet_flair()
    problems = make_jobs(jobs, arguments)
    done = [job for job in jobs if job.is_done]
    return done, len(jobs) - len(done), problems

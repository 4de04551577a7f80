"""From the finished runs of a table to its figures and to tests of its differences."""

import functools
import operator
from collections import defaultdict
from collections.abc import Mapping, Sequence

from flair_espvr.evaluation.predictions_file import read_predictions
from flair_espvr.evaluation.scores import Score, Scores
from flair_espvr.evaluation.significance import (
    PostCounts,
    approximate_randomization,
    paired_bootstrap,
    post_counts,
)
from flair_espvr.training.tables.comparison import Comparison
from flair_espvr.training.tables.layout import Column, Row, Table
from flair_espvr.training.tables.table_file import OVERALL, TableFile
from flair_espvr.training.tables.table_runs import CellRun


def results_table(table: TableFile, runs: Sequence[CellRun]) -> Table:
    """The table's figures: those of the finished runs, and those of the paper."""
    done = _done(runs)
    rows = []
    for row in table.rows:
        values: dict[str, list[float]] = defaultdict(list)
        for group in row.cells:
            for cell_run in done.get((row.title, group), ()):
                scores = cell_run.folder.read_scores(cell_run.evaluation)["lenient"]
                for column, figure in _figures(scores, table.types).items():
                    values[_key(group, column)].append(figure)
        paper = {
            _key(group, column): figure for group, cell in row.cells.items() for column, figure in cell.paper.items()
        }
        rows.append(Row(row.title, values=values, reference=paper, note=row.note))
    titles = {name: f"{name} F1" for name in table.types}
    columns = [
        Column(_key(group, column), titles.get(column, column), group)
        for group in table.groups
        for column in table.columns
    ]
    return Table(columns, rows, table.title)


def comparisons(table: TableFile, runs: Sequence[CellRun]) -> list[Comparison]:
    """Tests between the pairs that the table names, wherever both have finished runs of the same seeds."""
    done = _done(runs)
    found = []
    for first, second in table.compare:
        for group in table.groups:
            pair = [{cell_run.seed: cell_run for cell_run in done.get((title, group), ())} for title in (first, second)]
            seeds = sorted(pair[0].keys() & pair[1].keys())
            if not seeds:
                continue
            ours, theirs = (_counts([side[seed] for seed in seeds]) for side in pair)
            interval = paired_bootstrap(ours, theirs)
            found.append(
                Comparison(
                    first,
                    second,
                    group,
                    seeds=len(seeds),
                    difference=100 * interval.difference_in_f1,
                    low=100 * interval.low,
                    high=100 * interval.high,
                    p_value=approximate_randomization(ours, theirs).p_value,
                )
            )
    return found


def _done(runs: Sequence[CellRun]) -> Mapping[tuple[str, str], list[CellRun]]:
    done = defaultdict(list)
    for cell_run in runs:
        if cell_run.is_done:
            done[cell_run.row, cell_run.group].append(cell_run)
    return done


def _counts(runs: Sequence[CellRun]) -> PostCounts:
    """Counts by post, summed over the seeds."""
    each = (post_counts(*read_predictions(one.folder.predictions(one.evaluation))) for one in runs)
    return functools.reduce(operator.add, each)


def _figures(scores: Scores, types: Sequence[str]) -> dict[str, float]:
    nothing = Score(0, 0, 0)
    overall = (scores.micro.precision, scores.micro.recall, scores.micro.f1)
    figures = [scores.types.get(name, nothing).f1 for name in types] + list(overall)
    return {column: 100 * figure for column, figure in zip((*types, *OVERALL), figures, strict=True)}


def _key(group: str, column: str) -> str:
    return f"{group}.{column}"

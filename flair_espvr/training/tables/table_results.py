"""From the finished runs of a table to its figures and to tests of its differences."""

import functools
import operator
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from flair_espvr.evaluation.grounding import GroundingScores
from flair_espvr.evaluation.scores import Score, Scores
from flair_espvr.evaluation.significance import PostCounts, approximate_randomization, paired_bootstrap
from flair_espvr.training.tables.cell_runs import CellRun
from flair_espvr.training.tables.comparison import Comparison
from flair_espvr.training.tables.layout import Column, Row, Table
from flair_espvr.training.tables.table_file import NOT_TYPES, OVERALL, STRICT, GroundingColumn, TableFile

_GROUNDING: Mapping[GroundingColumn, Callable[[GroundingScores], float | None]] = {
    "EEG": lambda scores: scores.eeg.f1,
    "GMNER": lambda scores: scores.gmner.f1,
    "pointing": lambda scores: scores.places.pointing,
    "IoU > .5": lambda scores: scores.places.above_half,
    "mean IoU": lambda scores: scores.places.mean_iou,
    "presence AP": lambda scores: scores.presence.average_precision,
}

_USUAL_TYPES = ("PER", "LOC", "ORG", "MISC", "OTHER")
"""Types that papers print in this order; any others follow by name."""


def results_table(table: TableFile, runs: Sequence[CellRun]) -> Table:
    """Return the table's figures: those of the finished runs, and those of the paper."""
    kept = {place: [one.folder.read_scores(one.evaluation) for one in found] for place, found in _done(runs).items()}
    scores = {place: [content["lenient"] for content in found] for place, found in kept.items()}
    types = {
        group: table.types or _types_of(table, group, [scores.get((row.title, group), []) for row in table.rows])
        for group in table.groups
    }
    rows = []
    for row in table.rows:
        values, paper = {}, {}
        for group, cell in row.cells.items():
            figures = _figures(scores.get((row.title, group), []), types[group])
            found = kept.get((row.title, group), [])
            figures |= _strict_f1(found) if table.strict else {}
            figures |= _grounding_figures(found, table.grounding)
            values.update({_key(group, column): seeds for column, seeds in figures.items()})
            paper.update({_key(group, _column(name)): figure for name, figure in cell.paper.items()})
        rows.append(Row(row.title, values=values, reference=paper, note=row.note))
    columns = [
        Column(_key(group, column), column, group)
        for group in table.groups
        for column in (*map(_column, types[group]), *table.overall, *table.grounding)
    ]
    return Table(columns, rows, table.title)


def comparisons(table: TableFile, runs: Sequence[CellRun]) -> list[Comparison]:
    """Test between the pairs that the table names, wherever both have finished runs of the same seeds."""
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
    """Return counts by post, summed over the seeds."""
    return functools.reduce(operator.add, (one.folder.read_counts(one.evaluation) for one in runs))


def _types_of(table: TableFile, group: str, scores: Iterable[Sequence[Scores]]) -> Sequence[str]:
    """Return the types that a group's runs or the paper have figures for."""
    papers = {name for row in table.rows if group in row.cells for name in row.cells[group].paper}
    found = (papers - set(NOT_TYPES)).union(*(one.types for seeds in scores for one in seeds))
    order = {name: place for place, name in enumerate(_USUAL_TYPES)}
    return sorted(found, key=lambda name: (order.get(name, len(order)), name))


def _figures(scores: Sequence[Scores], types: Iterable[str]) -> dict[str, list[float]]:
    """Return a system's figures in percent, one a seed, by column; a type that it neither has nor predicts has none."""
    if not scores:
        return {}
    nothing = Score(0, 0, 0)
    by_type = {
        _column(name): [one.types.get(name, nothing).f1 for one in scores]
        for name in types
        if any(name in one.types for one in scores)
    }
    overall = [(one.micro.precision, one.micro.recall, one.micro.f1) for one in scores]
    by_column = {**by_type, **dict(zip(OVERALL, zip(*overall, strict=True), strict=True))}
    return {column: [100 * figure for figure in seeds] for column, seeds in by_column.items()}


def _strict_f1(kept: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    return {STRICT: [100 * content["strict"].micro.f1 for content in kept]} if kept else {}


def _grounding_figures(kept: Sequence[Mapping[str, Any]], columns: Sequence[GroundingColumn]) -> dict[str, list[float]]:
    """Return a system's figures of where, in percent, one a seed, by column.

    None where its test posts say nothing of it.
    """
    scores = [content["grounding"]["lenient"] for content in kept if content["grounding"]]
    figures = {column: [_GROUNDING[column](one) for one in scores] for column in columns}
    return {
        column: [100 * figure for figure in seeds if figure is not None]
        for column, seeds in figures.items()
        if any(figure is not None for figure in seeds)
    }


def _column(name: str) -> str:
    """Return the column of a type, or of a figure over all types."""
    return name if name in NOT_TYPES else f"{name} F1"


def _key(group: str, column: str) -> str:
    return f"{group}.{column}"

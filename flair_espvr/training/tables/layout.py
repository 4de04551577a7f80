"""A table of results as the paper lays it out (Tables 1 to 3): what it holds, and what each cell says.

`to_markdown`, `to_latex` and `to_csv`, in modules of their own, write it down.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from statistics import fmean, stdev
from typing import NamedTuple

from flair_espvr.errors import ConfigurationError

LEGEND = (
    "In percent. Ours: mean ± standard deviation over seeds, the best of a column in bold. "
    "Paper: the figures that the paper prints."
)
MISSING = "\N{EN DASH}"
DIGITS = 2


@dataclass(frozen=True)
class Column:
    """A figure that every system may have.

    Attributes:
        key: its name in `Row.values` and `Row.reference`.
        title: what stands over it.
        group: what stands over it and its neighbours of the same group, for instance a data set.
    """

    key: str
    title: str
    group: str = ""


@dataclass(frozen=True)
class Row:
    """A system and its figures, in percent.

    Attributes:
        title: its name.
        values: by column what we found, a value for each seed.
        reference: by column what the paper prints.
        note: what a reader must know of it, printed under the table.
    """

    title: str
    values: Mapping[str, Sequence[float]] = field(default_factory=dict)
    reference: Mapping[str, float] = field(default_factory=dict)
    note: str = ""


class Cell(NamedTuple):
    """A figure as it is printed: `deviation` is empty with fewer than two seeds, `best` never set for the paper's."""

    mean: str
    deviation: str = ""
    best: bool = False


class Line(NamedTuple):
    """A line of a printed table: `title` is empty where the line above is of the same system."""

    title: str
    source: str
    cells: list[Cell]


@dataclass(frozen=True)
class Table:
    """Systems down, figures across.

    Raises:
        ConfigurationError: two columns have one key, or a row has a figure that belongs to no column.
    """

    columns: Sequence[Column]
    rows: Sequence[Row]
    title: str = ""

    def __post_init__(self) -> None:
        keys = [column.key for column in self.columns]
        if doubled := {key for key in keys if keys.count(key) > 1}:
            raise ConfigurationError(
                f"a table's columns need keys of their own, but share {', '.join(sorted(doubled))}"
            )
        for row in self.rows:
            if unknown := (row.values.keys() | row.reference.keys()) - set(keys):
                raise ConfigurationError(
                    f"the row {row.title!r} has figures for {', '.join(sorted(unknown))}, "
                    f"but the table's columns are {', '.join(keys)}"
                )

    @property
    def groups(self) -> list[tuple[str, list[Column]]]:
        """Neighbouring columns of one group, from left to right."""
        return [(group, list(columns)) for group, columns in groupby(self.columns, key=lambda column: column.group)]

    def lines(self, columns: Sequence[Column]) -> Iterator[Line]:
        """Each system's own line, and under it the paper's, for some of the columns.

        Our figures and the paper's stand on lines of their own, so that a reader never has to tell them apart within
        a cell; a system that was not run, or that the paper does not have, has one line only.
        """
        keys = [column.key for column in columns]
        best = [self._best(key) for key in keys]
        for row in self.rows:
            values = [row.values.get(key, ()) for key in keys]
            papers = [_number(row.reference[key]) if key in row.reference else MISSING for key in keys]
            was_run, is_known = any(values), any(key in row.reference for key in keys)
            if was_run or not is_known:
                yield Line(row.title, _source(values), [_cell(*pair) for pair in zip(values, best, strict=True)])
            if is_known:
                yield Line("" if was_run else row.title, "paper", [Cell(figure) for figure in papers])

    def _best(self, key: str) -> str | None:
        """Return the largest of our means as printed: what looks equal is equally good.

        One system alone is not the best, nor are those that all found nothing.
        """
        means = [fmean(row.values[key]) for row in self.rows if row.values.get(key)]
        return _number(max(means)) if len(means) > 1 and max(means) > 0 else None


def _cell(values: Sequence[float], best: str | None) -> Cell:
    if not values:
        return Cell(MISSING)
    mean = _number(fmean(values))
    return Cell(mean, _number(stdev(values)) if len(values) > 1 else "", mean == best)


def _source(values: Sequence[Sequence[float]]) -> str:
    seeds = sorted({len(of_column) for of_column in values} - {0})
    if not seeds:
        return "not run"
    number = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    return f"ours, {number} seed{'s' if seeds[-1] > 1 else ''}"


def _number(value: float) -> str:
    return f"{value:.{DIGITS}f}"

"""A table of results as one YAML file: which recipes fill which cells, and what a paper prints there."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from flair_espvr.training.recipes.content import read_content
from flair_espvr.training.recipes.mistakes import validate
from flair_espvr.training.recipes.sections import Section

OVERALL = ("P", "R", "F1")
"""Columns over all types, after one of F1 for each type."""

STRICT = "strict F1"
"""Column of F1 over all types under the strict reading, see `Reading`; all others are of the lenient one."""

GroundingColumn = Literal["EEG", "GMNER", "pointing", "IoU > .5", "mean IoU", "presence AP"]
"""Columns of where pictures show entities, see `GroundingScores`: two of F1, three shares, an average precision."""

NOT_TYPES: tuple[str, ...] = (*OVERALL, STRICT, *get_args(GroundingColumn))
"""All columns that are of no single type."""


class Cell(Section):
    """One row in one group of columns.

    Attributes:
        recipe: the file of the recipe whose runs fill the cell; None where there is only a paper's figure.
        corpus: the file of another recipe, whose test posts the trained models are scored on (cross-domain).
        paper: figures in percent, by column: a type's F1, `P`, `R`, `F1`, `strict F1`, one of `grounding`.
    """

    recipe: Path | None = None
    corpus: Path | None = None
    paper: dict[str, float] = Field(default_factory=dict)


class TableRow(Section):
    """A system: its name, what to know about it, and its cells by group."""

    title: str
    note: str = ""
    cells: dict[str, Cell]


class TableFile(Section):
    """What a table is made of.

    Attributes:
        title: its caption.
        types: entity types, a column of F1 for each; None for all that a group's runs and paper's figures have.
        strict: whether a column of F1 under the strict reading follows; all others are of the lenient one.
        grounding: further columns of each group, for corpora with gold regions.
        groups: groups of columns, usually corpora, from left to right.
        rows: the systems, from top to bottom.
        compare: pairs of row titles between which differences are tested.
        seeds: for all recipes of the table; their own if not given.
    """

    title: str
    types: tuple[str, ...] | None = None
    strict: bool = False
    grounding: tuple[GroundingColumn, ...] = ()
    groups: Annotated[tuple[str, ...], Field(min_length=1)]
    rows: Annotated[tuple[TableRow, ...], Field(min_length=1)]
    compare: tuple[tuple[str, str], ...] = ()
    seeds: tuple[int, ...] | None = None

    @property
    def overall(self) -> tuple[str, ...]:
        """Columns over all types, by what is found, not by where."""
        return (*OVERALL, STRICT) if self.strict else OVERALL

    @model_validator(mode="after")
    def _names_fit(self) -> "TableFile":
        titles = [row.title for row in self.rows]
        mistakes = [f"rows: {title!r} comes twice" for title in sorted({t for t in titles if titles.count(t) > 1})]
        mistakes += _strangers("compare", [title for pair in self.compare for title in pair], titles)
        for row in self.rows:
            mistakes += _strangers(f"rows, {row.title}, cells", row.cells, self.groups)
            for group, cell in row.cells.items():
                if self.types is not None:
                    known = (*self.types, *self.overall, *self.grounding)
                    mistakes += _strangers(f"rows, {row.title}, cells, {group}, paper", cell.paper, known)
        if mistakes:
            raise ValueError("; ".join(mistakes))
        return self


def _strangers(place: str, names: Iterable[str], known: Sequence[str]) -> list[str]:
    return [f"{place}: {name!r} is none of {', '.join(known)}" for name in names if name not in known]


def load_table(path: str | Path, *, compare: Iterable[Sequence[str]] = ()) -> TableFile:
    """Read and check a table's file.

    Args:
        path: the file.
        compare: more pairs of row titles to compare.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigurationError: it is no YAML, or does not fit; the message lists every mistake.
    """
    content = read_content(Path(path), path_keys={"recipe", "corpus"})
    if isinstance(content, dict):
        content["compare"] = [*content.get("compare", ()), *map(list, compare)]
    return validate(TableFile, content, source=str(path))

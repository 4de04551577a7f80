"""A table of results in GitHub's Markdown."""

from collections.abc import Iterable, Iterator, Sequence

from flair_espvr.training.tables.layout import LEGEND, Cell, Column, Table

# Every character that opens something in a table cell; GitHub reads `$` as mathematics.
_ESCAPES = str.maketrans({character: "\\" + character for character in "\\`*_[]<>|~$&"})


def to_markdown(table: Table) -> str:
    """Return the table in Markdown.

    Markdown has no heads over several columns, and a page has room for seven such columns rather than fourteen: each
    group of columns becomes a table of its own, under its name.
    """
    blocks = [f"**{escape(table.title)}**"] if table.title else []
    blocks.append(LEGEND)
    for group, columns in table.groups:
        blocks += [f"**{escape(group)}**"] if group else []
        blocks.append("\n".join(_lines(table, columns)))
    if notes := [f"- {escape(row.title)}: {escape(row.note)}" for row in table.rows if row.note]:
        blocks.append("\n".join(notes))
    return "\n\n".join(blocks) + "\n"


def _lines(table: Table, columns: Sequence[Column]) -> Iterator[str]:
    yield _row(["System", "Source", *(escape(column.title) for column in columns)])
    yield _row(["---", "---", *("---:" for _ in columns)])
    for line in table.lines(columns):
        yield _row([escape(line.title), line.source, *map(_cell, line.cells)])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    mean = f"**{cell.mean}**" if cell.best else cell.mean
    return f"{mean} ± {cell.deviation}" if cell.deviation else mean


def escape(text: str) -> str:
    """Return a text on one line, in which nothing ends a cell or is markup."""
    return " ".join(text.split()).translate(_ESCAPES)

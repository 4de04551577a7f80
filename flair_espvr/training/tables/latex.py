"""A table of results in LaTeX, with the rules of the booktabs package."""

from collections.abc import Iterable, Iterator

from flair_espvr.training.tables.layout import LEGEND, Cell, Table

# What LaTeX reads as its own; what its default font encoding prints as another character; `[`, which after the end of a
# row opens a length; and what names of systems and data sets hold that plain LaTeX does not know.
_ESCAPES = str.maketrans(
    {
        **{character: "\\" + character for character in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "[": "{[}",
        "\N{EN DASH}": "--",
        "±": r"\ensuremath{\pm}",
        "→": r"\ensuremath{\rightarrow}",
        "λ": r"\ensuremath{\lambda}",
    }
)


def to_latex(table: Table) -> str:
    r"""Return the table as a float over both columns of a page; the document needs `\usepackage{booktabs}`."""
    notes = [f"{_escape(row.title)}: {_escape(row.note)}" for row in table.rows if row.note]
    caption = " ".join([f"{_escape(table.title)}."] * bool(table.title) + [_escape(LEGEND)])
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table*}",
        r"\centering",
        r"\footnotesize",
        r"\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{caption}}}",
        rf"\begin{{tabular}}{{ll{'r' * len(table.columns)}}}",
        r"\toprule",
        *_head(table),
        r"\midrule",
        *(_row([_escape(title), source, *map(_cell, cells)]) for title, source, cells in table.lines(table.columns)),
        r"\bottomrule",
        r"\end{tabular}",
        *(rf"\par {note}" for note in notes),
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def _head(table: Table) -> Iterator[str]:
    if any(group for group, _ in table.groups):
        spans, rules, first = ["", ""], [], 3
        for group, columns in table.groups:
            spans.append(rf"\multicolumn{{{len(columns)}}}{{c}}{{{_escape(group)}}}")
            last = first + len(columns) - 1
            rules += [rf"\cmidrule(lr){{{first}-{last}}}"] if group else []
            first = last + 1
        yield _row(spans)
        yield " ".join(rules)
    yield _row(["System", "Source", *(_escape(column.title) for column in table.columns)])


def _row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _cell(cell: Cell) -> str:
    mean = rf"\textbf{{{_escape(cell.mean)}}}" if cell.best else _escape(cell.mean)
    return rf"{mean}$_{{\pm {cell.deviation}}}$" if cell.deviation else mean


def _escape(text: str) -> str:
    return " ".join(text.split()).translate(_ESCAPES)

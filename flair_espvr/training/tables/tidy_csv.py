"""A table of results as data for other programs."""

import csv
from io import StringIO
from statistics import fmean, stdev

from flair_espvr.training.tables.layout import Table

HEADER = ("system", "group", "column", "mean", "std", "n", "paper", "note")


def to_csv(table: Table) -> str:
    """Return the table in tidy CSV, a line for each system and column, unrounded; what is not known is empty.

    `n` is the number of seeds, `std` the standard deviation over them, `paper` the figure that the paper prints.
    """
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)  # a title may hold any character
    writer.writerow(HEADER)
    for row in table.rows:
        for column in table.columns:
            values = row.values.get(column.key, ())
            mean = fmean(values) if values else ""
            deviation = stdev(values) if len(values) > 1 else ""
            paper = row.reference.get(column.key, "")
            writer.writerow([row.title, column.group, column.title, mean, deviation, len(values), paper, row.note])
    return text.getvalue()

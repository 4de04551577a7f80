"""Two systems beside each other: their difference in F1, its interval, and how easily chance gives it."""

from collections.abc import Sequence
from dataclasses import dataclass

from flair_espvr.training.tables.markdown import escape


@dataclass(frozen=True)
class Comparison:
    """The difference in F1 between two systems on one set of test posts, in percent points, over the same seeds.

    Attributes:
        first: title of a row.
        second: title of the row it is compared with.
        group: where.
        seeds: how many runs of each.
        difference: F1 of `first` minus F1 of `second`.
        low: lower end of the 95 % interval of `difference` (paired bootstrap over posts).
        high: its upper end.
        p_value: of a difference at least as large under no difference (approximate randomization over posts).
    """

    first: str
    second: str
    group: str
    seeds: int
    difference: float
    low: float
    high: float
    p_value: float


def comparisons_to_markdown(found: Sequence[Comparison]) -> str:
    """Return a table of tests; empty for none."""
    if not found:
        return ""
    lines = [
        "| systems | where | seeds | difference in F1 | 95 % interval | p |",
        "|---|---|---:|---:|---:|---:|",
        *map(_row, found),
        "",
        "Entities of all seeds together. Interval: paired bootstrap over posts. p: approximate randomization over "
        "posts, two-sided. Neither knows how much another seed would change.",
    ]
    return "\n".join(lines) + "\n"


def _row(item: Comparison) -> str:
    systems = f"{escape(item.first)} \N{MINUS SIGN} {escape(item.second)}"
    interval = f"{item.low:+.2f} … {item.high:+.2f}"
    difference = f"{item.difference:+.2f} | {interval} | {item.p_value:.4f}"
    return f"| {systems} | {escape(item.group)} | {item.seeds} | {difference} |"

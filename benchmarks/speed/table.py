"""Comparisons as Markdown rows, once for each number of threads."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

from benchmarks.measuring import Spread, Timing, machine, timings

HEADER = "| threads | what | wall, {unit} | CPU, {unit} | wall ratio | CPU ratio |\n|---|---|---|---|---|---|"
"""Ratios are those to the first row of each comparison, round by round."""

Works = Mapping[str, Callable[[], Any]]


def compare(title: str, works: Works, *, rounds: int, threads: Sequence[int], per: int = 1) -> list[str]:
    """Rows for works that take turns, with each number of threads.

    Args:
        title: what is compared, before each work's name.
        works: the first is what the others are compared with.
        rounds: timed rounds.
        threads: numbers of threads to try.
        per: posts, steps or calls in one work; times are given for each.
    """
    rows = []
    before = torch.get_num_threads()
    for count in threads:
        torch.set_num_threads(count)
        measured = timings(rounds, works)
        rows += rows_of(title, {name: timing.per(per) for name, timing in measured.items()}, threads=count)
    torch.set_num_threads(before)
    return rows


def rows_of(title: str, measured: Mapping[str, Timing], *, threads: int) -> list[str]:
    """Rows for what was measured, in milliseconds."""
    base = next(iter(measured.values()))
    rows = []
    for name, timing in measured.items():
        times = (Spread.of([1000 * second for second in seconds]) for seconds in (timing.wall, timing.cpu))
        cells = [str(threads), f"{title}: {name}", *map(str, times), *map(str, timing.over(base))]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def print_table(rows: Iterable[str], *, unit: str) -> None:
    """Print the machine, then the rows as they come: a run that is cut short has shown what it had."""
    print(machine("torch", "transformers", "flair"), "", HEADER.format(unit=unit), sep="\n", flush=True)
    for row in rows:
        print(row, flush=True)

"""Tables of systems that look at pictures: what they reach, and what is left of it where pictures are damaged."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from benchmarks.damage import ALL_MISSING, DAMAGES
from benchmarks.results import mean_and_deviation
from benchmarks.systems import CONFIGURATIONS

PARTS: Mapping[str, str] = MappingProxyType(
    {"f1": "span-F1", "made_up": "made-up names", "told": "names that the words tell"}
)
"""What is scored, by the keys of `benchmarks.told.f1_of_parts`."""


def table(results: Iterable[Mapping[str, Any]]) -> str:
    """Return the results as a Markdown table: mean and standard deviation over the seeds of each configuration.

    There is a column for whatever was measured of any.
    """
    results = list(results)
    columns = {
        **PARTS,
        "sentence": "middle of b_c in the box",
        "touching": "b_c touches the box",
        "entity": "entity's own b_c in the box",
        "window": "middle of its own window in the box",
        "step": "s a step",
        "predict": "ms a post",
        "parameters": "million parameters",
        "memory": "peak memory in MiB",
    }
    columns = {column: title for column, title in columns.items() if any(column in row for row in results)}
    lines = [f"| pictures used | seeds | {' | '.join(columns.values())} |", f"|---|---|{'---|' * len(columns)}"]
    for name, configuration in CONFIGURATIONS.items():
        rows = [result for result in results if result["configuration"] == name]
        if rows:
            cells = [
                mean_and_deviation(
                    [row[column] for row in rows if column in row],
                    digits={"step": 2, "predict": 2, "parameters": 2, "memory": 0}.get(column, 1),
                )
                for column in columns
            ]
            lines.append(f"| {configuration.pictures} | {len(rows)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def damage_table(results: Iterable[Mapping[str, Any]], part: str) -> str:
    """Return F1 by what is done to the test pictures, beside that of the same system's text side, as a Markdown table.

    The last column is the lowest of them less the text side's, over the seeds of both: bold where it is negative by
    more than its standard deviation.

    Args:
        results: finished runs; those from before there was damage are passed over.
        part: which of `PARTS`.
    """
    scores: dict[str, dict[int, dict[str, float]]] = defaultdict(dict)
    for row in results:
        if part in row and "damaged" in row:
            damaged = {damage: of[part] for damage, of in row["damaged"].items()}
            scores[row["configuration"]][row["seed"]] = {"whole": row[part], **damaged}
    columns = ["whole", *DAMAGES]
    lines = [
        f"| {PARTS[part]}, pictures in testing | seeds | {' | '.join(columns)} | text side | lowest less text side |",
        f"|---|---|{'---|' * len(columns)}---|---|",
    ]
    for name, configuration in CONFIGURATIONS.items():
        if name in scores:
            text = {seed: of[ALL_MISSING] for seed, of in scores.get(configuration.text_side, {}).items()}
            cells = [mean_and_deviation([of[column] for of in scores[name].values()]) for column in columns]
            cells += [mean_and_deviation(list(text.values())), _lowest(scores[name], text)]
            lines.append(f"| {configuration.pictures} | {len(scores[name])} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _lowest(scores: Mapping[int, Mapping[str, float]], text: Mapping[int, float]) -> str:
    """Return the last cell of a row of `damage_table`, from the scores of each seed."""
    seeds = sorted(scores.keys() & text.keys())
    if not seeds:
        return "-"
    less = {damage: [scores[seed][damage] - text[seed] for seed in seeds] for damage in DAMAGES}
    lowest = min(less, key=lambda damage: statistics.fmean(less[damage]))
    cell = f"{mean_and_deviation(less[lowest])}, {lowest}"
    below = len(seeds) > 1 and statistics.fmean(less[lowest]) < -statistics.stdev(less[lowest])
    return f"**{cell}**" if below else cell

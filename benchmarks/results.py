"""Results of long benchmarks as JSON lines: what has ended is kept, and is not done again with the same settings."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def append_result(path: Path, result: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Add one run's result, and the settings that it was run with, as a line of its own."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({**result, "settings": dict(settings)}) + "\n")


def all_results(path: Path) -> list[dict[str, Any]]:
    """Return the results of earlier runs with any settings; a line that a kill cut short is passed over."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return found


def finished_results(path: Path, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the results of earlier runs with these settings."""
    return [result for result in all_results(path) if result["settings"] == settings]


def mean_and_deviation(values: Sequence[float], *, digits: int = 1) -> str:
    """`mean ± standard deviation`, the mean alone for one value, a dash for none."""
    if not values:
        return "-"
    mean = f"{statistics.fmean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.{digits}f}"

"""Times of works that take turns, so that a machine that slows down slows all of them, and what the machine is."""

import datetime
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any


@dataclass(frozen=True)
class Spread:
    """Median, least and greatest of some measurements."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.least:.3g} to {self.greatest:.3g})"


def in_turns(rounds: int, *works: Callable[[], Any], untimed: int = 1) -> list[list[float]]:
    """Seconds of every round of each work; in a round each is done once, in an order that turns from round to round.

    Args:
        rounds: timed rounds.
        works: what to time.
        untimed: rounds before those, which fill caches.
    """
    seconds: list[list[float]] = [[] for _ in works]
    for turn in range(-untimed, rounds):
        for place in range(len(works)):
            chosen = (place + turn) % len(works)
            start = time.perf_counter()
            works[chosen]()
            if turn >= 0:
                seconds[chosen].append(time.perf_counter() - start)
    return seconds


def machine(*packages: str) -> str:
    """One line on where and when figures were taken: cores, threads, device, date, and the versions of packages."""
    import flair
    import torch

    device = torch.cuda.get_device_name() if flair.device.type == "cuda" else "no GPU"
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), {torch.get_num_threads()} threads, {device}; "
        f"{datetime.date.today()}; Python {platform.python_version()}, {versions}"
    )

"""Times of works that take turns, so that a machine that slows down slows all of them, and what the machine is."""

import datetime
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
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


@dataclass(frozen=True)
class Timing:
    """Seconds of every round of one work.

    Attributes:
        wall: by the clock; other processes on the machine lengthen them.
        cpu: of the processor, over all threads of this process; other processes hardly touch them.
    """

    wall: list[float]
    cpu: list[float]

    def per(self, units: int) -> "Timing":
        """Seconds of each of the `units` that a round consists of."""
        return Timing([second / units for second in self.wall], [second / units for second in self.cpu])

    def over(self, base: "Timing") -> tuple["Spread", "Spread"]:
        """How many times as long as `base`, round by round: by the clock, and of the processor."""
        return (
            Spread.of([mine / other for mine, other in zip(self.wall, base.wall, strict=True)]),
            Spread.of([mine / other for mine, other in zip(self.cpu, base.cpu, strict=True)]),
        )


def timings(rounds: int, works: Mapping[str, Callable[[], Any]], *, untimed: int = 1) -> dict[str, Timing]:
    """Return times of every work by name; in a round each is done once, in an order that turns from round to round.

    Args:
        rounds: timed rounds.
        works: what to time.
        untimed: rounds before those, which fill caches.
    """
    result = {name: Timing([], []) for name in works}
    names = list(works)
    for turn in range(-untimed, rounds):
        for place in range(len(names)):
            name = names[(place + turn) % len(names)]
            wall, cpu = time.perf_counter(), time.process_time()
            works[name]()
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            if turn >= 0:
                result[name].wall.append(wall)
                result[name].cpu.append(cpu)
    return result


def in_turns(rounds: int, *works: Callable[[], Any], untimed: int = 1) -> list[list[float]]:
    """Return the wall seconds of `timings` for works without names, in their order."""
    named = {str(place): work for place, work in enumerate(works)}
    return [timing.wall for timing in timings(rounds, named, untimed=untimed).values()]


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

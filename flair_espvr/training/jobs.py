"""Making what is missing: one job after the other, beside other processes that may be at the same ones."""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from flair_espvr.errors import EspvrError
from flair_espvr.training.runs.run_folder import RunIsLockedError

_WAIT_FOR_OTHERS = 10.0
"""Seconds between looks at runs that other processes are making."""


class Job(Protocol):
    """Something that may have been done already; its text names it."""

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do for it."""

    def make(self) -> None:
        """Do what is left."""


def make_missing(jobs: Sequence[Job], announce: Callable[[str], None]) -> list[str]:
    """Do what is not done; what another process is doing is waited for.

    Args:
        jobs: in the order to do them.
        announce: called with a job's name before each.

    Returns:
        What could not be done, and why; the rest is done all the same.
    """
    problems: list[str] = []
    waiting = [job for job in jobs if not job.is_done]
    while waiting:
        elsewhere = []
        for job in waiting:
            try:
                announce(str(job))
                job.make()
            except RunIsLockedError:
                elsewhere.append(job)
            except (EspvrError, OSError) as error:
                problems.append(f"{job}: {error}")
        if len(elsewhere) == len(waiting):
            time.sleep(_WAIT_FOR_OTHERS)
        waiting = elsewhere
    return problems


def make_one(job: Job) -> list[str]:
    """Do a single job, as `make_missing` does, which says what is returned."""
    return make_missing([job], lambda _: None)

"""A lock between the threads of a process that no thread of its parent can have left locked."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class ThreadLock:
    """A re-entrant lock for a module; a forked child finds it free, whichever thread of the parent held it."""

    def __init__(self) -> None:
        self._renew()
        if hasattr(os, "register_at_fork"):  # Windows forks no processes
            os.register_at_fork(after_in_child=self._renew)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock for the block."""
        with self._lock:
            yield

    def _renew(self) -> None:
        self._lock = threading.RLock()

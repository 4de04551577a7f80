"""One thread for reading ahead, which nothing ever waits for."""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress


class _Background:
    """The thread, and the request that it has not begun yet."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="flair-espvr-read-ahead")
        self._latest: Future[None] | None = None

    def __call__(self, work: Callable[[], None]) -> None:
        if self._latest is not None:
            self._latest.cancel()  # not begun: whoever needed it has come meanwhile
        with suppress(RuntimeError):  # the process is ending, or may start no more threads
            self._latest = self._thread.submit(work)


_background = _Background()


def in_background(work: Callable[[], None]) -> None:
    """Do some work in a thread of this process, sooner or later, or not at all if more is asked for meanwhile.

    Args:
        work: something whose only effect is that other work will be faster; nobody hears of its errors.
    """
    _background(work)


def _after_fork() -> None:
    global _background
    _background = _Background()  # a child process has none of its parent's threads


if hasattr(os, "register_at_fork"):  # Windows forks no processes
    os.register_at_fork(after_in_child=_after_fork)

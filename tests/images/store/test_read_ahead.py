"""Reading ahead: nobody waits for it, nobody hears of its errors, and what is late is left out."""

import multiprocessing
import threading
from collections.abc import Callable
from functools import partial
from typing import NoReturn

from flair_espvr.images.store.read_ahead import in_background

FORK = multiprocessing.get_context("fork")
PATIENCE = 30
"""Seconds after which what should have happened will not."""


def occupied() -> threading.Event:
    """Keeps the thread busy until the event is set."""
    begun, over = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        over.wait(PATIENCE)

    in_background(work)
    assert begun.wait(PATIENCE)
    return over


def test_the_caller_goes_on_at_once_and_of_what_waits_the_latest_is_done() -> None:
    over, done, told = occupied(), [], threading.Event()
    requests: list[Callable[[], None]] = [partial(done.append, number) for number in range(5)]
    for request in requests:
        in_background(request)
    assert done == []
    in_background(lambda: (done.append(5), told.set())[0])
    over.set()
    assert told.wait(PATIENCE)
    assert done == [5]


def test_an_error_ends_its_own_request_only() -> None:
    def fail() -> NoReturn:
        raise RuntimeError

    in_background(fail)
    over = occupied()
    over.set()


def test_a_child_process_has_a_thread_of_its_own() -> None:
    over = occupied()  # the parent's never gets to anything else meanwhile

    def child() -> None:
        occupied().set()

    process = FORK.Process(target=child)
    process.start()
    process.join(PATIENCE)
    over.set()
    assert process.exitcode == 0

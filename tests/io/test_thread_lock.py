"""Locks of modules, held by a thread of the parent when a child is forked off."""

import importlib
import multiprocessing
import threading

import pytest

from flair_espvr.io.thread_lock import ThreadLock

FORK = multiprocessing.get_context("fork")


def take(lock: ThreadLock) -> None:
    with lock.held(), lock.held():
        pass


def is_free_in_a_child(lock: ThreadLock) -> bool:
    child = FORK.Process(target=take, args=(lock,))
    child.start()
    child.join(20)
    child.kill()
    child.join()
    return child.exitcode == 0


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("io.recent", "_changing"),
        ("models.inference", "_changing"),
        ("embeddings.image.regions", "_building"),
        ("embeddings.image.backbone", "_preparing"),
        ("embeddings.text.wordpieces", "_limits"),
    ],
)
def test_a_child_finds_the_locks_of_modules_free(module: str, name: str) -> None:
    lock = getattr(importlib.import_module(f"flair_espvr.{module}"), name)
    taken, release = threading.Event(), threading.Event()

    def hold() -> None:
        with lock.held():
            taken.set()
            release.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait()
    try:
        assert is_free_in_a_child(lock)
    finally:
        release.set()
        thread.join()


def test_it_keeps_other_threads_out_and_is_left_in_a_child_that_was_forked_inside() -> None:
    lock = ThreadLock()
    others: list[bool] = []
    with lock.held():
        thread = threading.Thread(target=lambda: others.append(lock._lock.acquire(timeout=0.1)))
        thread.start()
        thread.join()
        assert others == [False]
        assert is_free_in_a_child(lock)
    assert is_free_in_a_child(lock)

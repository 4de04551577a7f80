"""Locks that two processes compete for; the outside is the system's own view of who may have the file."""

import multiprocessing
import os
import platform
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from flair_espvr.io.locks import LockedError, ProcessLock

FORK = multiprocessing.get_context("fork")


def take(path: Path) -> str:
    try:
        with ProcessLock(path):
            return "taken"
    except LockedError as error:
        return str(error)


def in_process(path: Path) -> str:
    """What another program gets, one that inherited nothing."""
    code = f"""
from pathlib import Path
from flair_espvr.io.locks import LockedError, ProcessLock
try:
    ProcessLock(Path({str(path)!r}))
    print("taken")
except LockedError as error:
    print(error)
"""
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_one_holds_it_and_others_learn_who(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with ProcessLock(path):
        assert in_process(path) == take(path) == f"process {os.getpid()} on {platform.node()}"
    assert list(tmp_path.iterdir()) == []
    assert in_process(path) == take(path) == "taken"


def test_any_thread_may_release_it_and_twice(tmp_path: Path) -> None:
    lock = ProcessLock(tmp_path / "lock")
    thread = threading.Thread(target=lock.release)
    thread.start()
    thread.join()
    assert take(tmp_path / "lock") == "taken"
    with ProcessLock(tmp_path / "lock"):
        lock.release()
        assert take(tmp_path / "lock") != "taken"


def hold(path: Path, held: Any) -> None:
    lock = ProcessLock(path)
    held.set()
    signal.pause()
    lock.release()


def test_a_killed_process_holds_it_no_longer(tmp_path: Path) -> None:
    held = FORK.Event()
    process = FORK.Process(target=hold, args=(tmp_path / "lock", held))
    process.start()
    held.wait()
    assert take(tmp_path / "lock") == f"process {process.pid} on {platform.node()}"
    process.kill()
    process.join()
    assert take(tmp_path / "lock") == "taken"


def hold_with_a_child(path: Path, held: Any) -> None:
    lock = ProcessLock(path)
    child = os.fork()
    if not child:
        lock.release()  # which is not the child's to do
        signal.pause()
    held.put(child)
    signal.pause()


def test_a_forked_child_neither_holds_nor_releases_it(tmp_path: Path) -> None:
    """The child lives on after the holder was killed, and had it to itself, the lock would live as long."""
    held = FORK.SimpleQueue()
    process = FORK.Process(target=hold_with_a_child, args=(tmp_path / "lock", held))
    process.start()
    child = held.get()
    try:
        assert take(tmp_path / "lock") == f"process {process.pid} on {platform.node()}"
        process.kill()
        process.join()
        assert take(tmp_path / "lock") == "taken"
    finally:
        os.kill(child, signal.SIGKILL)


def count_up(path: Path, number: Path) -> None:
    done = 0
    while done < 100:
        try:
            with ProcessLock(path):
                number.write_text(str(int(number.read_text()) + 1))
        except LockedError:
            continue
        done += 1


def test_nobody_ever_shares_it_while_it_is_made_and_removed_all_the_time(tmp_path: Path) -> None:
    number = tmp_path / "number"
    number.write_text("0")
    processes = [FORK.Process(target=count_up, args=(tmp_path / "lock", number)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert number.read_text() == "300"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ProcessLock(tmp_path / "none" / "lock")
    assert not (tmp_path / "none").exists()


def test_what_is_there_on_posix_alone_is_not_needed_to_import() -> None:
    """As on Windows, where `fcntl` is missing and nothing forks."""
    code = """
import os, sys
sys.modules["fcntl"] = None
del os.fork, os.register_at_fork
import flair_espvr.images.store.read_ahead, flair_espvr.images.store.region_store, flair_espvr.io.resumable
"""
    subprocess.run([sys.executable, "-c", code], check=True)

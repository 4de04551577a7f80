"""Results are the old ones or the new ones, whatever ends the process that writes them."""

import itertools
import multiprocessing
import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest

from flair_espvr.io import atomic as files
from flair_espvr.io.atomic import atomic_folder, atomic_write

FORK = multiprocessing.get_context("fork")
PARTS = 4


def write_file(path: Path, content: bytes) -> None:
    with atomic_write(path) as file:
        for _ in range(PARTS):
            file.write(content * 1_000)
            file.flush()


def write_folder(path: Path, content: bytes) -> None:
    with atomic_folder(path) as folder:
        for part in range(PARTS):
            (folder / str(part)).write_bytes(content * 1_000)


def write_for_ever(write: Any, path: Path, started: Any) -> None:
    for number in itertools.count():
        write(path, bytes([number % 256]))
        started.set()


def file_content(path: Path) -> list[bytes]:
    return [path.read_bytes()]


def folder_content(path: Path) -> list[bytes]:
    """Of the folder, or of the old one where the new one had not taken its name yet."""
    if not path.exists():
        (path,) = path.parent.glob(f".{path.name}.*.old")
    return [(path / str(part)).read_bytes() for part in range(PARTS)]


@pytest.mark.parametrize(
    ("write", "content"), [(write_file, file_content), (write_folder, folder_content)], ids=["file", "folder"]
)
def test_a_kill_at_any_moment_leaves_the_old_or_the_new(tmp_path: Path, write: Any, content: Any) -> None:
    choose = random.Random(0)
    for number in range(20):
        path = tmp_path / str(number) / "result"
        path.parent.mkdir()
        started = FORK.Event()
        process = FORK.Process(target=write_for_ever, args=(write, path, started))
        process.start()
        started.wait()
        process.join(choose.uniform(0.0, 0.03))
        process.kill()
        process.join()
        found = b"".join(content(path))
        assert len(found) == PARTS * 1_000
        assert len(set(found)) == 1


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_kill_between_the_renames_of_a_folder_leaves_a_whole_one(tmp_path: Path, times: int) -> None:
    """Killed in place of its n-th rename: the old folder out of the way, the new one in, the old one to be removed."""
    write_folder(tmp_path / "result", b"a")
    child = os.fork()
    if not child:
        try:
            calls, real = itertools.count(1), os.rename

            def kill(*arguments: Any) -> None:
                if next(calls) == times:
                    os.kill(os.getpid(), signal.SIGKILL)
                real(*arguments)

            os.rename = kill
            write_folder(tmp_path / "result", b"b")
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert folder_content(tmp_path / "result") == [(b"b" if times == 3 else b"a") * 1_000] * PARTS


def test_an_error_leaves_the_old_folder_and_nothing_beside_it(tmp_path: Path) -> None:
    write_folder(tmp_path / "result", b"a")
    with pytest.raises(FileNotFoundError), atomic_folder(tmp_path / "result") as folder:
        (folder / "nowhere" / "0").write_bytes(b"half")
    assert folder_content(tmp_path / "result") == [b"a" * 1_000] * PARTS
    assert [path.name for path in tmp_path.iterdir()] == ["result"]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "old").touch()
    write_folder(tmp_path / "result", b"a")
    assert sorted(path.name for path in (tmp_path / "result").iterdir()) == [str(part) for part in range(PARTS)]
    assert [path.name for path in tmp_path.iterdir()] == ["result"]
    assert (tmp_path / "result").stat().st_mode & 0o777 == 0o777 & ~files._umask()

"""Results are the old ones or the new ones, whatever ends the process that writes them."""

import itertools
import multiprocessing
import random
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


def test_an_error_leaves_the_old_folder_and_nothing_beside_it(tmp_path: Path) -> None:
    write_folder(tmp_path / "result", b"a")
    with pytest.raises(FileNotFoundError), atomic_folder(tmp_path / "result") as folder:
        (folder / "nowhere" / "0").write_bytes(b"half")
    assert folder_content(tmp_path / "result") == [b"a" * 1_000] * PARTS
    assert [path.name for path in tmp_path.iterdir()] == ["result"]


@pytest.mark.parametrize("in_one_step", [True, False])
def test_a_folder_is_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_one_step: bool) -> None:
    if not in_one_step:  # as on systems that cannot swap two names
        monkeypatch.setattr(files, "_exchanged_in_one_step", lambda one, other: False)
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "old").touch()
    write_folder(tmp_path / "result", b"a")
    assert sorted(path.name for path in (tmp_path / "result").iterdir()) == [str(part) for part in range(PARTS)]
    assert [path.name for path in tmp_path.iterdir()] == ["result"]
    assert (tmp_path / "result").stat().st_mode & 0o777 == 0o777 & ~files._umask()

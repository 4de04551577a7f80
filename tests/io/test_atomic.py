"""Results are the old ones or the new ones, whatever ends the process that writes them."""

import itertools
import multiprocessing
import os
import random
import signal
import stat
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


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_what_is_no_regular_file_is_written_through(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_file(pipe, b"a")
    assert os.read(reader, PARTS * 2_000) == b"a" * PARTS * 1_000
    os.close(reader)
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_device_stays_one(tmp_path: Path) -> None:
    device = tmp_path / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.stat(os.devnull).st_rdev)
    except PermissionError:
        pytest.skip("cannot make a device here (needs root)")
    write_file(device, b"a")
    assert device.is_char_device()
    assert list(tmp_path.iterdir()) == [device]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_followed(tmp_path: Path, there: bool) -> None:
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "result", tmp_path / "link"
    if there:
        target.write_bytes(b"old")
    link.symlink_to("there/result")
    write_file(link, b"a")
    assert link.is_symlink()
    assert target.read_bytes() == b"a" * PARTS * 1_000
    assert sorted(tmp_path.rglob("*")) == sorted([link, target.parent, target])


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444])
def test_the_mode_of_what_was_there_is_kept(tmp_path: Path, mode: int) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    write_file(file, b"a")
    write_folder(folder, b"a")
    assert (file.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o666 & ~umask(), 0o777 & ~umask())
    file.chmod(mode)
    folder.chmod(mode | 0o100)
    write_file(file, b"b")
    write_folder(folder, b"b")
    assert (file.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (mode, mode | 0o100)


def test_the_umask_which_is_all_threads_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "umask")  # which tells the mask only where it sets another
    write_file(tmp_path / "file", b"a")
    write_folder(tmp_path / "folder", b"a")


def test_what_was_private_is_so_while_it_is_written(tmp_path: Path) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.touch(0o600)
    folder.mkdir(0o700)
    with files.atomic_write(file), files.atomic_folder(folder):
        parts = [path.stat().st_mode & 0o777 for path in sorted(tmp_path.glob(".*.part"))]
    assert parts == [0o600, 0o700]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_root_leaves_a_file_its_owner_and_no_set_user_bit(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    os.chown(file, 12_345, 23_456)
    file.chmod(0o4750)
    write_file(file, b"a")
    status = file.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (12_345, 23_456, 0o750)


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
    assert (tmp_path / "result").stat().st_mode & 0o777 == 0o777 & ~umask()


def test_what_a_kill_between_the_renames_left_is_taken_back_or_removed(tmp_path: Path) -> None:
    left = tmp_path / ".result.x1.old"
    left.mkdir()
    (left / "old").touch()
    with atomic_folder(tmp_path / "result") as folder:
        assert (tmp_path / "result" / "old").exists()
        (folder / "new").touch()
    (tmp_path / "result").rename(left)
    (tmp_path / "result").mkdir()
    with atomic_folder(tmp_path / "result") as folder:
        (folder / "new").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["result"]
    assert [path.name for path in (tmp_path / "result").iterdir()] == ["new"]


@pytest.mark.parametrize("after", [1, 2])
def test_ctrl_c_between_the_renames_of_a_folder_leaves_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "old").touch()
    rename, calls = Path.rename, iter(range(1, 10))

    def interrupted(self: Path, target: Path) -> Path:
        moved = rename(self, target)
        if next(calls) == after:
            raise KeyboardInterrupt
        return moved

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "result") as folder:
        (folder / "new").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["result"]
    assert [path.name for path in (tmp_path / "result").iterdir()] == ["old" if after == 1 else "new"]

"""Atomic writes of files and folders: a kill or a full disk leaves the old content or the new, never half.

One rule for outputs: a link is followed, what is replaced keeps its mode and, where root writes, its owner, and a
device or a pipe is written through.
"""

import glob
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO


@contextmanager
def atomic_write(path: str | Path) -> Iterator[BinaryIO]:
    """Yield a binary file that takes the place of `path` only when the block ends without an error.

    The bytes are written beside `path`, forced to disk and renamed over it; on any error the old file stays as it was.
    Into a device or a pipe they go as they are written.

    Args:
        path: the file to write; its folder must exist.

    Raises:
        OSError: the folder is missing or not writable, the disk is full, or `path` is a folder.
    """
    if is_written_through(path):
        with open(path, "wb") as file:
            yield file
        return
    path = place_of(path)
    temporary, mode = _beside(path), mode_of(path, otherwise=0o666)
    try:
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        put_in_place(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: str | Path, text: str) -> None:
    """Put a text file in UTF-8 in the place of `path`, as `atomic_write` does, and raise what that raises."""
    with atomic_write(path) as file:
        file.write(text.encode())


def is_written_through(path: str | Path) -> bool:
    """Whether something other than a regular file is at `path`, a device, a pipe or a folder; it is not replaced."""
    return os.path.exists(path) and not os.path.isfile(path)


def place_of(path: str | Path) -> Path:
    """Return the path of a file to be written or replaced: where the link `path` leads to, or `path` itself."""
    return Path(os.path.realpath(path) if os.path.islink(path) else path)


def put_in_place(temporary: str | Path, path: Path) -> None:
    """Rename a file to `path`; mode and owner of what it replaces become its own."""
    if path.exists():
        with suppress(OSError):  # only root may give files away
            os.chown(temporary, path.stat().st_uid, path.stat().st_gid)
        os.chmod(temporary, mode_of(path, otherwise=0o666))
    os.replace(temporary, path)


def mode_of(path: Path, *, otherwise: int) -> int:
    """Return the permissions of what is there, else `otherwise`, from which the system takes the process's umask.

    A file's set-user and set-group bits, which writing to it would clear too, are no permissions.
    """
    if not path.exists():
        return otherwise
    mode = stat.S_IMODE(path.stat().st_mode)
    return mode if path.is_dir() else mode & 0o777


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `path` as a whole, and only when the block ends without an error.

    An older folder of that name stays as it was until then, and is removed after. Between two renames no folder of that
    name is there, but never half of one; a kill at that moment leaves the old folder beside, whole, as `.NAME.*.old`,
    from where the next call takes it back.

    Args:
        path: the folder to make; the one above it must exist.

    Raises:
        OSError: the folder above is missing or not writable, or the disk is full.
    """
    path = Path(path).resolve()
    _recover(path)
    temporary = _beside(path)
    temporary.mkdir(mode=0o700 if path.exists() else 0o777)
    try:
        yield temporary
        for file in temporary.rglob("*"):
            _sync(file)
        _sync(temporary)
        if path.exists():
            temporary.chmod(mode_of(path, otherwise=0o777))
        _exchange(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _sync(path: Path) -> None:
    """Force a file or a folder's list of files to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exchange(new: Path, path: Path) -> None:
    """Lets a folder take the place of `path`; what was there is left where `new` was."""
    if not path.exists():
        new.rename(path)
        return
    old = new.with_suffix(".old")
    try:
        path.rename(old)
        new.rename(path)
        old.rename(new)
    except BaseException:  # Ctrl-C among them
        _recover(path)
        raise


def _recover(path: Path) -> None:
    """Give a folder that an exchange has left beside its name back; one that has been replaced is removed."""
    for old in path.parent.glob(f".{glob.escape(path.name)}.*.old"):
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(path)


def _beside(path: Path) -> Path:
    """Return a name for what is to take the place of `path`; nothing has it yet."""
    return path.with_name(f".{path.name}.{token_hex(4)}.part")

"""A result that takes hours to write: complete under its own name or not there, and never begun twice.

While `result.jsonl` is written there are `result.jsonl.part`, with what is done, and `result.jsonl.part.journal`, with
a line of JSON for the settings and one for each step, which says how long the part was after it, with a hash of all
steps so far and their notes. What a kill left beyond that, or what comes after a damaged place, is cut off and written
anew. `result.jsonl.part.lock` keeps other processes out of all three.
"""

import json
import os
import stat
from collections.abc import Mapping
from contextlib import ExitStack
from hashlib import blake2b
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

from flair_espvr.errors import ConfigurationError
from flair_espvr.io.atomic import is_written_through, mode_of, place_of, put_in_place
from flair_espvr.io.locks import LockedError, ProcessLock

_BYTES = "bytes"
_HASH = "hash"
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)  # Windows has no such flag


class ResumableFile:
    """A file that is written in steps and that the next run continues. A context manager.

    Args:
        path: the file to be; its folder must exist. An older file of that name stays whole until `finish` and leaves
            its permissions to the new one. A link is followed: all files are beside what it leads to.
        settings: all that the content depends on, as JSON values.

    Attributes:
        notes: what `write` was given with each step that is on disk already, in order; empty for a new file.

    Raises:
        ConfigurationError: the part that is there was written with other settings or is being written by another
            process, or `path` is a folder or a device.
        OSError: the files cannot be opened for writing, or somebody has put a link in place of one.
    """

    def __init__(self, path: str | Path, settings: Mapping[str, Any]) -> None:
        if is_written_through(path):
            raise ConfigurationError(f"{path}: is no regular file, so nothing can be put in its place")
        self.path = place_of(path)
        self.part = self.path.with_name(self.path.name + ".part")
        self.journal = self.path.with_name(self.path.name + ".part.journal")
        with ExitStack() as files:
            files.enter_context(_lock(self.part))  # before a file is opened: until then another process may rename it
            self._part = files.enter_context(_opened(self.part, like=self.path))
            self._journal = files.enter_context(_opened(self.journal, like=self.path))
            self._digest = blake2b(digest_size=16)
            self.notes = self._recover(json.loads(json.dumps(settings)))
            self._files = files.pop_all()

    def write(self, content: bytes, note: Mapping[str, Any]) -> None:
        """Append one step; when this returns, it is on disk.

        Args:
            content: what to append.
            note: JSON values that the next run finds in `notes`.

        Raises:
            OSError: the disk is full, say; this step is not in the file then, those before it are.
        """
        try:
            _append(self._part, content)
            step = {_BYTES: self._part.tell(), **note}
            self._digest.update(content + _line(step))
            _append(self._journal, _line({**step, _HASH: self._digest.hexdigest()}))
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.part)) from error

    def finish(self) -> None:
        """Give the file its name: nothing is missing from it."""
        put_in_place(self.part, self.path)
        self.journal.unlink()

    def __enter__(self) -> "ResumableFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._files.close()

    def _recover(self, settings: Any) -> list[dict[str, Any]]:
        """Brings both files to the end of the last step that is whole in both, or to a beginning."""
        found, lines = _read_journal(self._journal)
        steps = self._whole(lines)
        if not steps:
            _cut(self._part, 0)
            _cut(self._journal, 0)
            _append(self._journal, _line(settings))
            return []
        if found != settings:
            names = ", ".join(name for name in {**found, **settings} if found.get(name) != settings.get(name))
            raise ConfigurationError(
                f"{self.part}: was begun with other settings ({names} differ); write to another file, or remove this "
                "one to begin anew"
            )
        last, end = steps[-1]
        _cut(self._part, last[_BYTES])
        _cut(self._journal, end)
        return [step for step, _ in steps]

    def _whole(self, lines: list[tuple[dict[str, Any], int]]) -> list[tuple[dict[str, Any], int]]:
        """Return the steps before the first that is not in the part as it was written.

        Earlier releases wrote no hashes.
        """
        written = os.fstat(self._part.fileno()).st_size
        self._part.seek(0)
        whole: list[tuple[dict[str, Any], int]] = []
        for step, end in lines:
            if not self._part.tell() <= step[_BYTES] <= written:
                break
            expected, digest = step.pop(_HASH, None), self._digest.copy()
            digest.update(self._part.read(step[_BYTES] - self._part.tell()) + _line(step))
            if expected not in (None, digest.hexdigest()):
                break
            self._digest = digest
            whole.append((step, end))
        return whole


def _lock(part: Path) -> ProcessLock:
    try:
        return ProcessLock(part.with_name(part.name + ".lock"))
    except LockedError:
        raise ConfigurationError(f"{part}: another process is writing this file") from None


def _opened(path: Path, *, like: Path) -> FileIO:
    """Open one of our files with the permissions of `like`, if that is there; a link in its place is not followed."""
    mode = mode_of(like, otherwise=0o666) | stat.S_IWUSR  # a later run adds to it
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | _NO_LINK, mode)
    if like.exists():
        os.chmod(path, mode)
    return FileIO(descriptor, "a+b")


def _read_journal(file: FileIO) -> tuple[dict[str, Any], list[tuple[dict[str, Any], int]]]:
    """Return the settings, and each whole step with the place where its line ends."""
    file.seek(0)
    settings: dict[str, Any] = {}
    steps: list[tuple[dict[str, Any], int]] = []
    end = 0
    for number, line in enumerate(file.readall().splitlines(keepends=True)):
        end += len(line)
        try:
            values = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            values = None
        if not isinstance(values, dict) or (number and not isinstance(values.get(_BYTES), int)):
            break
        if number:
            steps.append((values, end))
        else:
            settings = values
    return settings, steps


def _line(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values).encode() + b"\n"


def _append(file: FileIO, content: bytes) -> None:
    while content:
        content = content[file.write(content) :]
    os.fsync(file.fileno())


def _cut(file: FileIO, length: int) -> None:
    file.truncate(length)
    file.seek(length)

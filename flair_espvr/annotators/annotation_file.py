"""Writing a file about pictures that survives a kill at any moment and goes on where it stopped.

The first line holds the settings that the file was made with, each further line what is said of one picture. A line
comes whole or, after a kill, half; half a line is cut off when the file is opened again.
"""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

from flair_espvr.data.formats.captions import text_lines
from flair_espvr.data.formats.objects import read_objects
from flair_espvr.data.picture_object import PictureObject, object_to_json
from flair_espvr.errors import ConfigurationError
from flair_espvr.io.atomic import atomic_write

Value = TypeVar("Value")


class Form(ABC, Generic[Value]):
    """How a file of some kind says its settings and what it holds of each picture.

    Args:
        kind: what the file holds, in the plural, for messages.

    Attributes:
        suffix: what the names of such files end in.
    """

    suffix: str

    def __init__(self, kind: str) -> None:
        self.kind = kind

    @abstractmethod
    def header(self, settings: Mapping[str, Any]) -> bytes:
        """Return the first line, without its end."""

    @abstractmethod
    def settings(self, header: bytes) -> Any:
        """Return the settings in a first line; None where it holds none.

        Raises:
            ValueError: as well.
        """

    @abstractmethod
    def line(self, image_id: str, value: Value) -> str:
        """Return the line of a picture, without its end.

        Raises:
            ConfigurationError: the value would not be read back.
        """

    @abstractmethod
    def written(self, path: Path) -> set[str]:
        """Ids of the pictures that a file has a line for.

        Raises:
            PostFormatError: a line is not of this form.
        """

    def unwritable_id(self, image_id: str) -> str | None:
        """Why an image id cannot stand in such a file; `None` if it can."""
        try:
            image_id.encode()
        except UnicodeEncodeError:
            return "is not UTF-8; rename it"
        return None if image_id else "is empty; rename it"


class TextLines(Form[str]):
    """`# {settings}`, then `image_id<TAB>text` lines, as `flair_espvr.data.formats.captions.read_captions` reads them.

    Args:
        kind: see `Form`.
        key: the column's name.
        may_be_empty: whether a picture may have an empty text, which tells that it was looked at.
    """

    suffix = ".tsv"
    _MARK = b"# "

    def __init__(self, kind: str, *, key: str, may_be_empty: bool = False) -> None:
        super().__init__(kind)
        self.key = key
        self.may_be_empty = may_be_empty

    def header(self, settings: Mapping[str, Any]) -> bytes:
        """See `Form`."""
        return self._MARK + json.dumps(settings, ensure_ascii=False).encode()

    def settings(self, header: bytes) -> Any:
        """See `Form`."""
        return json.loads(header.removeprefix(self._MARK)) if header.startswith(self._MARK) else None

    def line(self, image_id: str, value: str) -> str:
        """See `Form`."""
        if _breaks_line(value) or not (value.strip() or (self.may_be_empty and not value)):
            raise ConfigurationError(f"image id {image_id!r}: a {self.key} is one line of text, not {value!r}")
        return f"{image_id}\t{value}"

    def written(self, path: Path) -> set[str]:
        """See `Form`."""
        return {image_id for image_id, _ in text_lines(path, self.key)}

    def unwritable_id(self, image_id: str) -> str | None:
        """See `Form`."""
        if not image_id or image_id.startswith("#") or _breaks_line(image_id):
            return "is empty, begins with '#' or holds a TAB or line end, which TSV cannot represent; rename it"
        return super().unwritable_id(image_id)


class ObjectLines(Form[list[PictureObject]]):
    """`{"header": settings}`, then the lines that `flair_espvr.data.formats.objects.read_objects` reads."""

    suffix = ".jsonl"

    def header(self, settings: Mapping[str, Any]) -> bytes:
        """See `Form`."""
        return json.dumps({"header": settings}, ensure_ascii=False).encode()

    def settings(self, header: bytes) -> Any:
        """See `Form`."""
        record = json.loads(header)
        return record.get("header") if isinstance(record, dict) else None

    def line(self, image_id: str, value: list[PictureObject]) -> str:
        """See `Form`."""
        objects = [object_to_json(found) for found in value]
        return json.dumps({"image_id": image_id, "objects": objects}, ensure_ascii=False)

    def written(self, path: Path) -> set[str]:
        """See `Form`."""
        return set(read_objects(path))


class AnnotationFile(Generic[Value]):
    """A file open for appending. A context manager; what `write` returned from is on disk.

    Args:
        path: a file, new or written before with the same settings; its folder must exist. One process at a time may
            write to it.
        settings: what its content is made with, as JSON values.
        form: how it is written.

    Attributes:
        written: ids of the pictures that the file has a line for.

    Raises:
        ConfigurationError: the file is not of this kind, or was made with other settings.
        OSError: it cannot be opened for writing.
    """

    def __init__(self, path: str | Path, settings: Mapping[str, Any], form: Form[Value]) -> None:
        self.path = Path(path)
        if self.path.suffix in {".tsv", ".jsonl"} - {form.suffix}:
            raise ConfigurationError(
                f"{path}: {form.kind} are written as {form.suffix.removeprefix('.').upper()}; use a file name that "
                f"ends in {form.suffix}"
            )
        self._form = form
        if not self.path.exists() or not self.path.stat().st_size:
            with atomic_write(self.path) as file:
                file.write(form.header(settings) + b"\n")
        self._require_settings(settings)
        _cut_half_line(self.path)
        self.written = form.written(self.path)
        self._file = self.path.open("ab")

    def write(self, values: Mapping[str, Value]) -> None:
        """Append what is said of pictures, by image id, and force it to disk.

        Raises:
            ConfigurationError: an id or a value would not be read back; nothing was written.
            OSError: the disk is full.
        """
        for image_id in values:
            if reason := self._form.unwritable_id(image_id):
                raise ConfigurationError(f"image id {image_id!r} {reason}")
        lines = [self._form.line(image_id, value) + "\n" for image_id, value in values.items()]
        self._file.write("".join(lines).encode())
        self._file.flush()
        os.fsync(self._file.fileno())
        self.written.update(values)

    def __enter__(self) -> "AnnotationFile[Value]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def _require_settings(self, settings: Mapping[str, Any]) -> None:
        with self.path.open("rb") as file:
            header = file.readline()
        try:
            found = self._form.settings(header.removesuffix(b"\n")) if header.endswith(b"\n") else None
        except ValueError:
            found = None
        if not isinstance(found, dict):
            example = self._form.header({}).decode()
            raise ConfigurationError(
                f"{self.path}: expected a file of {self._form.kind} whose first line holds its settings ({example}); "
                "nothing was added to it: write to another file"
            )
        asked = json.loads(json.dumps(settings))
        if found != asked:
            names = [name for name in {**found, **asked} if found.get(name) != asked.get(name)]
            raise ConfigurationError(
                f"{self.path}: its {self._form.kind} were made with other settings ({', '.join(names)} differ); "
                f"write to another file, or remove this one to begin anew\n  in the file: {json.dumps(found)}\n"
                f"  asked for:   {json.dumps(asked)}"
            )


def _cut_half_line(path: Path) -> None:
    with path.open("r+b") as file:
        content = file.read()
        if not content.endswith(b"\n"):
            file.truncate(content.rfind(b"\n") + 1)


def _breaks_line(text: str) -> bool:
    return any(separator in text for separator in "\t\r\n")

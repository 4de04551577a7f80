"""JSON objects, one a line, in memory while they are few and in a temporary file beyond that."""

import json
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

_IN_MEMORY = 1024 * 1024
"""Bytes."""


class SpooledLines:
    """A list of JSON objects that may grow long: it is added to and read in order, and takes no memory."""

    def __init__(self) -> None:
        self._count = 0
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - lives as long as this
        weakref.finalize(self, self._file.close)

    def add(self, values: Mapping[str, Any]) -> None:
        """Append an object."""
        self._file.write(json.dumps(values).encode() + b"\n")
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def lines(self) -> Iterator[bytes]:
        """All of them, as a line of JSON each."""
        self._file.seek(0)
        yield from self._file
        self._file.seek(0, 2)

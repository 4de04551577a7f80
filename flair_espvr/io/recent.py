"""A mapping that holds what was used last, and no more."""

from collections import OrderedDict
from typing import Generic, TypeVar

from flair_espvr.io.thread_lock import ThreadLock

Key = TypeVar("Key")
Value = TypeVar("Value")

_changing = ThreadLock()
"""One for all: what is in it is short, and a mapping with a lock of its own could not be copied or pickled."""


class Recent(Generic[Key, Value]):
    """The `limit` values that were put or got last, by key; safe in threads.

    `functools.lru_cache` computes a value under its key; here the value may come from elsewhere, or not at all.

    Args:
        limit: How many values are kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        """Return the value of a key, or None."""
        with _changing.held():
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key]

    def put(self, key: Key, value: Value) -> bool:
        """Keep a value; the one that was not used for longest goes where there are too many.

        Returns:
            Whether the key had no value before: of several threads that put one, the first is told so.
        """
        with _changing.held():
            new = key not in self._values
            self._values[key] = value
            self._values.move_to_end(key)
            if len(self._values) > self._limit:
                self._values.popitem(last=False)
            return new

    def __len__(self) -> int:
        return len(self._values)

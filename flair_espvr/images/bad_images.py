"""Which images of a long run could not be used, and why, in memory that does not grow with their number."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from flair_espvr.io.printable import printable
from flair_espvr.io.recent import Recent
from flair_espvr.io.spooled import SpooledLines

_EXAMPLES = 3
"""Images named for each reason."""

_SHOWN_REASONS = 10
"""Reasons told apart in a summary."""

_KNOWN_REASONS = 1_000
"""Reasons told apart at all; a file may put anything into its reason."""

_REMEMBERED = 100_000
"""Names that are known to have been added."""

_NUMBER = re.compile(r"\d[\d,]*")


@dataclass
class _Kind:
    """Images whose reasons differ in their numbers at most."""

    count: int = 0
    reasons: set[str] = field(default_factory=set)
    examples: list[str] = field(default_factory=list)


class BadImages:
    """Images that could not be used. Counts and a few examples are in memory, the whole list in a temporary file.

    Args:
        reasons: those to begin with: how messages name an image -> why it is bad.
    """

    def __init__(self, reasons: Mapping[str, str] | None = None) -> None:
        self._kinds: dict[str, _Kind] = {}
        self._added: Recent[str, bool] = Recent(_REMEMBERED)
        self._list = SpooledLines()
        for name, reason in (reasons or {}).items():
            self.add(name, reason)

    def add(self, name: str, reason: str) -> bool:
        """Take note of an image; False for one that was added before (of the last 100,000)."""
        if self._added.get(name):
            return False
        self._added.put(name, True)
        self._list.add({"picture": name, "reason": reason})
        key = _NUMBER.sub("N", reason)
        kind = self._kinds.setdefault(key if key in self._kinds or len(self._kinds) < _KNOWN_REASONS else "", _Kind())
        kind.count += 1
        if len(kind.reasons) < 2:
            kind.reasons.add(reason)
        if len(kind.examples) < _EXAMPLES:
            kind.examples.append(name)
        return True

    def __len__(self) -> int:
        return len(self._list)

    def lines(self) -> Iterator[bytes]:
        """Return the whole list, a line `{"picture": ..., "reason": ...}` of JSON each."""
        return self._list.lines()

    def summary(self) -> Iterator[str]:
        """Yield a line for each of the commonest reasons, with some images.

        Numbers alone do not make another reason.
        """
        commonest = sorted(self._kinds.items(), key=lambda item: -item[1].count)
        for key, kind in commonest[:_SHOWN_REASONS]:
            more = ", ..." if kind.count > _EXAMPLES else ""
            examples = ", ".join(map(printable, kind.examples)) + more
            reason = next(iter(kind.reasons)) if len(kind.reasons) == 1 else key or "various reasons"
            yield f"{kind.count:,} bad: {reason} ({examples})"
        if others := sum(kind.count for _, kind in commonest[_SHOWN_REASONS:]):
            yield f"{others:,} bad: for {len(commonest) - _SHOWN_REASONS:,} other reasons"

    @property
    def all_named(self) -> bool:
        """Whether the summary names every image."""
        return len(self) <= _EXAMPLES

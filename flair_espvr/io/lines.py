"""Text files, line by line, with errors that say where."""

import codecs
from collections.abc import Iterator
from pathlib import Path

from flair_espvr.errors import PostFormatError

SHOWN_CHARACTERS = 60


def read_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a UTF-8 file, as `(number from 1, line without its end)`.

    A line ends with LF or CRLF and with nothing else: `str.splitlines` also breaks at U+2028 or U+0085, which occur
    inside words. A byte order mark is dropped.

    Raises:
        OSError: the file cannot be opened.
        PostFormatError: a line is not UTF-8.
    """
    with open(path, "rb") as file:
        for number, raw in enumerate(file, start=1):
            yield number, decoded_line(path, number, raw)


def decoded_line(path: str | Path, number: int, raw: bytes) -> str:
    """Return the line of that number, from 1, as text: without its end and, on the first, without a byte order mark.

    Raises:
        PostFormatError: it is not UTF-8.
    """
    raw = bare_line(number, raw)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise format_error(path, number, shown_bytes(raw), "UTF-8 text") from None


def bare_line(number: int, raw: bytes) -> bytes:
    """Return the bytes of the line of that number, from 1, without its end or a byte order mark."""
    raw = raw.removesuffix(b"\n").removesuffix(b"\r")
    return raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw


def shown_bytes(raw: bytes) -> str:
    """Bytes that should be UTF-8 as text, with escapes for those that are not."""
    return raw.decode("utf-8", "backslashreplace")


def format_error(path: str | Path, number: int, line: str, expected: str) -> PostFormatError:
    """Return the error for a line that is not as expected, with file, line number and the line, shortened."""
    shown = line if len(line) <= SHOWN_CHARACTERS else line[:SHOWN_CHARACTERS] + "…"
    return PostFormatError(
        f"{path}, line {number}: expected {expected}, found {shown!r}", line=number, expected=expected
    )

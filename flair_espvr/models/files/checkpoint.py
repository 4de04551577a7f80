"""The model file: tensors, strings, numbers and bytes, written atomically and read without running code."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from flair.data import Dictionary

from flair_espvr.errors import ConfigurationError, EspvrError, UnsafeModelError
from flair_espvr.io.atomic import atomic_write
from flair_espvr.models.files.container import load_container

FORMAT = "flair-espvr model"
FORMAT_VERSION = 1

_SCALARS = (bool, int, float, str, bytes)

KIND = "__kind__"
"""Marks a plain dict that stands for a richer object."""

BYTES = "bytes"
"""Kind of a plain dict that stands for a stream of bytes."""


def write_checkpoint(path: str | Path, state: Mapping[str, Any]) -> None:
    """Write a model file that holds plain data only.

    Args:
        path: where to; an older file stays whole until the new one is complete.
        state: the model; nested dicts, lists and tuples of tensors, plain values, Flair dictionaries and byte streams.

    Raises:
        ConfigurationError: something in `state` could only be kept as code (a pickled object).
        OSError: the file cannot be written.
    """
    plain = marked(to_plain(state))
    with atomic_write(path) as file:
        torch.save(plain, file)


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a model file without running code in it.

    Args:
        path: a file that `write_checkpoint` wrote.

    Returns:
        The state, still plain: `from_plain` gives its richer objects back.

    Raises:
        FileNotFoundError: there is no such file.
        UnsafeModelError: the file hides code, is damaged, is not ours, or is of a newer format.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such model file")
    try:
        state = load_container(path)
    except Exception as error:  # a damaged archive fails in as many ways as there are bytes in it
        raise UnsafeModelError(
            f"{path}: not read, and nothing in it was run: it is damaged, or holds objects other than tensors and "
            f"plain values ({str(error)[:200] or type(error).__name__}); a model saved by flair-espvr holds none"
        ) from error
    check_format(state, path)
    return state


def marked(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state with the marks that `check_format` looks for."""
    return {**state, "format": FORMAT, "format_version": FORMAT_VERSION}


def check_format(state: Any, source: str | Path) -> None:
    """Make sure that a state is one of ours and not of a later format.

    Raises:
        UnsafeModelError: it is neither.
    """
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise UnsafeModelError(f"{source}: not a model of flair-espvr; load other Flair models with their own class")
    version = state.get("format_version")
    if type(version) is not int or version < 1:  # what it is instead may be too deep or too long for a message
        raise UnsafeModelError(f"{source}: is damaged: its format has no number")
    if version > FORMAT_VERSION:
        raise UnsafeModelError(
            f"{source}: format {version}, but this flair-espvr reads formats up to {FORMAT_VERSION}: install a newer "
            "one"
        )


@contextmanager
def damage_explained() -> Iterator[None]:
    """Turn whatever building a model from a file's state raises into the one error of a model file.

    The state may hold anything under any key, so anything can come of it: even the assertion of a library.

    Raises:
        UnsafeModelError: the block raised something that is not for users.
    """
    try:
        yield
    except ConfigurationError as error:  # arguments, but not the caller's
        raise UnsafeModelError(f"the model file is damaged: {error}") from error
    except (EspvrError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the tokenizers library panics outside of Exception
        raise UnsafeModelError(f"the model file is damaged: {type(error).__name__}: {error}") from error


def to_plain(value: Any, where: str = "model") -> Any:
    """`value` with Flair dictionaries and byte streams replaced by marked plain dicts.

    Raises:
        ConfigurationError: a part of it, named by its path, is of a kind that only code could restore.
    """
    if value is None or isinstance(value, torch.Tensor):
        return value
    if isinstance(value, _SCALARS):
        # A subclass (torch's version string, numpy's numbers) would be restored by its own code.
        base: Any = next(scalar for scalar in _SCALARS if isinstance(value, scalar))
        return value if type(value) is base else base(value)
    if isinstance(value, Mapping):
        return {key: to_plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [to_plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, tuple):
        return tuple(to_plain(item, f"{where}[{index}]") for index, item in enumerate(value))
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, io.BytesIO):
        return {KIND: BYTES, "bytes": value.getvalue()}
    if isinstance(value, Dictionary):
        return {
            KIND: "dictionary",
            "items": value.get_items(),
            "add_unk": value.add_unk,
            "multi_label": value.multi_label,
            "span_labels": value.span_labels,
        }
    raise ConfigurationError(
        f"{where} is a {type(value).__module__}.{type(value).__qualname__}, which a model file that runs no code "
        "cannot hold: give plain values, or leave it out"
    )


def from_plain(value: Any) -> Any:
    """Return the inverse of `to_plain`."""
    if isinstance(value, dict):
        kind = value.get(KIND)
        if kind == BYTES:
            return io.BytesIO(value["bytes"])
        if kind == "dictionary":
            return _dictionary(value)
        return {key: from_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(from_plain(item) for item in value)
    return value


def plain_card(card: Any) -> Any:
    """Return a model card with everything that is not plain written out as text, a record for people."""
    if isinstance(card, Mapping):
        return {str(key): plain_card(value) for key, value in card.items()}
    if isinstance(card, list | tuple):
        return [plain_card(value) for value in card]
    return card if card is None or isinstance(card, _SCALARS) else str(card)


def _dictionary(state: Mapping[str, Any]) -> Dictionary:
    dictionary = Dictionary(add_unk=False)
    for item in state["items"]:
        dictionary.add_item(item)
    dictionary.add_unk = state["add_unk"]
    dictionary.multi_label = state["multi_label"]
    dictionary.span_labels = state["span_labels"]
    return dictionary

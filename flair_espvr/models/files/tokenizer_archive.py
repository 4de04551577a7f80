"""The tokenizer inside a model file: an archive of plain files, checked before transformers sees any of them."""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flair_espvr.errors import UnsafeModelError

MAX_BYTES = 512 * 1024 * 1024
"""Unpacked size beyond which a tokenizer is refused; the largest that are published have some 30 MiB."""

_SUFFIXES = {".json", ".txt", ".model", ".jinja"}
_NAME = re.compile(r"[\w-]+(\.[\w-]+)*", re.ASCII)

_TOKENIZER_CLASS = re.compile(r"\w+Tokenizer(Fast)?", re.ASCII)
"""transformers looks this name up among all that it exports, retrievers and pipelines included."""

_CODE_KEYS = {"auto_map", "trust_remote_code", "custom_pipelines"}
"""Keys by which Hugging Face libraries are told to fetch and run code."""


def check_tokenizer(archive: io.BytesIO) -> None:
    """Makes sure that a tokenizer archive holds plain files of known kinds, side by side, that ask for nothing else.

    Raises:
        UnsafeModelError: it holds anything else, is damaged, or unpacks to more than `MAX_BYTES`.
    """
    try:
        with zipfile.ZipFile(archive) as files:
            entries = files.infolist()
            if sum(entry.file_size for entry in entries) > MAX_BYTES:
                raise UnsafeModelError("the model file's tokenizer unpacks to more than 512 MiB; nothing was unpacked")
            for entry in entries:
                check_file_name(entry.filename)
                if Path(entry.filename).suffix == ".json" and entry.filename != "tokenizer.json":
                    check_settings(json.loads(files.read(entry)))
    except UnsafeModelError:
        raise
    except Exception as error:  # zipfile and zlib raise as many kinds of error as there are kinds of damage
        raise UnsafeModelError(f"the model file's tokenizer is damaged ({error})") from error
    archive.seek(0)


def check_file_name(name: str) -> None:
    """Makes sure that a file of a tokenizer is one, and stays in its folder.

    Raises:
        UnsafeModelError: it has another suffix, or a name that could lead elsewhere.
    """
    if not _NAME.fullmatch(name) or Path(name).suffix not in _SUFFIXES:
        raise UnsafeModelError(f"the model file's tokenizer holds {name!r}, which is no tokenizer file")


def check_settings(settings: Any) -> None:
    """Makes sure that what a JSON file of transformers says asks neither for code nor for files elsewhere.

    Raises:
        UnsafeModelError: it does.
    """
    for key, value in settings_in(settings):
        if key in _CODE_KEYS and value:
            raise UnsafeModelError(f"the model file asks for code to be fetched and run ({key}); nothing was run")
        # transformers reads a vocabulary from wherever these say; its own leftover of this name it does not read.
        if key.endswith("_file") and key != "special_tokens_map_file" and value:
            raise UnsafeModelError(f"the model file's tokenizer asks for a file outside of it ({key}={value!r:.60})")
        if key == "tokenizer_class" and value is not None and not _TOKENIZER_CLASS.fullmatch(str(value)):
            raise UnsafeModelError(f"the model file asks for {value!r:.60} as its tokenizer, which is none")


def settings_in(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """`value` and all that is nested in it, each with the key it stands under; what is in a list has the list's key."""
    yield key, value
    if isinstance(value, dict):
        for name, item in value.items():
            yield from settings_in(item, str(name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from settings_in(item, key)


def pack_tokenizer(folder: Path) -> io.BytesIO:
    """The archive of a folder of tokenizer files.

    Raises:
        UnsafeModelError: the folder is missing, or holds anything but regular files up to `MAX_BYTES` in all.
    """
    archive, size = io.BytesIO(), 0
    if not folder.is_dir():
        raise UnsafeModelError(f"{folder}: the exported model's tokenizer is not there")
    with zipfile.ZipFile(archive, "w") as files:
        for path in sorted(folder.iterdir()):
            check_file_name(path.name)
            if not path.is_file():  # a device or a pipe could be read for ever
                raise UnsafeModelError(f"{path}: should be a regular file")
            size += path.stat().st_size
            if size > MAX_BYTES:
                raise UnsafeModelError(f"{folder}: holds more than 512 MiB, which no tokenizer needs")
            files.writestr(path.name, path.read_bytes())
    archive.seek(0)
    return archive


def unpack_tokenizer(archive: io.BytesIO, folder: Path) -> None:
    """Puts the files of a checked archive into a new folder."""
    check_tokenizer(archive)
    folder.mkdir()
    with zipfile.ZipFile(archive) as files:
        files.extractall(folder)
    archive.seek(0)

"""The container of a model file, a zip as `torch.save` writes it: read strictly, and without an unpickler.

Archives that two readers could understand in two ways are refused, and so is every damaged byte. The pickle in it is
interpreted here, over the few operations that plain data and tensors need: nothing that a file names is ever called.
"""

import pickletools
import struct
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch

_END_BYTES, _END64_BYTES = 22, 98
"""Of the records that end a zip: the short one alone, and behind the long one and its locator."""

_LENGTHS = 26
"""Where an entry's header has the lengths of its name and of what else stands between the header and its bytes."""

_DESCRIPTOR_BYTES = 24
"""What may follow an entry's bytes: sizes and checksum once more."""

_DTYPES = {
    "BFloat16Storage": torch.bfloat16,
    "BoolStorage": torch.bool,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "ShortStorage": torch.int16,
}
_GLOBALS = {
    "collections OrderedDict",
    "_codecs encode",
    "torch._utils _rebuild_tensor_v2",
    *(f"torch {name}" for name in _DTYPES),
}
"""All that a pickle may name: dicts, bytes, tensors and their types."""

_VALUES = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_LITERALS = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}

_CHUNK = 1 << 20

_MOST_REPEATED = 64 * 1024 * 1024
"""Bytes of the values that a pickle mentions again, each counted as often as it is mentioned."""


class ContainerError(Exception):
    """The container is damaged, ambiguous, or holds more than plain data."""


class _Global(str):
    """The name of something; it stands for it, and is not it."""


def load_container(path: Path) -> Any:
    """Return the value in a file that `torch.save` wrote, of dicts, lists, tuples, plain values, bytes, tensors.

    Raises:
        ContainerError: the file is anything else.
        zipfile.BadZipFile: it is no zip, or damaged.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        records = read_records(file)
    if "data.pkl" not in records or records.get("byteorder", b"little") != b"little":
        raise ContainerError("it is no file of torch, or one of a big-endian machine")
    return _Interpreter(records).value


def read_records(file: BinaryIO) -> dict[str, bytearray]:
    """Return the entries of a zip that lie side by side from its first byte to its one directory, undamaged.

    Returns:
        Their bytes by their names below the archive's one folder.

    Raises:
        ContainerError: the archive has another shape.
        zipfile.BadZipFile: it is none, or its bytes contradict a checksum.
    """
    begins = _directory(file)
    records: dict[str, bytearray] = {}
    with zipfile.ZipFile(file) as archive:
        entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
        if archive.start_dir != begins or not entries or entries[0].header_offset != 0:
            raise ContainerError("it holds something before its entries or between them and their directory")
        for entry, end in zip(entries, [*(entry.header_offset for entry in entries[1:]), begins], strict=True):
            file.seek(entry.header_offset + _LENGTHS)
            name_bytes, extra_bytes = struct.unpack("<HH", file.read(4))
            spare = end - (file.tell() + name_bytes + extra_bytes + entry.file_size)
            if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
                raise ContainerError(f"{entry.filename!r:.60} in it is compressed")
            if not 0 <= spare <= _DESCRIPTOR_BYTES:
                raise ContainerError(f"{entry.filename!r:.60} in it does not end where what follows begins")
            data = records[entry.orig_filename.partition("/")[2].lower()] = bytearray(entry.file_size)
            left = memoryview(data)
            with archive.open(entry) as content:  # its last byte is read only if the checksum is right
                while count := content.readinto(left[:_CHUNK]):  # type: ignore[attr-defined]
                    left = left[count:]
    if len(records) < len(entries):
        raise ContainerError("it holds a name twice")
    return records


def _directory(file: BinaryIO) -> int:
    """Where the directory begins, by the record that ends the file."""
    size = file.seek(0, 2)
    file.seek(-min(size, _END64_BYTES), 2)
    last = file.read()
    end = last[-_END_BYTES:]
    if end[:4] != b"PK\5\6" or end[20:] != b"\0\0":
        raise ContainerError("it is no zip archive, or is cut off, or something follows the archive")
    if last[-_END_BYTES - 20 : -_END_BYTES - 16] != b"PK\6\7":
        return int.from_bytes(end[16:20], "little")
    if last[:4] != b"PK\6\6" or int.from_bytes(last[-_END_BYTES - 12 : -_END_BYTES - 4], "little") != size - len(last):
        raise ContainerError("its directory's record is not where it should be")
    return int.from_bytes(last[48:56], "little")


class _Interpreter:
    """Runs a pickle over plain data. Types of keys are checked before they are hashed: tuples could nest for ever."""

    def __init__(self, records: Mapping[str, bytearray]) -> None:
        self._records = records
        self._storages: dict[str, torch.Tensor] = {}
        self._memo: dict[int, Any] = {}
        self._marks: list[list[Any]] = []
        self._stack: list[Any] = []
        self._repeatable = _MOST_REPEATED
        self.value: Any = None
        try:
            for operation, argument, _ in pickletools.genops(bytes(records["data.pkl"])):
                self._run(operation.name, argument)
        except (IndexError, KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise ContainerError(f"its pickle is damaged: {error}") from error

    def _run(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _LITERALS:
            stack.append(argument)
        elif name in _VALUES:
            stack.append(_VALUES[name])
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self._remembered(argument))
        elif name in ("EMPTY_DICT", "EMPTY_LIST"):
            stack.append({} if name == "EMPTY_DICT" else [])
        elif name == "MARK":
            self._marks.append(stack)
            self._stack = []
        elif name in ("TUPLE", "APPENDS", "SETITEMS"):
            self._stack = self._marks.pop()
            if name == "TUPLE":
                self._stack.append(tuple(stack))
            elif name == "APPENDS":
                _list(self._stack[-1]).extend(stack)
            else:
                _put(self._stack[-1], stack)
        elif name in _TUPLES:
            if len(stack) < _TUPLES[name]:
                raise IndexError("a tuple lacks values")
            stack[-_TUPLES[name] :] = [tuple(stack[-_TUPLES[name] :])]
        elif name == "APPEND":
            item = stack.pop()
            _list(stack[-1]).append(item)
        elif name == "SETITEM":
            items = [stack.pop(-2), stack.pop()]
            _put(stack[-1], items)
        elif name == "GLOBAL":
            if argument not in _GLOBALS:
                raise ContainerError(f"it names {argument!r:.80}, which is pickled code")
            stack.append(_Global(argument))
        elif name == "BINPERSID":
            stack.append(self._storage(*stack.pop()))
        elif name == "REDUCE":
            arguments = stack.pop()
            stack.append(self._made(stack.pop(), arguments))
        elif name == "STOP":
            self.value = stack.pop()
        elif name != "PROTO":
            raise ContainerError(f"it holds pickled code ({name})")

    def _remembered(self, place: int) -> Any:
        """Return a value that is mentioned again.

        What holds others is held once, or 60 lists could unfold to 2^60 values; long texts and tuples not often, or a
        million mentions could be written out in a message, or copied.
        """
        value = self._memo[place]
        items = value if isinstance(value, tuple) else (value,)
        self._repeatable -= sum(map(sys.getsizeof, (value, *items)))
        if self._repeatable < 0 or any(isinstance(item, dict | list | tuple) for item in items):
            raise ContainerError("a value in it that holds others or is long is held again, so that it unfolds to more")
        return value

    def _made(self, kind: Any, arguments: Any) -> Any:
        if not isinstance(kind, _Global) or not isinstance(arguments, tuple):
            raise ContainerError("it holds pickled code (a call)")
        if kind == "collections OrderedDict" and not arguments:
            return {}
        if kind == "_codecs encode" and isinstance(arguments[0], str) and arguments[1:] == ("latin1",):
            return arguments[0].encode("latin1")
        if kind == "torch._utils _rebuild_tensor_v2":
            return _view(*arguments[:4])
        raise ContainerError(f"it holds pickled code (a call of {kind!r:.80})")

    def _storage(self, mark: str, kind: str, key: str, place: str, length: int) -> torch.Tensor:
        """Return a storage as a tensor of one dimension, (N,), which holds just what its record does."""
        dtype = _DTYPES[kind.removeprefix("torch ")] if isinstance(kind, _Global) else None
        data = self._records[f"data/{key}"] if type(key) is str else None
        if mark != "storage" or dtype is None or data is None or len(data) != length * dtype.itemsize:
            raise ContainerError("a tensor in it is not of the size that its bytes have")
        if key not in self._storages:
            self._storages[key] = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
        if self._storages[key].dtype != dtype:
            raise ContainerError("a tensor's bytes in it have two types")
        return self._storages[key]


def _view(storage: Any, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> torch.Tensor:
    """Return the tensor with this shape in a storage, which it must not leave nor, by strides of 0, exceed."""
    numbers = (offset, *shape, *stride)
    if not isinstance(storage, torch.Tensor) or any(type(number) is not int or number < 0 for number in numbers):
        raise ContainerError("a tensor in it has no storage or no shape")
    tensor = storage.as_strided(shape, stride, offset)
    if tensor.numel() > storage.numel():
        raise ContainerError("a tensor in it is larger than its bytes")
    return tensor


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("items for something that is no list")
    return value


def _put(target: Any, items: list[Any]) -> None:
    for key, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(target, dict) or type(key) not in (str, int, bool, float, type(None)):
            raise ContainerError("it holds pickled code (as the name of a value)")
        target[key] = value

"""The container of a model file: one way to read it, no byte that a checksum does not cover, no call but our own."""

import io
import pickle
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from flair_espvr.errors import UnsafeModelError
from flair_espvr.models.files.checkpoint import read_checkpoint, write_checkpoint

STATE: dict[str, Any] = {
    "state_dict": {"a": torch.arange(6000.0).reshape(60, 100), "b": torch.arange(4), "half": torch.ones(3).half()},
    "text": "\N{EURO SIGN}",
    "bytes": bytes(range(256)),
    "nested": [(1, 2.5, None, True), {"deep": [], "large": 2**70}],
}


@pytest.fixture
def good(tmp_path: Path) -> Path:
    write_checkpoint(tmp_path / "good.pt", {"format": "flair-espvr model", **STATE})
    return tmp_path / "good.pt"


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    return type(one) is type(other) and one == other


def replaced(file: Path, pickled: bytes) -> Path:
    """The file with another pickle and the same tensors."""
    evil = file.with_name("evil.pt")
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(evil, "w") as target:
        for entry in source.infolist():
            target.writestr(entry.filename, pickled if entry.filename.endswith("data.pkl") else source.read(entry))
    return evil


def test_a_file_is_read_as_torch_reads_it(good: Path) -> None:
    assert same(read_checkpoint(good), torch.load(good, weights_only=True))


def test_views_and_tied_weights_are_read_as_torch_reads_them(tmp_path: Path) -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    state = {"view": whole[1:, 2:], "turned": whole.T, "tied": whole, "none": torch.empty(0, 3), "one": torch.tensor(2)}
    write_checkpoint(tmp_path / "model.pt", state)
    read = read_checkpoint(tmp_path / "model.pt")
    assert same(read, torch.load(tmp_path / "model.pt", weights_only=True))
    assert read["tied"].untyped_storage().data_ptr() == read["turned"].untyped_storage().data_ptr()


def test_no_flipped_bit_gives_another_model(good: Path) -> None:
    content, chosen, refused = good.read_bytes(), random.Random(0), 0
    expected = read_checkpoint(good)
    for _ in range(300):
        spoilt = bytearray(content)
        spoilt[chosen.randrange(len(spoilt))] ^= 1 << chosen.randrange(8)
        good.write_bytes(spoilt)
        try:
            assert same(read_checkpoint(good), expected)
        except UnsafeModelError:
            refused += 1
    assert refused > 200


def _appended(content: bytes) -> bytes:
    return content + b"x"


def _preceded(content: bytes) -> bytes:
    return b"\x80\x02}." + content


def _two_directories(content: bytes) -> bytes:
    """A second directory behind the first, which lists the same entries and is the one that its record names."""
    length, offset = struct.unpack("<II", content[-10:-2])
    directory = content[offset : offset + length]
    end = bytearray(content[-22:])
    end[16:20] = struct.pack("<I", len(content))
    return content + directory + bytes(end)


def _overlapping(content: bytes) -> bytes:
    """The directory lists one entry's bytes under two names."""
    file = io.BytesIO(content)
    with zipfile.ZipFile(file, "a") as archive:
        first = next(entry for entry in archive.infolist() if entry.filename.endswith("data/0"))
        second = next(entry for entry in archive.infolist() if entry.filename.endswith("data/1"))
        second.header_offset = first.header_offset
        second.file_size = second.compress_size = first.file_size
        second.CRC = first.CRC
        archive.writestr("good/.comment", b"")
    return file.getvalue()


def _unaccounted(content: bytes) -> bytes:
    length, offset = struct.unpack("<II", content[-10:-2])
    end = bytearray(content[-22:])
    end[16:20] = struct.pack("<I", offset + 1000)
    return content[:offset] + bytes(1000) + content[offset : offset + length] + bytes(end)


@pytest.mark.parametrize("spoil", [_appended, _preceded, _two_directories, _overlapping, _unaccounted])
def test_a_container_that_could_be_read_in_two_ways_is_refused(good: Path, spoil: Callable[[bytes], bytes]) -> None:
    good.write_bytes(spoil(good.read_bytes()))
    with pytest.raises(UnsafeModelError, match="nothing in it was run"):
        read_checkpoint(good)


class Call:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    "value",
    [
        Call(bytearray, 10**9),
        Call(torch._utils._rebuild_meta_tensor_no_storage, torch.float32, (10**12,), (1,), False),  # type: ignore[attr-defined]
        Call(torch.device, "meta"),
        Call(set, [1]),
    ],
    ids=["bytearray", "meta tensor", "device", "set"],
)
def test_calls_that_torch_would_allow_are_refused(good: Path, value: Any) -> None:
    pickled = pickle.dumps({"format": "flair-espvr model", "format_version": 1, "x": value}, protocol=2)
    with pytest.raises(UnsafeModelError, match="pickled code"):
        read_checkpoint(replaced(good, pickled))


def test_tuples_in_tuples_as_a_name_are_refused_before_they_are_hashed(good: Path) -> None:
    nested = b"\x80\x02}K\x01" + b"\x85" * 1_000_000 + b"K\x02s."  # torch's own reader ends the process
    with pytest.raises(UnsafeModelError, match="name of a value"):
        read_checkpoint(replaced(good, nested))


LONG_TEXT = b"X" + struct.pack("<I", 1_000_000) + b"x" * 1_000_000
LONG_TUPLE = b"(" + b"N" * 100_000 + b"t"


@pytest.mark.parametrize("value", [LONG_TEXT, LONG_TUPLE], ids=["text", "tuple"])
def test_long_values_that_are_mentioned_again_and_again_are_refused(good: Path, value: bytes) -> None:
    pickled = b"\x80\x02](" + value + b"q\0" + b"h\0" * 100_000 + b"e."  # 10^11 bytes where it is written out
    with pytest.raises(UnsafeModelError, match="unfolds to more"):
        read_checkpoint(replaced(good, pickled))


MARKED = b"\x80\x02}(X\6\0\0\0formatX\x11\0\0\0flair-espvr modelX\x0e\0\0\0format_version"
NESTED = b"]" * 100_000 + b"a" * 99_999
LONG_NUMBER = b"\x8b" + struct.pack("<I", 20_000) + b"\x7f" * 20_000


@pytest.mark.parametrize("version", [NESTED, LONG_NUMBER], ids=["nested", "long"])
def test_a_format_that_no_message_can_name_is_refused(good: Path, version: bytes) -> None:
    with pytest.raises(UnsafeModelError):
        read_checkpoint(replaced(good, MARKED + version + b"u."))


def test_a_tensor_larger_than_its_bytes_is_refused(good: Path) -> None:
    torch.save({"format": "flair-espvr model", "format_version": 1, "x": torch.zeros(1).expand(10**6, 10**6)}, good)
    with pytest.raises(UnsafeModelError, match="larger than its bytes"):
        read_checkpoint(good)

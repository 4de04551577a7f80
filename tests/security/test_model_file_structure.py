"""Model files whose structure is spoilt, not their bytes: keys, values, zip records, pickle opcodes, tokenizers.

Each checksum and length is made to fit again, so that the damage reaches what reads it. A file that is taken all the
same is the good model, or one that differs from it in values only: it tags a post, or says that it cannot. Every file
is read in a process of bounded memory and time, in which opening any other file, a connection or a new process fails.
"""

import io
import json
import pickletools
import random
import struct
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from flair.data import Sentence

from flair_espvr import EspvrError, ESPVRTagger
from flair_espvr.errors import UnsafeModelError
from flair_espvr.models.files.checkpoint import read_checkpoint

ODD_VALUES: list[Any] = [
    *(None, True, -1, 0, 1, 7, 2**31, 2**63, 10**30, 0.5, -1e300, float("nan"), "", "\ud800", "../../x", "/dev/zero"),
    *("evil/kernel", "hf_hub:evil/model", "package:os/x", b"", b"PK", [], {}, (), [[]], {"__kind__": "bytes"}),
    *(
        {"": None},
        {"__cls__": "StackedEmbeddings"},
        "x" * 10_000,
        [0] * 1_000,
        torch.zeros(2),
        torch.zeros(1).expand(9),
    ),
]
KEYS = [
    *("auto_map", "attribute_map", "trust_remote_code", "vocab_file", "tokenizer_file", "source_spm", "peft_config"),
    *(
        "attn_implementation",
        "_attn_implementation_internal",
        "model_type",
        "__cls__",
        "__kind__",
        "quantization_config",
    ),
    *("num_labels", "use_context_separator", "force_max_length", "layers", "checkpoint", "store", "", "\0", 0, None),
]

OPCODES = [
    *(
        b"cos\nsystem\n",
        b"cbuiltins\neval\n",
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"ctorch\nFloatStorage\n",
        b"ios\nsystem\n",
    ),
    *(
        b"X\x04\0\0\0true",
        b"R",
        b"b",
        b"o",
        b"\x81",
        b"\x92",
        b"\x93",
        b"\x82\x01",
        b"\x94",
        b"Q",
        b"Px\n",
        b"0",
        b"1",
        b"2",
    ),
    *(b"(", b")", b"t", b"\x85", b"\x86", b"\x87", b"l", b"]", b"a", b"e", b"d", b"}", b"s", b"u", b".", b"N", b"\x88"),
    *(b"K\x01", b"J\xff\xff\xff\x7f", b"M\xff\xff", b"h\x00", b"h\x01", b"q\x00", b"q\xff", b"j\xff\xff\xff\x7f"),
    *(
        b"r\xff\xff\xff\x7f",
        b"\x8a\x09" + b"\xff" * 8 + b"\x7f",
        b"\x8b\xff\xff\xff\x7f",
        b"X\xff\xff\xff\x7f",
        b"\x80\x05",
    ),
    *(
        b"\x95" + b"\xff" * 8,
        b"G\x7f\xf8" + bytes(6),
        b"\x8e" + b"\xff" * 8,
        b"\x96" + b"\x10" + bytes(7),
        b"\x97",
        b"\x98",
    ),
]

Records = dict[str, bytes]
Spoil = Callable[[Records, random.Random], bytes]


def records_of(file: bytes) -> Records:
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        return {entry.filename: archive.read(entry) for entry in archive.infolist()}


def zipped(records: Records, compression: int = zipfile.ZIP_STORED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, data in records.items():
            archive.writestr(name, data)
    return content.getvalue()


def with_odd_structure(content: Any, choose: random.Random) -> Any:
    """A copy in which one value is another, one key is missing, renamed, added, or two values have changed places."""
    if not isinstance(content, dict | list | tuple) or not content or choose.random() < 0.1:
        return choose.choice(ODD_VALUES)
    kind = choose.random()
    if isinstance(content, list | tuple):
        place = choose.randrange(len(content))
        return [with_odd_structure(item, choose) if index == place else item for index, item in enumerate(content)]
    key = choose.choice(list(content))
    if kind < 0.6:
        return {**content, key: with_odd_structure(content[key], choose)}
    if kind < 0.7:
        return {name: value for name, value in content.items() if name != key}
    if kind < 0.8:
        return {choose.choice(KEYS) if name == key else name: value for name, value in content.items()}
    if kind < 0.9:
        return {**content, choose.choice(KEYS): choose.choice(ODD_VALUES)}
    other = choose.choice(list(content))
    return {**content, key: content[other], other: content[key]}


def spoilt_values(state: dict[str, Any]) -> Spoil:
    def spoil(records: Records, choose: random.Random) -> bytes:
        content = io.BytesIO()
        torch.save(with_odd_structure(state, choose), content)
        return content.getvalue()

    return spoil


def spoilt_tokenizer(state: dict[str, Any]) -> Spoil:
    files = records_of(state["embeddings"]["tokenizer_data"]["bytes"])

    def spoil(records: Records, choose: random.Random) -> bytes:
        name = choose.choice([name for name in files if name.endswith(".json")])
        odd = json.dumps(with_odd_structure(json.loads(files[name]), choose), default=str, skipkeys=True)
        tokenizer = {"__kind__": "bytes", "bytes": zipped({**files, name: odd.encode()})}
        content = io.BytesIO()
        torch.save({**state, "embeddings": {**state["embeddings"], "tokenizer_data": tokenizer}}, content)
        return content.getvalue()

    return spoil


def spoilt_opcodes(records: Records, choose: random.Random) -> bytes:
    name = next(name for name in records if name.endswith("data.pkl"))
    places = [place for _, _, place in pickletools.genops(records[name])]
    pieces = [records[name][start:end] for start, end in zip(places, [*places[1:], None], strict=True)]
    for _ in range(choose.choice([1, 1, 1, 2, 5])):
        place, other = choose.randrange(len(pieces)), choose.randrange(len(pieces))
        kind = choose.randrange(5)
        if kind == 0:
            del pieces[place]
        elif kind == 1:
            pieces[place] = choose.choice(OPCODES)
        elif kind == 2:
            pieces.insert(place, choose.choice(OPCODES))
        elif kind == 3:
            pieces[place], pieces[other] = pieces[other], pieces[place]
        else:
            pieces[place:place] = pieces[other : other + choose.randint(1, 30)]
    return zipped({**records, name: b"".join(pieces)})


def spoilt_records(records: Records, choose: random.Random) -> bytes:
    """Other entries, or other numbers in the records that say where they are; never other bytes in an entry."""
    names = list(records)
    one = choose.choice(names)
    changed = [
        {name: data for name, data in records.items() if name != one},
        {**records, one: records[one] + bytes(4)},
        {**records, one: records[one][:-1]},
        {**records, f"{names[0].partition('/')[0]}/{choose.choice(['x', 'data/99', '../x', 'data.pkl/x'])}": b"x"},
        {name.replace("/", choose.choice(["\\", "//", "/./"]), 1): data for name, data in records.items()},
        {name: records[name] for name in reversed(names)},
    ]
    kind = choose.randrange(len(changed) + 4)
    if kind < len(changed):
        return zipped(changed[kind])
    content = bytearray(zipped(records, choose.choice([zipfile.ZIP_STORED] * 3 + [zipfile.ZIP_DEFLATED])))
    if kind == len(changed):
        return bytes(content + choose.randbytes(choose.randint(1, 100)))
    if kind == len(changed) + 1:
        return choose.randbytes(choose.randint(1, 100)) + bytes(content)
    # A number in a local header, in the directory or in its record: sizes, offsets, checksums, flags, counts.
    record = choose.choice([b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"])
    places = [place for place in range(len(content) - 22) if content[place : place + 4] == record] or [
        len(content) - 22
    ]
    place = choose.choice(places) + choose.randrange(4, 22, 2)
    width = choose.choice(["<H", "<I"])
    number = choose.choice([0, 1, 2, len(content), 2**16 - 1, 2**31, choose.randrange(2**32)])
    size = struct.calcsize(width)
    content[place : place + size] = struct.pack(width, number % 2 ** (8 * size))
    return bytes(content)


_FORBIDDEN = {
    "socket.connect",
    "socket.getaddrinfo",
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
}


class Watch:
    """Notes each file that is opened beside the libraries' own and those below `allowed`, and each way out."""

    def __init__(self, allowed: Path) -> None:
        self.allowed = (str(allowed), *(path for path in sys.path if path), sys.prefix, sys.base_prefix, "/proc/self")
        self.seen: list[str] = []
        self._installed = False

    def install(self) -> None:
        if not self._installed:
            self._installed = True
            sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _FORBIDDEN:
            self.seen.append(f"{event}{arguments!r}")
        elif event == "open" and isinstance(arguments[0], str | bytes):
            path = arguments[0].decode() if isinstance(arguments[0], bytes) else arguments[0]
            if not path.startswith(self.allowed):
                self.seen.append(path)


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two states that were read hold the same weights and, written out, the same values."""
    weights = [{name: value.tolist() for name, value in state["state_dict"].items()} for state in (one, other)]
    rest = [repr({name: value for name, value in state.items() if name != "state_dict"}) for state in (one, other)]
    return weights[0] == weights[1] and rest[0] == rest[1]


@pytest.fixture
def tried(model_bytes: bytes, state: dict[str, Any], outcomes: Any, tmp_path: Path) -> Callable[..., Counter[str]]:
    """Reads spoilt files in processes that are watched, a few hundred in each, and counts what came of them."""
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    path, watch = allowed / "model.pt", Watch(allowed)

    def read(content: bytes, *, only_same: bool) -> None:
        tempfile.tempdir = str(allowed)  # where Flair unpacks tokenizers
        path.write_bytes(content)
        watch.install()
        try:
            if only_same:
                assert same(read_checkpoint(path), state)
            tagger = ESPVRTagger.load(path)
            sentence = Sentence("Kevin Durant enters Oracle Arena")
            sentence.add_metadata("caption", "a man in a suit")
            try:
                tagger.predict(sentence)
            except (EspvrError, RuntimeError, IndexError, TypeError, ValueError):
                return  # values that contradict each other
            assert all(0 <= label.score <= 1 for label in sentence.get_labels())
        finally:
            assert not watch.seen, watch.seen

    def run(spoil: Spoil, count: int, *, seed: int, only_same: bool = False) -> Counter[str]:
        records = records_of(model_bytes)
        found: Counter[str] = Counter()
        for start in range(0, count, 500):

            def files(start: int = start) -> Iterator[bytes]:
                for number in range(start, min(start + 500, count)):
                    yield spoil(records, random.Random(seed * 1_000_000 + number))

            found += outcomes(lambda content: read(content, only_same=only_same), files(), UnsafeModelError)
        return found

    return run


COUNTS = [
    pytest.param(125, id="500"),
    pytest.param(2_500, id="10000", marks=pytest.mark.fuzz),
]


@pytest.mark.parametrize("count", COUNTS)
def test_values(tried: Any, tally: Any, state: dict[str, Any], count: int) -> None:
    found = tried(spoilt_values(state), count, seed=20)
    tally("model file", "files with other keys and values", found)


@pytest.mark.parametrize("count", COUNTS)
def test_tokenizers(tried: Any, tally: Any, state: dict[str, Any], count: int) -> None:
    found = tried(spoilt_tokenizer(state), count, seed=21)
    tally("model file", "tokenizers with other keys and values", found)


@pytest.mark.parametrize("count", COUNTS)
def test_pickle_opcodes(tried: Any, tally: Any, count: int) -> None:
    found = tried(spoilt_opcodes, count, seed=22)
    tally("model file", "files with other pickle opcodes", found)


@pytest.mark.parametrize("count", COUNTS)
def test_zip_records(tried: Any, tally: Any, count: int) -> None:
    found = tried(spoilt_records, count, seed=23, only_same=True)
    tally("model file", "files with other zip records", found)

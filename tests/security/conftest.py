"""A small good model and store to spoil, a canary that no payload may ever reach, and the rows of docs/FAULTS.md."""

import json
import multiprocessing
import os
import resource
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flair.data import Dictionary

from flair_espvr import CaptionedTransformerEmbeddings, EspvrError, ESPVRTagger, ImageRegionEmbeddings
from flair_espvr.images.store.header import RegionHeader
from flair_espvr.images.store.region_store import RegionStore

TINY_SWIN = {"window_size": 2, "embed_dim": 16, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2)}
HEADER = RegionHeader(
    model="m",
    model_arguments={},
    fingerprint="f",
    image_size=8,
    mean=(0.0,) * 3,
    std=(1.0,) * 3,
    grid=(2, 3),
    dim=40,
)

Refused = Callable[..., AbstractContextManager[None]]
Tally = Callable[[str, str, Counter[str]], None]


Outcomes = Callable[..., Counter[str]]

FORK = multiprocessing.get_context("fork")
CPU_SECONDS = 120
EXTRA_MEMORY = 2 << 30


def _try_each(
    work: Callable[[Any], object], inputs: Iterable[Any], documented: tuple[type[BaseException], ...], pipe: Any
) -> None:
    torch.set_num_threads(1)  # a forked process has none of its parent's threads
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + EXTRA_MEMORY, used + EXTRA_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    outcomes: Counter[str] = Counter()
    for number, item in enumerate(inputs):
        try:
            work(item)
            outcomes["read"] += 1
        except documented as error:
            outcomes[f"`{type(error).__name__}`"] += 1
        except BaseException:
            pipe.send(f"input {number}: {traceback.format_exc()}")
            return
    pipe.send(outcomes)


def _answers(receiver: Any, process: Any) -> bool:
    """Whether a process answers or ends; not if it sleeps, a minute long, over something that never comes."""
    asleep = 0
    while not receiver.poll(1):
        state = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
        asleep = asleep + 1 if state == "S" else 0  # one that waits for a processor is ready to run
        if asleep == 60:
            return False
    return True


class Payload:
    """Makes the canary's file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.command = f"touch {canary}"

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


@pytest.fixture
def canary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file that only a payload would make."""
    path = tmp_path_factory.mktemp("canary") / "canary"
    yield path
    assert not path.exists()


@pytest.fixture
def payload(canary: Path) -> Payload:
    return Payload(canary)


@pytest.fixture
def refused(canary: Path, record_property: Callable[[str, object], None]) -> Refused:
    """`with refused(what, fault, error):` the block ends in that very error, and the row goes into docs/FAULTS.md."""

    @contextmanager
    def check(loader: str, fault: str, error: type[EspvrError], match: str | None = None) -> Iterator[None]:
        with pytest.raises(error, match=match) as caught:
            yield
        assert type(caught.value) is error
        assert not canary.exists()
        record_property("fault", json.dumps([loader, fault, f"`{error.__name__}`"]))

    return check


@pytest.fixture
def tally(record_property: Callable[[str, object], None]) -> Tally:
    """Puts the outcomes of generated inputs into docs/FAULTS.md."""

    def record(loader: str, fault: str, outcomes: Counter[str]) -> None:
        counts = ", ".join(f"{count:,} {name}" for name, count in sorted(outcomes.items()))
        record_property("fault", json.dumps([loader, f"{outcomes.total():,} {fault}", counts]))
        record_property("generated", outcomes.total())

    return record


@pytest.fixture
def outcomes(canary: Path) -> Outcomes:
    """Gives each input to a loader, in a process of bounded memory and time, and counts what came of it."""

    def run(work: Callable[[Any], object], inputs: Iterable[Any], *documented: type[BaseException]) -> Counter[str]:
        receiver, sender = FORK.Pipe(duplex=False)
        process = FORK.Process(target=_try_each, args=(work, inputs, documented, sender))
        process.start()
        sender.close()
        answered = _answers(receiver, process)
        try:
            answer = receiver.recv() if answered else "no answer: it hangs"
        except EOFError:
            process.join()
            answer = f"the process died with exit code {process.exitcode}"
        process.kill()
        process.join()
        assert isinstance(answer, Counter), answer
        return answer

    return run


@pytest.fixture(scope="session")
def tagger(tiny_bert: Path) -> ESPVRTagger:
    """Reads pictures; its backbone has random weights and is nowhere kept, so it only loads and is never asked."""
    torch.manual_seed(0)
    types = Dictionary(add_unk=False)
    for name in ("PER", "LOC"):
        types.add_item(name)
    return ESPVRTagger(
        CaptionedTransformerEmbeddings(str(tiny_bert)),
        types,
        "ner",
        region_embeddings=ImageRegionEmbeddings(
            "swin_tiny_patch4_window7_224", image_size=64, pretrained=False, model_arguments=TINY_SWIN
        ),
        window=1,
        hidden_size=16,
        num_heads=2,
        num_layers=1,
    )


@pytest.fixture(scope="session")
def model_bytes(tagger: ESPVRTagger, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A good model file."""
    path = tmp_path_factory.mktemp("model") / "good.pt"
    tagger.save(path)
    return path.read_bytes()


@pytest.fixture
def state(model_bytes: bytes, tmp_path: Path) -> dict[str, Any]:
    """What a good model file holds, to be spoilt."""
    (tmp_path / "good.pt").write_bytes(model_bytes)
    loaded: dict[str, Any] = torch.load(tmp_path / "good.pt", weights_only=True)
    return loaded


@pytest.fixture(scope="session")
def export(tagger: ESPVRTagger, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good exported folder."""
    folder = tmp_path_factory.mktemp("export") / "good"
    tagger.save_pretrained(folder, include_backbone=True)
    return folder


@pytest.fixture(scope="session")
def store_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The data file of a good region store: pages of all kinds, free ones as well."""
    folder = tmp_path_factory.mktemp("store")
    with RegionStore(folder, header=HEADER, writable=True) as store:
        for start in range(0, 120, 40):
            keys = [number.to_bytes(4, "big") * 4 for number in range(start, start + 40)]
            store.put_many({key: np.full(HEADER.shape, start) for key in keys})
    return (folder / "data.mdb").read_bytes()

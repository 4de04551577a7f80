"""Resumed trainings against Flair's own, uninterrupted `ModelTrainer`: the same weights, bit for bit."""

import hashlib
import logging
import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import flair
import pytest
import torch
from flair.data import Corpus, Sentence
from flair.datasets import FlairDatapointDataset
from flair.embeddings import TransformerWordEmbeddings
from flair.models import SequenceTagger
from flair.nn import Classifier
from flair.samplers import FlairSampler
from flair.trainers import ModelTrainer
from flair.trainers.plugins import TrainerPlugin
from tqdm import tqdm

from flair_espvr import ESPVRTagger
from flair_espvr.errors import ConfigurationError, UnsafeModelError
from flair_espvr.io import atomic as files
from flair_espvr.training.trainer.identity import differences, run_identity
from flair_espvr.training.trainer.resume import ResumableTrainer
from flair_espvr.training.trainer.resume_plugin import STATE_FILE
from flair_espvr.training.trainer.training_state import TrainingState

Model: TypeAlias = Classifier[Sentence]
BuildModel = Callable[[], Model]
KEPT = Path(__file__).parents[2] / "kept"
FORK = multiprocessing.get_context("fork")

EVENTS = sorted(ModelTrainer.valid_events - {"metric_recorded", "training_interrupt", "_training_exception"})


class Killed(BaseException):
    """Ends a run as abruptly as Python allows: neither Flair nor we handle it."""


def die() -> None:
    raise Killed


class Killer(TrainerPlugin):
    """Calls `kill` in place of the trainer's event number `after`; None never does."""

    def __init__(self, after: int | None = None, kill: Callable[[], None] = die) -> None:
        super().__init__()
        self.left = after
        self.kill = kill

    @TrainerPlugin.hook(*EVENTS)  # type: ignore[untyped-decorator]
    def count(self, **_: Any) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.kill()


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a forked child has no others
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _dev_scores_that_go_up_and_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """The best epoch is rarely the last, learning rates anneal, and a score depends on nothing but the weights."""
    for kind in (ESPVRTagger, SequenceTagger):

        def evaluate(model: Model, *args: Any, _evaluate: Any = kind.evaluate, **kwargs: Any) -> Any:
            result = _evaluate(model, *args, **kwargs)
            result.main_score = int(digest(model.state_dict())[:8], 16) / 2**32
            return result

        monkeypatch.setattr(kind, "evaluate", evaluate)


@pytest.fixture
def build_model(
    request: pytest.FixtureRequest, build: Callable[..., ESPVRTagger], tiny_bert: Path, corpus: Corpus[Sentence]
) -> BuildModel:
    """An ESPVRTagger with this parameter for `regions` (`"none"` by default), or a `"SequenceTagger"`."""
    kind = getattr(request, "param", "none")
    if kind == "SequenceTagger":
        return lambda: SequenceTagger(
            embeddings=TransformerWordEmbeddings(str(tiny_bert), allow_long_sentences=False),
            tag_dictionary=corpus.make_label_dictionary("ner"),
            tag_type="ner",
            hidden_size=16,
        )
    return lambda: build(regions=kind)


def digest(weights: dict[str, torch.Tensor]) -> str:
    parts = (name.encode() + value.numpy().tobytes() for name, value in sorted(weights.items()))
    return hashlib.sha256(b"".join(parts)).hexdigest()


def train(trainer: ModelTrainer, folder: Path, method: str = "fine_tune", **arguments: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "learning_rate": 1e-3 if method == "fine_tune" else 0.1,
        "mini_batch_size": 3,
        "max_epochs": 4,
        "use_final_model_for_eval": False,
        "embeddings_storage_mode": "none",
        "plugins": [Killer()],
    }
    if method == "train":
        settings["patience"] = 0
    return getattr(trainer, method)(folder, **{**settings, **arguments})


def outcome(folder: Path) -> dict[str, Any]:
    """What a training leaves: the weights of its last and best epoch, and its table of losses without the times."""
    rows = [line.split("\t") for line in (folder / "loss.tsv").read_text().splitlines()]
    assert rows[0][1] == "TIMESTAMP"
    models = [Classifier.load(folder / name) for name in ("final-model.pt", "best-model.pt")]
    return {
        "weights": [digest(model.state_dict()) for model in models],
        "epochs": [model.model_card["training_parameters"]["epoch"] for model in models],
        "losses": [row[:1] + row[2:] for row in rows],
    }


def uninterrupted(
    build_model: BuildModel, corpus: Corpus[Sentence], folder: Path, trainer: Any = ModelTrainer, **arguments: Any
) -> dict[str, Any]:
    flair.set_seed(1)
    train(trainer(build_model(), corpus), folder, **arguments)
    return outcome(folder)


def resumed(build_model: BuildModel, corpus: Corpus[Sentence], folder: Path, kills: list[int], **arguments: Any) -> int:
    """Trains, killed at these events, each process with weights and random numbers of its own; counts the kills."""
    flair.set_seed(1)
    for number, after in enumerate(kills):
        try:
            train(ResumableTrainer(build_model(), corpus), folder, plugins=[Killer(after)], **arguments)
        except Killed:
            flair.set_seed(100 + number if (folder / STATE_FILE).exists() else 1)
        else:
            return number
    train(ResumableTrainer(build_model(), corpus), folder, **arguments)
    return len(kills)


@pytest.mark.parametrize(
    ("build_model", "method", "chunk"),
    [
        ("positioned", "train", None),
        ("positioned", "train", 1),
        ("positioned", "fine_tune", None),
        ("positioned", "fine_tune", 1),
        ("none", "train", 1),
        ("none", "fine_tune", None),
        ("SequenceTagger", "train", None),
        ("SequenceTagger", "fine_tune", 1),
    ],
    indirect=["build_model"],
)
def test_a_resumed_training_equals_an_uninterrupted_one(
    build_model: BuildModel, corpus: Corpus[Sentence], tmp_path: Path, method: str, chunk: int | None
) -> None:
    arguments: dict[str, Any] = {"method": method, "mini_batch_chunk_size": chunk}
    expected = uninterrupted(build_model, corpus, tmp_path / "one", **arguments)
    assert resumed(build_model, corpus, tmp_path / "many", [16, 20, 3, 16], **arguments) == 4
    assert outcome(tmp_path / "many") == expected


def test_killed_after_each_event_of_two_epochs(
    build_model: BuildModel, corpus: Corpus[Sentence], tmp_path: Path
) -> None:
    """Every kind of event is the last one before a kill: after 0, 1, 2, ... of them since the latest start."""
    expected = uninterrupted(build_model, corpus, tmp_path / "one", max_epochs=2)
    kills = resumed(build_model, corpus, tmp_path / "many", list(range(100)), max_epochs=2)
    assert len(EVENTS) < kills < 100
    assert outcome(tmp_path / "many") == expected


class Rotation(FlairSampler):
    """Starts at another post in each epoch."""

    def __init__(self) -> None:
        self.first = 0

    def __iter__(self) -> Iterator[int]:
        self.first += 1
        return iter([(self.first + index) % self.num_samples for index in range(self.num_samples)])


@pytest.mark.parametrize(
    "arguments",
    [
        {"embeddings_storage_mode": "cpu"},
        {"decoder_learning_rate": 0.01},
        {"sampler": Rotation},
        {"shuffle": False},
        {"train_with_dev": True},
        {"optimizer": torch.optim.SGD, "momentum": 0.9},
        {"method": "train", "anneal_with_restarts": True},
        {"reduce_transformer_vocab": True},
        {"use_amp": True},
    ],
    ids=str,
)
def test_other_ways_to_train(
    build_model: BuildModel, corpus: Corpus[Sentence], tmp_path: Path, arguments: dict[str, Any]
) -> None:
    """Beside our own trainer: Flair's takes vectors of an earlier epoch for later ones where it stores them."""
    arguments = {"use_final_model_for_eval": False, **arguments}
    one, many = tmp_path / "one", tmp_path / "many"
    flair.set_seed(1)
    train(ResumableTrainer(build_model(), corpus), one, **arguments)
    assert resumed(build_model, corpus, many, [16, 20], **arguments) == 2
    assert {path.name for path in one.iterdir()} == {path.name for path in many.iterdir()}
    for name in sorted({"final-model.pt", "best-model.pt"} & {path.name for path in one.iterdir()}):
        first, second = (Classifier.load(folder / name).state_dict() for folder in (one, many))
        assert digest(first) == digest(second)


def test_the_gradient_scaler_is_taken_up_again(
    build_model: BuildModel, corpus: Corpus[Sentence], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a scaler for CPUs in the place of Flair's for GPUs, of a scale that overflows at first and grows later."""

    def scaler(**_: Any) -> torch.amp.GradScaler:
        return torch.amp.GradScaler("cpu", init_scale=2.0**127, growth_interval=3)

    monkeypatch.setattr(torch.cuda.amp, "GradScaler", scaler)
    expected = uninterrupted(build_model, corpus, tmp_path / "one", use_amp=True)
    assert resumed(build_model, corpus, tmp_path / "many", [16, 20], use_amp=True) == 2
    assert outcome(tmp_path / "many") == expected
    state = torch.load(tmp_path / "many" / STATE_FILE, weights_only=True)
    assert 0 < state["grad_scaler"]["scale"] < 2.0**127


def test_a_finished_training_is_only_evaluated_again(
    build_model: BuildModel, corpus: Corpus[Sentence], tmp_path: Path
) -> None:
    trainer = ResumableTrainer(build_model(), corpus)
    first = train(trainer, tmp_path, max_epochs=1)
    expected = outcome(tmp_path)
    assert train(trainer, tmp_path, max_epochs=1) == first
    assert train(ResumableTrainer(build_model(), corpus), tmp_path, max_epochs=1) == first
    assert outcome(tmp_path) == expected


def test_ctrl_c_ends_it_and_leaves_the_test_for_later(
    build_model: BuildModel, corpus: Corpus[Sentence], tmp_path: Path
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    expected = uninterrupted(build_model, corpus, tmp_path / "one")
    flair.set_seed(1)
    with pytest.raises(KeyboardInterrupt):
        train(ResumableTrainer(build_model(), corpus), tmp_path / "many", plugins=[Killer(20, interrupt)])
    assert not (tmp_path / "many" / "final-model.pt").exists()
    train(ResumableTrainer(build_model(), corpus), tmp_path / "many")
    assert outcome(tmp_path / "many") == expected


@pytest.fixture
def begun(build_model: BuildModel, corpus: Corpus[Sentence], tmp_path: Path) -> Path:
    """The folder of a training that was killed in its third epoch."""
    flair.set_seed(1)
    with pytest.raises(Killed):
        train(ResumableTrainer(build_model(), corpus), tmp_path, plugins=[Killer(30)])
    assert torch.load(tmp_path / STATE_FILE, weights_only=True)["epoch"] == 2
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "training.log"}


def refused(
    trainer: ModelTrainer, folder: Path, reason: str, error: type = ConfigurationError, **arguments: Any
) -> None:
    before = contents(folder)
    with pytest.raises(error, match=reason) as raised:
        train(trainer, folder, **arguments)
    assert str(folder) in str(raised.value)
    assert contents(folder) == before


def test_the_state_of_another_training_is_refused(
    build: Callable[..., ESPVRTagger], begun: Path, corpus: Corpus[Sentence]
) -> None:
    def trainer(posts: Corpus[Sentence] = corpus, notes: Any = None, **arguments: Any) -> ResumableTrainer:
        return ResumableTrainer(build(**{"regions": "none", **arguments}), posts, notes=notes)

    refused(trainer(), begun, r"training\.learning_rate: 0\.001, now 0\.002", learning_rate=0.002)
    refused(trainer(), begun, r"training\.max_epochs: 4, now 9", max_epochs=9)
    refused(trainer(), begun, r"training\.optimizer: .*AdamW', now '.*SGD'", optimizer=torch.optim.SGD)
    refused(trainer(), begun, r"training\.kwargs\.weight_decay: 'absent', now 0\.5", weight_decay=0.5)
    refused(trainer(), begun, r"training\.plugins", warmup_fraction=0.5)
    refused(trainer(hidden_size=8), begun, r"model\.hyperparameters\.hidden_size: 16, now 8; .*and \d+ more")
    refused(trainer(dropout=0.2), begun, r"model\.hyperparameters\.dropout: 0\.1, now 0\.2")
    refused(trainer(notes={"seed": 2}), begun, r"notes\.seed: 'absent', now 2")
    fewer = Corpus(train=list(corpus.train)[1:], dev=corpus.dev, test=corpus.test)
    refused(trainer(fewer), begun, r"data\.train: ")


def test_a_hyperparameter_that_came_later_is_what_the_model_did_before(build: Callable[..., ESPVRTagger]) -> None:
    before = TrainingState.read(KEPT / "unfinished" / "training-state.pt").identity["model"]["hyperparameters"]
    assert "window_placement" not in before
    known = {"hidden_size": 16, "num_heads": 2, "num_layers": 1, "dropout": 0.1, "window": 1, "regions": "none"}
    assert known.items() <= before.items()
    corpus: Corpus[Sentence] = Corpus(train=[Sentence("a")], sample_missing_splits=False)

    def found(placement: str) -> list[str]:
        identity = run_identity(build(**known, window_placement=placement), corpus, {"plugins": []}, {})
        return list(differences(before, identity["model"]["hyperparameters"]))

    assert found("paper") == []
    assert found("centered") == ["window_placement: 'absent', now 'centered'"]


def test_a_damaged_older_or_hostile_state_is_refused(
    build_model: BuildModel, begun: Path, corpus: Corpus[Sentence]
) -> None:
    trainer, path = ResumableTrainer(build_model(), corpus), begun / STATE_FILE
    whole = torch.load(path, weights_only=True)
    changes: list[tuple[dict[str, Any], str]] = [
        ({"state_version": 0}, "version 0"),
        ({"state_version": 2}, "version 2"),
        ({"__cls__": "ESPVRTagger"}, "not the state of a training run, but a ESPVRTagger"),
    ]
    for change, reason in changes:
        torch.save({**whole, **change}, path)
        refused(trainer, begun, reason)
    torch.save({name: value for name, value in whole.items() if name != "optimizer"}, path)
    refused(trainer, begun, "damaged training state, without 'optimizer'")
    torch.save({**whole, "payload": Path}, path)
    refused(trainer, begun, "nothing in it was run", UnsafeModelError)
    path.write_bytes(b"")
    refused(trainer, begun, "damaged", UnsafeModelError)


def test_contents_that_do_not_fit_are_an_error(build_model: BuildModel, begun: Path, corpus: Corpus[Sentence]) -> None:
    path = begun / STATE_FILE
    whole = torch.load(path, weights_only=True)
    for name in ("model", "optimizer", "schedulers", "random"):
        torch.save({**whole, name: {"none": 1}}, path)
        with pytest.raises(ConfigurationError, match="damaged training state"):
            train(ResumableTrainer(build_model(), corpus), begun)


def test_a_best_model_that_is_gone_is_noticed(build_model: BuildModel, begun: Path, corpus: Corpus[Sentence]) -> None:
    (begun / "best-model.pt").unlink()
    refused(ResumableTrainer(build_model(), corpus), begun, "gone")


def test_several_gpus_are_refused(build_model: BuildModel, corpus: Corpus[Sentence], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="multi_gpu"):
        train(ResumableTrainer(build_model(), corpus), tmp_path / "run", multi_gpu=True)
    assert not (tmp_path / "run").exists()


def test_a_training_without_posts_is_refused(build_model: BuildModel, corpus: Corpus[Sentence], tmp_path: Path) -> None:
    empty = Corpus(FlairDatapointDataset([]), corpus.dev, corpus.test, sample_missing_splits=False)
    with pytest.raises(ConfigurationError, match="no training posts"):
        train(ResumableTrainer(build_model(), empty), tmp_path / "run")


def test_a_second_trainer_in_the_folder_is_refused(
    build_model: BuildModel, corpus: Corpus[Sentence], tmp_path: Path
) -> None:
    def meanwhile() -> None:
        before = contents(tmp_path)
        with pytest.raises(ConfigurationError, match="another trainer"):
            train(ResumableTrainer(build_model(), corpus), tmp_path)
        assert contents(tmp_path) == before
        tried.append(True)
        killer.left = None

    tried: list[bool] = []
    killer = Killer(after=20, kill=meanwhile)
    train(ResumableTrainer(build_model(), corpus), tmp_path, plugins=[killer])
    assert tried
    train(ResumableTrainer(build_model(), corpus), tmp_path, plugins=[Killer()])  # it is free again


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_in_write(number: int, moment: str) -> None:
    """Has this process killed in its write of this number: with half a file written, before or after the renaming."""
    writes = iter(range(number, -1, -1))
    sync, replace = os.fsync, os.replace

    def killing_sync(descriptor: int) -> None:
        if moment == "half" and next(writes, 1) == 0:
            os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
            kill_self()
        sync(descriptor)

    def killing_replace(source: str, target: Path) -> None:
        left = next(writes, 1) if moment != "half" else 1
        if moment == "before" and left == 0:
            kill_self()
        replace(source, target)
        if moment == "after" and left == 0:
            kill_self()

    files.os.fsync, files.os.replace = killing_sync, killing_replace  # type: ignore[attr-defined]


def killed_process(
    build_model: BuildModel, corpus: Corpus[Sentence], folder: Path, epochs: int, events: int | None, write: Any
) -> None:
    logging.disable()
    tqdm.set_lock(threading.RLock())  # the one that all processes share stays locked where a kill hits a progress bar
    flair.set_seed(1)
    if write is not None:
        kill_in_write(*write)
    train(ResumableTrainer(build_model(), corpus), folder, plugins=[Killer(events, kill_self)], max_epochs=epochs)


@pytest.mark.parametrize("build_model", ["positioned"], indirect=True)
def test_killed_with_signal_9_at_twenty_random_moments(
    build_model: BuildModel, corpus: Corpus[Sentence], tmp_path: Path
) -> None:
    """Seven kills between any two events, seven in the midst of writing a file, six whenever it may be."""
    epochs, choose, start = 14, random.Random(0), time.monotonic()
    expected = uninterrupted(build_model, corpus, tmp_path / "one", max_epochs=epochs)
    an_epoch = (time.monotonic() - start) / epochs
    kinds = [*["event"] * 7, *["write"] * 7, *["delay"] * 6]
    choose.shuffle(kinds)
    reached, leftovers = [], 0
    for kind in kinds:
        events = choose.randrange(3, 15) if kind == "event" else None
        write = (choose.randrange(3), choose.choice(["half", "before", "after"])) if kind == "write" else None
        run = FORK.Process(target=killed_process, args=(build_model, corpus, tmp_path / "many", epochs, events, write))
        run.start()
        run.join(choose.uniform(0, 2) * an_epoch if kind == "delay" else 100)
        run.kill()
        run.join()
        assert run.exitcode == -signal.SIGKILL
        state = tmp_path / "many" / STATE_FILE
        reached.append(torch.load(state, weights_only=True)["epoch"] if state.exists() else -1)
        leftovers += len(list((tmp_path / "many").glob(".*.part")))
    assert reached == sorted(reached)
    assert leftovers > 0
    print(f"\nepochs finished at each of {len(kinds)} kills: {reached}; half-written files left: {leftovers}")
    run = FORK.Process(target=killed_process, args=(build_model, corpus, tmp_path / "many", epochs, None, None))
    run.start()
    run.join()
    assert run.exitcode == 0
    assert outcome(tmp_path / "many") == expected
    assert list((tmp_path / "many").glob(".*.pt.*.part")) == []


def test_a_run_goes_on_after_its_model_has_moved_to_another_module(
    build_model: BuildModel, corpus: Corpus[Sentence], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Killed):
        train(ResumableTrainer(build_model(), corpus), tmp_path, plugins=[Killer(30)])
    monkeypatch.setattr(ESPVRTagger, "__module__", "flair_espvr.elsewhere")
    train(ResumableTrainer(build_model(), corpus), tmp_path)

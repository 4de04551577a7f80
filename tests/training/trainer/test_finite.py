"""A loss or gradient that is no number, put into one post: training stops there, before the weights have changed."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from flair.data import Corpus, Sentence
from flair.trainers import ModelTrainer
from flair.trainers.plugins import TrainerPlugin

from flair_espvr import ESPVRTagger
from flair_espvr.errors import TrainingError
from flair_espvr.training.trainer.finite import FinitePlugin
from flair_espvr.training.trainer.resume import ResumableTrainer
from flair_espvr.training.trainer.resume_plugin import STATE_FILE

BAD = "oakland"
"""The post that spoils a batch."""


class InfiniteGradient(torch.autograd.Function):
    """Leaves the loss as it is, with a gradient that overflowed."""

    @staticmethod
    def forward(_: Any, loss: torch.Tensor) -> torch.Tensor:
        return loss.clone()

    @staticmethod
    def backward(_: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient * float("inf")


class Weights(TrainerPlugin):
    """Remembers the weights before each batch."""

    @TrainerPlugin.hook  # type: ignore[untyped-decorator]
    def before_training_batch(self, epoch: int, **_: Any) -> None:
        self.epoch = epoch
        self.before = [parameter.detach().clone() for parameter in self.model.parameters()]


@pytest.fixture
def tagger(build: Callable[..., ESPVRTagger], corpus: Corpus[Sentence]) -> ESPVRTagger:
    for number, post in enumerate(corpus.train):
        post.add_metadata("image_id", f"17_06_{number}.jpg")
    return build(regions="none")


def spoil(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[torch.Tensor], torch.Tensor], weights: Weights, epoch: int = 2
) -> None:
    """Changes the loss of every batch or chunk that holds the bad post, from this epoch on."""
    compute = ESPVRTagger.losses

    def spoilt(tagger: ESPVRTagger, posts: list[Sentence]) -> Mapping[str, torch.Tensor]:
        losses = compute(tagger, posts)
        if weights.epoch < epoch or not any(post.text == BAD for post in posts):
            return losses
        return {name: change(term) for name, term in losses.items()}

    monkeypatch.setattr(ESPVRTagger, "losses", spoilt)


def train(trainer: ModelTrainer, folder: Path, weights: Weights, **arguments: Any) -> dict[str, Any]:
    settings = {"learning_rate": 1e-3, "mini_batch_size": 4, "max_epochs": 3, "shuffle": False, **arguments}
    return trainer.fine_tune(folder, plugins=[weights, FinitePlugin()], **settings)


@pytest.mark.parametrize(
    ("value", "chunk", "use_amp"),
    [("nan", None, False), ("inf", 2, False), ("-inf", None, True), ("nan", 2, True)],
)
def test_a_loss_that_is_no_number_stops_training_before_the_weights_change(
    tagger: ESPVRTagger,
    corpus: Corpus[Sentence],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    value: str,
    chunk: int | None,
    use_amp: bool,
) -> None:
    weights = Weights()
    spoil(monkeypatch, lambda losses: losses * float(value), weights)
    with pytest.raises(TrainingError) as raised:
        train(ResumableTrainer(tagger, corpus), tmp_path, weights, mini_batch_chunk_size=chunk, use_amp=use_amp)
    first, *posts = str(raised.value).splitlines()
    assert first.startswith("epoch 2, batch 2: the loss is ")
    shown = list(corpus.train)[4:] if chunk is None else list(corpus.train)[4:6]
    assert posts == [f"  17_06_{number}.jpg: {post.text!r}" for number, post in enumerate(shown, start=4)]
    assert all(map(torch.equal, tagger.parameters(), weights.before))
    state = torch.load(tmp_path / STATE_FILE, weights_only=True)
    assert state["epoch"] == 1
    assert all(tensor.isfinite().all() for tensor in state["model"].values())
    assert "forward_loss" not in vars(tagger)


def test_a_gradient_that_is_no_number_stops_training_too(
    tagger: ESPVRTagger, corpus: Corpus[Sentence], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = Weights()
    spoil(monkeypatch, InfiniteGradient.apply, weights)
    with pytest.raises(
        TrainingError, match=r"epoch 2, batch 2: the gradient is not finite[^\0]*17_06_4\.jpg: 'hi kevin'"
    ):
        train(ModelTrainer(tagger, corpus), tmp_path, weights)
    assert all(map(torch.equal, tagger.parameters(), weights.before))


def test_a_gradient_scaler_sees_to_infinite_gradients_itself(
    tagger: ESPVRTagger, corpus: Corpus[Sentence], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a scaler for CPUs in the place of Flair's for GPUs: it skips the step, and training goes on."""
    monkeypatch.setattr(torch.cuda.amp, "GradScaler", lambda enabled: torch.amp.GradScaler("cpu", enabled=True))
    weights = Weights()
    spoil(monkeypatch, InfiniteGradient.apply, weights)
    train(ModelTrainer(tagger, corpus), tmp_path, weights, use_amp=True)
    assert weights.epoch == 3
    assert all(parameter.isfinite().all() for parameter in tagger.parameters())
    assert all(map(torch.equal, tagger.parameters(), weights.before))  # the last batch is the bad post's


def test_long_posts_are_cut_and_posts_without_an_id_are_shown_by_their_text(
    build: Callable[..., ESPVRTagger], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = Sentence([BAD] * 20)
    corpus = Corpus(train=[Sentence("kevin sings"), long], dev=[Sentence("hi kevin")], test=[Sentence("hi")])
    weights = Weights()
    tagger = build(regions="none")
    monkeypatch.setattr(ESPVRTagger, "losses", lambda _, posts: {"tags": torch.full((len(posts),), float("nan"))})
    with pytest.raises(TrainingError) as raised:
        train(ModelTrainer(tagger, corpus), tmp_path, weights)
    shown = str(raised.value).splitlines()[1:]
    assert shown == ["  no image id: 'kevin sings'", f"  no image id: {(BAD + ' ') * 7 + 'o...'!r}"]

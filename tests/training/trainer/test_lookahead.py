"""Lookahead against the order in which torch's own loader draws, and a tagger that is told what it will learn next."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import flair
import pytest
import torch
from flair.data import Corpus, Sentence
from flair.datasets import DataLoader
from flair.samplers import FlairSampler
from hypothesis import given
from hypothesis import strategies as st

from flair_espvr import ESPVRTagger
from flair_espvr.training.trainer.lookahead import LookaheadSampler
from flair_espvr.training.trainer.resume import ResumableTrainer


class Halves(FlairSampler):
    """The odd posts only."""

    def __init__(self) -> None:
        self.data_source: Any = None

    def __len__(self) -> int:
        return len(self.data_source) // 2

    def __iter__(self) -> Iterator[int]:
        return iter(range(1, 2 * len(self), 2))


def epochs(posts: list[str], size: int, sampler: FlairSampler | None, *, shuffle: Sequence[bool]) -> list[list[str]]:
    """The batches of some epochs, as Flair's trainer draws them."""
    torch.manual_seed(0)
    loaders = (DataLoader(posts, batch_size=size, shuffle=this, sampler=sampler) for this in shuffle)
    return [batch for loader in loaders for batch in loader]


@given(
    count=st.integers(1, 30),
    size=st.integers(1, 8),
    shuffle=st.booleans(),
    shuffle_first=st.booleans(),
    given_sampler=st.booleans(),
)
def test_the_order_is_the_trainers_own_and_each_batch_is_told_before_the_one_before_is_drawn(
    count: int, size: int, shuffle: bool, shuffle_first: bool, given_sampler: bool
) -> None:
    posts = [f"post {number}" for number in range(count)]
    sampler = Halves() if given_sampler else None
    if sampler is not None:
        sampler.set_dataset(posts)
        shuffle = False
    expected = epochs(posts, size, sampler, shuffle=[shuffle and shuffle_first, shuffle])
    told: list[list[str]] = []
    ahead = LookaheadSampler(
        told.append,  # type: ignore[arg-type]
        sampler,
        mini_batch_size=size,
        shuffle=shuffle,
        shuffle_this_epoch=shuffle_first,
    )
    ahead.set_dataset(posts)
    torch.manual_seed(0)
    drawn: list[list[str]] = []
    for _ in range(2):
        told.clear()
        loader = DataLoader(posts, batch_size=size, sampler=ahead)
        batches = []
        for batch in loader:
            batches.append(batch)
            assert len(told) == min(len(batches), len(loader) - 1)
        assert len(batches) == len(loader)
        assert told == batches[1:]
        drawn += batches
    assert drawn == expected


def test_a_training_tells_its_tagger(
    build: Callable[..., ESPVRTagger], corpus: Corpus[Sentence], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks of a batch are told together."""
    tagger = build()
    events: list[tuple[str, list[str]]] = []
    forward_loss = tagger.forward_loss

    def learn(posts: list[Sentence]) -> tuple[torch.Tensor, int]:
        events.append(("learned", [post.text for post in posts]))
        return forward_loss(posts)

    monkeypatch.setattr(tagger, "forward_loss", learn)
    monkeypatch.setattr(tagger, "prefetch", lambda posts: events.append(("told", [post.text for post in posts])))
    flair.set_seed(1)
    ResumableTrainer(tagger, Corpus(train=corpus.train, name="no dev", sample_missing_splits=False)).fine_tune(
        tmp_path, max_epochs=1, mini_batch_size=4, mini_batch_chunk_size=2, save_final_model=False
    )
    assert [event for event, _ in events] == ["told", "learned", "learned", "learned", "learned"]
    assert events[0][1] == events[3][1] + events[4][1]

"""Posts of many threads in shared passes: the answers that each would have had alone, and every post answered."""

from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from flair.data import Sentence

from flair_espvr import CaptionedTransformerEmbeddings, DynamicBatcher, ESPVRTagger
from flair_espvr.errors import ConfigurationError

THREADS = 8


class Gate:
    """A tagger whose passes wait to be let through; it refuses sentences of the word "bad"."""

    def __init__(self) -> None:
        self.entered, self.open = Event(), Event()
        self.passes: list[list[str]] = []

    def predict(self, sentences: list[Sentence], mini_batch_size: int, label_name: str = "ner") -> None:
        self.entered.set()
        assert self.open.wait(60)
        assert len(sentences) <= mini_batch_size
        self.passes.append([sentence.text for sentence in sentences])
        for sentence in sentences:
            if sentence.text == "bad":
                raise ValueError("a bad post")
            sentence[0:1].add_label(label_name, "PER")


@pytest.fixture
def gate() -> Any:
    return Gate()


def waiting_behind_the_first(batcher: DynamicBatcher, gate: Gate, texts: list[str]) -> list[Any]:
    """The futures of posts that came one after the other while the first was computed."""
    first = batcher.submit(Sentence(texts[0]))
    assert gate.entered.wait(60)
    return [first, *(batcher.submit(Sentence(text)) for text in texts[1:])]


def test_posts_that_come_during_a_pass_share_the_next(gate: Any) -> None:
    with DynamicBatcher(gate, max_batch_size=3, label_name="found") as batcher:
        futures = waiting_behind_the_first(batcher, gate, ["a", "b", "c", "d", "e"])
        gate.open.set()
        tagged = [future.result() for future in futures]
    assert gate.passes == [["a"], ["b", "c", "d"], ["e"]]
    assert [sentence.text for sentence in tagged] == ["a", "b", "c", "d", "e"]
    assert all(sentence.get_labels("found") for sentence in tagged)


def test_an_error_goes_to_the_caller_whose_post_failed(gate: Any) -> None:
    with DynamicBatcher(gate) as batcher:
        futures = waiting_behind_the_first(batcher, gate, ["a", "b", "bad", "c"])
        gate.open.set()
        assert [future.exception() and str(future.exception()) for future in futures] == [
            None,
            None,
            "a bad post",
            None,
        ]
        with pytest.raises(ValueError, match="a bad post"):
            batcher.predict(Sentence("bad"))
        batcher.predict(Sentence("d"))


def test_closing_loses_nothing(gate: Any) -> None:
    batcher = DynamicBatcher(gate, max_batch_size=2)
    futures = waiting_behind_the_first(batcher, gate, list("abcdefg"))
    gate.open.set()
    batcher.close()
    assert all(future.done() and future.result().get_labels("ner") for future in futures)
    with pytest.raises(RuntimeError):
        batcher.submit(Sentence("too late"))
    batcher.close()


def test_a_cancelled_post_is_left_out(gate: Any) -> None:
    with DynamicBatcher(gate) as batcher:
        futures = waiting_behind_the_first(batcher, gate, ["a", "b", "c"])
        assert futures[1].cancel()
        gate.open.set()
        assert futures[2].result().text == "c"
        with pytest.raises(CancelledError):
            futures[1].result()
    assert gate.passes == [["a"], ["c"]]


def test_eight_threads_get_what_each_had_alone(
    build: Callable[..., ESPVRTagger], pictures: list[Path], tiny_bert: Path
) -> None:
    """With embeddings that read the sentences before and after as context, which another caller's must not be."""
    tagger = build(embeddings=CaptionedTransformerEmbeddings(str(tiny_bert), use_context=4))
    tagger.network.tag_emissions.bias.data[1] += 1.0  # an entity here and there

    def post(number: int) -> Sentence:
        sentence = Sentence(["mary", "jane", *["sings"] * (number % 5), "in", "oakland"])
        if number % 3:
            sentence.add_metadata("image", pictures[number % len(pictures)])
        if number % 7 == 0:
            sentence.add_metadata("caption", "a woman")
        return sentence

    def answer(sentence: Sentence) -> list[Any]:
        return [
            (label.unlabeled_identifier, label.value, pytest.approx(label.score, abs=1e-4), region and region.score)
            for label in sentence.get_labels("ner")
            for region in [label.metadata.get("region")]
        ]

    alone = [post(number) for number in range(80)]
    for sentence in alone:
        tagger.predict(sentence)
    together = [post(number) for number in range(80)]
    with DynamicBatcher(tagger) as batcher, ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(batcher.predict, together))
    assert sum(len(answer(sentence)) for sentence in alone) > 40
    for mine, expected in zip(together, alone, strict=True):
        assert not mine.left_context(4)
        found, wanted = answer(mine), answer(expected)
        assert [entity[:3] for entity in found] == [entity[:3] for entity in wanted]
        assert [entity[3] for entity in found] == pytest.approx([entity[3] for entity in wanted], abs=1e-4)


@pytest.mark.parametrize("wrong", [{"max_batch_size": 0}, {"max_wait": -1.0}, {"max_wait": float("nan")}])
def test_limits_that_make_no_batch(gate: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        DynamicBatcher(gate, **wrong)

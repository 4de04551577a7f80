"""Calibrated scores: what is found stays, the number is kept, and what it was fitted to is what it makes probable."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from flair.data import Corpus, Sentence

from flair_espvr import CaptionedTransformerEmbeddings, ESPVRTagger, Region
from flair_espvr.errors import ConfigurationError, UnsafeModelError

Build = Callable[..., ESPVRTagger]


def found(tagger: ESPVRTagger, posts: list[Sentence]) -> tuple[list[list[tuple[str, str]]], list[float]]:
    """Entities, and their scores."""
    tagger.predict(posts, label_name="found")
    spans = [post.get_spans("found") for post in posts]
    return [[(span.text, span.tag) for span in row] for row in spans], [span.score for row in spans for span in row]


@pytest.fixture
def tagger(build: Build, posts: list[Sentence]) -> ESPVRTagger:
    """A tagger that has learned a little from half of the posts."""
    torch.manual_seed(1)
    tagger = build(dropout=0.0)
    tagger.train()
    optimizer = torch.optim.Adam(tagger.parameters(), lr=3e-3)
    for _ in range(12):
        loss, words = tagger.forward_loss(posts[:4])
        (loss / words).backward()
        optimizer.step()
        optimizer.zero_grad()
    tagger.eval()
    assert any(found(tagger, posts)[0])
    return tagger


def test_only_scores_change(tagger: ESPVRTagger, posts: list[Sentence], corpus: Corpus[Sentence]) -> None:
    entities, scores = found(tagger, posts)
    loss, _ = tagger.predict(posts, return_loss=True, label_name="found")  # type: ignore[misc]
    tagger.train()
    temperature = tagger.calibrate(corpus.train, mini_batch_size=3)
    assert tagger.training
    tagger.eval()
    assert temperature != pytest.approx(1, abs=0.01)
    assert found(tagger, posts)[0] == entities
    assert found(tagger, posts)[1] != pytest.approx(scores, abs=1e-3)
    assert tagger.predict(posts, return_loss=True, label_name="found")[0] == pytest.approx(loss)  # type: ignore[index]
    assert tagger.calibrate(posts, mini_batch_size=2) == pytest.approx(temperature, rel=1e-3)


def test_gold_tags_are_most_probable(tagger: ESPVRTagger, posts: list[Sentence]) -> None:
    """Against the tagger's own loss, with its parameters divided by other temperatures."""

    def loss(temperature: float) -> float:
        total = 0.0
        with torch.no_grad():
            for post in posts:
                output, _ = tagger([post])
                tags = tagger._gold_tags([post])
                crf = tagger.network.tag_crf
                before = [parameter.clone() for parameter in crf.parameters()]
                for parameter in crf.parameters():
                    parameter /= temperature
                total += float(crf.loss(output.emissions / temperature, tags, output.mask).sum())
                for parameter, value in zip(crf.parameters(), before, strict=True):
                    parameter.copy_(value)
        return total

    best = tagger.calibrate(posts)
    assert 0.3 < best < 3.5  # within the bounds
    assert loss(best) < min(loss(best * factor) for factor in (0.8, 0.95, 1.05, 1.25))


def test_neighbours_stay_those_of_the_callers_order(build: Build, posts: list[Sentence], tiny_bert: Path) -> None:
    """Batches are sorted by length, and what Flair then takes for a neighbour it keeps."""
    tagger = build(embeddings=CaptionedTransformerEmbeddings(str(tiny_bert), use_context=4))
    tagger.calibrate(posts, mini_batch_size=3)
    assert [post.next_sentence() for post in posts] == [*posts[1:], None]


@pytest.mark.parametrize("exported", [False, True])
def test_it_is_kept_in_files(tagger: ESPVRTagger, posts: list[Sentence], tmp_path: Path, exported: bool) -> None:
    tagger.calibrate(posts)
    if exported:
        tagger.save_pretrained(tmp_path / "model", include_backbone=True)
        loaded = ESPVRTagger.from_pretrained(tmp_path / "model")
    else:
        tagger.save(tmp_path / "model.pt")
        loaded = ESPVRTagger.load(tmp_path / "model.pt")
    assert loaded.hyperparameters() == tagger.hyperparameters()
    assert loaded.hyperparameters()["score_temperature"] != 1
    assert found(loaded, posts)[1] == pytest.approx(found(tagger, posts)[1], abs=1e-5)


@pytest.mark.parametrize("posts_without", [[], [Sentence("hi kevin")]])
def test_posts_without_labels_are_refused(build: Build, posts_without: list[Sentence]) -> None:
    tagger = build()
    with pytest.raises(ConfigurationError, match="'ner' label"):
        tagger.calibrate(posts_without)
    assert tagger.hyperparameters()["score_temperature"] == 1


@pytest.mark.parametrize("temperature", [0, -1, math.inf, math.nan])
def test_other_numbers_are_refused(build: Build, temperature: float) -> None:
    with pytest.raises(ConfigurationError, match="score_temperature"):
        build(score_temperature=temperature)


def stated(posts: list[Sentence]) -> list[Sentence]:
    """Where pictures show their entities, here at random: every second one not at all."""
    spans = [span for post in posts for span in post.get_spans("ner")]
    for number, span in enumerate(spans):
        label = span.get_label("ner")
        label.metadata["regions"] = (Region(0.0, 0.0, 0.5, 1.0),) if number % 2 else ()
    return posts


@pytest.mark.parametrize("exported", [False, True])
@pytest.mark.parametrize("learned", [False, True])
def test_gold_regions_say_how_regions_are_read(
    build: Build, posts: list[Sentence], tmp_path: Path, learned: bool, exported: bool
) -> None:
    tagger = build()
    if learned:
        tagger.train()
        tagger.forward_loss(stated(posts))
        tagger.eval()
    before = tagger.grounding.calibration
    tagger.calibrate(stated(posts), mini_batch_size=3)
    calibration = tagger.grounding.calibration
    assert calibration.tells_presence
    assert calibration != before
    tagger.predict(posts, label_name="found")
    said = [(label.value, label.metadata) for post in posts for label in post.get_labels("found")]
    assert said
    if exported:
        tagger.save_pretrained(tmp_path / "model", include_backbone=True)
        loaded = ESPVRTagger.from_pretrained(tmp_path / "model")
    else:
        tagger.save(tmp_path / "model.pt")
        loaded = ESPVRTagger.load(tmp_path / "model.pt")
    assert loaded.grounding.calibration == calibration
    assert bool(loaded.grounding.learned) is learned


def test_a_file_with_other_numbers_is_damaged(build: Build, tmp_path: Path) -> None:
    tagger = build()
    tagger.save(tmp_path / "model.pt")
    state = torch.load(tmp_path / "model.pt")
    for number in (math.nan, 1e9):
        state["state_dict"]["grounding._extra_state"][1] = number
        torch.save(state, tmp_path / "model.pt")
        with pytest.raises(UnsafeModelError, match="damaged"):
            ESPVRTagger.load(tmp_path / "model.pt")

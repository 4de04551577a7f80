"""The engine on posts made in Python: order, bad images, memory."""

import gc
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flair.data import Sentence

from flair_espvr import ESPVRTagger
from flair_espvr.data import Post
from flair_espvr.data.sentences import post_sentence
from flair_espvr.errors import ConfigurationError
from flair_espvr.tagging import PostTagging, tag_posts

Build = Callable[..., ESPVRTagger]


def test_posts_made_in_python(build: Build, pictures: list[Path], tmp_path: Path) -> None:
    posts = [
        Post("a", ("mary", "is", "here"), image=str(pictures[0]), contexts={"caption": "a woman"}),
        Post("b", ("oakland",), ("B-LOC",), image=str(tmp_path / "gone.jpg")),
        Post(None, None, record={"text": "kevin sings"}),
    ]
    tagger = build()
    tagger.network.tag_emissions.bias.data[1] += 2.0
    tagged = list(tag_posts(tagger, posts, batch_size=2))
    assert [sentence.text for sentence in tagged] == ["mary is here", "oakland", "kevin sings"]
    assert [sentence.has_metadata("image_error") for sentence in tagged] == [False, True, False]
    alone = post_sentence(posts[0])
    tagger.predict(alone)
    assert [label.value for label in alone.get_labels("ner")] == [label.value for label in tagged[0].get_labels("ner")]
    with pytest.raises(ConfigurationError, match="batch_size=0"):
        next(tag_posts(tagger, posts, batch_size=0))


@pytest.mark.parametrize("quantile", [0.0, 0.5, 1.0])
def test_entities_with_a_low_score_are_left_out(build: Build, quantile: float) -> None:
    posts = [Post(str(number), ("mary", "is", "here", "kevin", "oakland")[number:]) for number in range(4)]
    tagger = build()
    tagger.network.tag_emissions.bias.data[1] += 2.0

    def entities(sentences: Iterable[Sentence]) -> list[tuple[str, str, float]]:
        labels = [label for sentence in sentences for label in sentence.get_labels("ner")]
        return [(label.data_point.text, label.value, label.score) for label in labels]

    everything = entities(tag_posts(tagger, posts))
    scores = sorted(score for _, _, score in everything)
    least = scores[round(quantile * (len(scores) - 1))]
    tagging = PostTagging(tagger, posts, min_score=least)
    kept = entities(sentence for window in tagging.windows() for sentence in window)
    assert kept == [entity for entity in everything if entity[2] >= least]
    assert tagging.entities == len(kept) > 0
    assert tagging.posts == len(posts)


@pytest.mark.parametrize("min_score", [-0.1, 1.1, float("nan")])
def test_a_score_that_is_no_probability_is_refused(build: Build, min_score: float) -> None:
    with pytest.raises(ConfigurationError, match="min_score"):
        next(tag_posts(build(), [], min_score=min_score))


def test_memory_does_not_grow_with_posts_and_bad_images(build: Build) -> None:
    def posts(count: int) -> Iterator[Post]:
        for number in range(count):
            yield Post(str(number), ("oakland",), image=f"/nowhere/{number}.jpg")

    tagging = PostTagging(build(), posts(3_000), batch_size=8)
    alive = []
    for number, window in enumerate(tagging.windows()):
        del window
        if number % 8 == 0:
            gc.collect()
            alive.append(sum(type(item) in (Sentence, Post) for item in gc.get_objects()))
    assert tagging.posts == tagging.images == len(tagging.bad_images) == 3_000
    assert len(list(tagging.bad_images.lines())) == 3_000
    assert max(alive) < 1_000


@pytest.mark.parametrize("damage", [{"posts": "x"}, {"posts": -1}, {"bad_pictures": 3}, {"pictures": None}, None])
def test_a_damaged_journal_is_an_error(build: Build, damage: dict[str, Any] | None) -> None:
    note = PostTagging(build(), []).note()
    with pytest.raises(ConfigurationError, match="journal of the interrupted run is damaged"):
        PostTagging(build(), []).resume([{} if damage is None else {**note, **damage}])


def test_predicting_imports_nothing_of_training() -> None:
    code = "import sys, flair_espvr.tagging, flair_espvr.models.loading; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "flair_espvr.training" not in done.stdout

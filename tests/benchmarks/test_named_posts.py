"""Made-up names stand for phrases in half of the posts, and nothing else is changed."""

import json
from collections import Counter
from pathlib import Path

import pytest
from flair.data import Sentence

from benchmarks.named_posts import phrase_words, read_named_posts, rewritten
from benchmarks.noisy_objects import MISSING, add_noisy_phrases
from benchmarks.told import MADE_UP, f1_of_parts
from flair_espvr.data.region import Region

POSTS = {"train": 8, "valid": 4, "test": 3}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split, count in POSTS.items():
        posts = []
        for number in range(count):
            (tmp_path / f"{split}{number}.jpg").touch()
            regions = [[0.5, 0.0, 1.0, 0.5]], [[0.0, 0.0, 0.25, 0.5], [0.25, 0.5, 0.5, 1.0]]
            phrases = (0, 2, "PEOPLE"), (4, 6, "ANIMALS")
            posts.append(
                {
                    "tokens": ["A", "man", "walks", "with", "two", "dogs", "."],
                    "image": f"{split}{number}.jpg",
                    "entities": [
                        {"start": start, "end": end, "type": name, "regions": boxes}
                        for (start, end, name), boxes in zip(phrases, regions, strict=True)
                    ],
                }
            )
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, posts)), encoding="utf-8")
    return tmp_path


def test_half_of_the_posts_have_names_that_occur_once(folder: Path) -> None:
    corpus = read_named_posts(folder)
    seen: Counter[str] = Counter()
    for split, count in zip((corpus.train, corpus.dev, corpus.test), (8, 4, 6), strict=True):
        posts = list(split)
        assert len(posts) == count
        assert sum(bool(post.get_metadata(MADE_UP)) for post in posts) == count / 2
        for post in posts:
            spans = post.get_spans("ner")
            assert [span.tag for span in spans] == ["PEOPLE", "ANIMALS"]
            assert not any(span.get_label("ner").metadata for span in spans)
            inside = {token for span in spans for token in span}
            assert [token.text for token in post if token not in inside] == ["walks", "with", "."]
            if post.get_metadata(MADE_UP):
                seen.update(token.text for token in inside)
            else:
                assert [span.text for span in spans] == ["A man", "two dogs"]
    assert seen.keys().isdisjoint(["A", "man", "two", "dogs"])
    assert set(seen.values()) == {1}


def test_both_forms_of_a_test_post_show_the_same(folder: Path) -> None:
    posts = list(read_named_posts(folder).test)
    for plain, named in zip(posts[::2], posts[1::2], strict=True):
        assert (plain.get_metadata(MADE_UP), named.get_metadata(MADE_UP)) == (0, 2)
        for key in ("image", "image_id", "objects"):
            assert plain.get_metadata(key) == named.get_metadata(key)


def test_the_same_seed_makes_the_same_posts(folder: Path) -> None:
    first, second = ([post.text for post in read_named_posts(folder).get_all_sentences()] for _ in range(2))
    assert first == second


def test_objects_are_gold_regions_from_left_to_right() -> None:
    posts = []
    for _ in range(200):
        posts.append(Sentence(["Velto", "feeds", "Rasim"]))
        regions = Region(0.5, 0.0, 1.0, 0.5), Region(0.25, 0.5, 0.5, 1.0)
        posts[-1][0:1].add_label("ner", "PEOPLE", regions=(regions[0],))
        posts[-1][2:3].add_label("ner", "ANIMALS", regions=(regions[1],))
    words = phrase_words(posts)
    assert words == {"ANIMALS": "animals", "PEOPLE": "people"}
    add_noisy_phrases(posts, words)
    found = Counter((thing.label, thing.box) for post in posts for thing in post.get_metadata("objects"))
    assert all(
        [thing.box[0] for thing in post.get_metadata("objects")] in ([], [0.25], [0.5], [0.25, 0.5]) for post in posts
    )
    assert sum(found.values()) / 400 == pytest.approx(1 - MISSING, abs=0.05)
    right = found["animals", (0.25, 0.5, 0.5, 1.0)] + found["people", (0.5, 0.0, 1.0, 0.5)]
    assert right / 400 == pytest.approx(2 / 3, abs=0.05)


def test_parts_are_scored_apart() -> None:
    posts = [Sentence(["Look", "at", "Velto", "in", "Paris", "today"]) for _ in range(3)]
    for post in posts[:2]:
        post[2:3].add_label("ner", "PER")
        post[4:5].add_label("ner", "LOC")
        post.add_metadata(MADE_UP, 1)
    posts[0][2:3].add_label("predicted", "ORG")
    posts[0][4:5].add_label("predicted", "LOC")
    posts[1][2:3].add_label("predicted", "PER")
    posts[1][5:6].add_label("predicted", "PER")  # is neither, and counts for both
    posts[2][0:1].add_label("predicted", "PER")  # in a post without entities
    parts = f1_of_parts(posts, gold="ner", predicted="predicted")
    assert parts == pytest.approx({"f1": 100 * 4 / 9, "made_up": 100 * 2 / 5, "told": 100 * 2 / 4})
    assert f1_of_parts(posts[2:], gold="ner", predicted="predicted") == {"f1": 0.0}


def test_a_copy_keeps_what_is_not_named() -> None:
    post = Sentence(["A", "dog", "runs"])
    post[0:2].add_label("ner", "ANIMALS")
    assert rewritten(post).text == "A dog runs"
    named = rewritten(post, iter([("Velto",)]))
    assert (named.text, named.get_spans("ner")[0].text, named.has_metadata("image")) == ("Velto runs", "Velto", False)

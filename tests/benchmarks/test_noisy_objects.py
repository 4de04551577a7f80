"""The noise is what the table says it is."""

from collections import Counter

import pytest
from flair.data import Sentence

from benchmarks.noisy_objects import TYPE_WORDS, add_noisy_objects
from synthetic.drawing import Box


def test_a_third_of_the_labels_is_wrong_or_missing() -> None:
    boxes = {str(number): Box(0.1, 0.2, 0.5, 0.6) for number in range(1200)}
    posts = []
    for number, image_id in enumerate(boxes):
        posts.append(Sentence(["Zorp"]))
        posts[-1].add_metadata("image_id", image_id)
        posts[-1][0:1].add_label("ner", list(TYPE_WORDS)[number % 4])
    add_noisy_objects(posts, boxes)
    fates: Counter[str] = Counter()
    for post in posts:
        objects = post.get_metadata("objects")
        right = TYPE_WORDS[post.get_spans("ner")[0].get_label("ner").value]
        fates["missing" if not objects else "right" if objects[0].label == right else "wrong"] += 1
        assert all(found.box == (0.1, 0.2, 0.5, 0.6) for found in objects)
    for fate, share in (("missing", 1 / 6), ("wrong", 1 / 6), ("right", 2 / 3)):
        assert fates[fate] / 1200 == pytest.approx(share, abs=0.04)

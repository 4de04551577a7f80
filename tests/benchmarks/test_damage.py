import numpy as np
import pytest
from flair.data import Sentence

from benchmarks.damage import ALL_MISSING, DAMAGES, SEEN, Damage, damage_pictures, f1_under_damage, shuffle_pictures
from flair_espvr.data.metadata import IMAGE, IMAGE_ID


def posts(count):
    sentences = []
    for number in range(count):
        sentence = Sentence(["Look", "at", "Velto", "Rasim"])
        sentence[2:4].add_label("ner", "PER")
        for key in (IMAGE_ID, *SEEN):
            sentence.add_metadata(key, f"{key}_{number}")
        sentences.append(sentence)
    return sentences


def test_shuffling_gives_every_post_the_picture_of_another():
    sentences = posts(7)
    before = [sentence.get_metadata(IMAGE_ID) for sentence in sentences]
    shuffle_pictures(sentences, np.random.default_rng(1))
    after = [sentence.get_metadata(IMAGE_ID) for sentence in sentences]
    assert sorted(after) == sorted(before)
    assert all(old != new for old, new in zip(before, after, strict=True))
    for sentence in sentences:
        number = sentence.get_metadata(IMAGE_ID).removeprefix(IMAGE_ID)
        assert all(sentence.get_metadata(key) == key + number for key in SEEN)


def test_what_a_post_lacks_its_receiver_lacks_too():
    sentences = posts(2)
    damage_pictures(sentences[:1], Damage(missing=1.0), seed=1)
    shuffle_pictures(sentences, np.random.default_rng(1))
    assert [sentence.has_metadata(IMAGE) for sentence in sentences] == [True, False]


def test_who_misses_a_picture_misses_it_where_more_are_missing():
    gone = []
    for share in (0.25, 0.5, 0.75, 1.0):
        sentences = posts(12)
        damage_pictures(sentences, Damage(missing=share), seed=3)
        gone.append({place for place, sentence in enumerate(sentences) if not sentence.has_metadata(IMAGE)})
        assert all(sentence.has_metadata(key) == sentence.has_metadata(IMAGE) for sentence in sentences for key in SEEN)
    assert list(map(len, gone)) == [3, 6, 9, 12]
    assert gone[0] < gone[1] < gone[2]


def test_a_tagger_that_needs_the_picture_falls_with_it():
    sentences = posts(8)

    def predict(batch, label_name):
        for sentence in batch:
            if sentence.has_metadata(IMAGE):
                sentence[2:4].add_label(label_name, "PER")

    scores = f1_under_damage(predict, sentences, gold="ner", seed=1)
    assert scores.keys() == DAMAGES.keys()
    f1 = [score["f1"] for score in scores.values()]
    assert f1 == pytest.approx([100 * 12 / 14, 100 * 8 / 12, 100 * 4 / 10, 0, 100])
    assert scores[ALL_MISSING] == {"f1": 0.0, "told": 0.0}
    assert all(sentence.get_metadata(IMAGE_ID) == f"{IMAGE_ID}_{number}" for number, sentence in enumerate(sentences))
    assert not any(sentence.get_labels("damaged") for sentence in sentences)

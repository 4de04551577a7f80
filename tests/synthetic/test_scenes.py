from itertools import combinations

import numpy as np
import pytest

from flair_espvr import MultimodalCorpus
from flair_espvr.data.formats.columns import read_posts
from flair_espvr.data.metadata import IMAGE, IMAGE_ID
from flair_espvr.images.loading import load_image
from synthetic.names import made_up_names
from synthetic.scenes import IMAGES, main, read_boxes, write_scenes
from synthetic.sentences import PLAIN, TYPED, UNTYPED, fill, typed_tail


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return write_scenes(tmp_path_factory.mktemp("scenes"), train=20, valid=6, test=10, typed_share=0.5, plain_share=0.2)


def test_a_corpus_reads_every_post_with_its_picture(scenes):
    corpus = MultimodalCorpus(scenes, images=scenes / IMAGES)
    assert [len(split) for split in (corpus.train, corpus.dev, corpus.test)] == [20, 6, 10]
    boxes = read_boxes(scenes)
    for sentence in corpus.get_all_sentences():
        assert load_image(sentence.get_metadata(IMAGE)).size == (256, 256)
        box = boxes[sentence.get_metadata(IMAGE_ID)]
        assert 0 <= box.left < box.right <= 1
        assert 0 <= box.top < box.bottom <= 1
    assert len(boxes) == 36


def test_there_are_posts_with_no_name_one_and_two(scenes):
    sentences = MultimodalCorpus(scenes, images=scenes / IMAGES).get_all_sentences()
    assert {len(sentence.get_spans("ner")) for sentence in sentences} == {0, 1, 2}


def test_no_made_up_word_occurs_in_two_splits(scenes):
    ours = {word for sentence in (*UNTYPED, *PLAIN) for word in sentence.split()}
    known = {word for lead, _, names in TYPED for text in (lead, *names) for word in text.split()}
    words = [
        {word for post in read_posts(scenes / f"{split}.txt") for word in post.tokens} - ours - known
        for split in ("train", "valid", "test")
    ]
    assert all(words)
    assert not any(first & second for first, second in combinations(words, 2))


def test_no_picture_occurs_twice(scenes):
    pictures = [picture.read_bytes() for picture in (scenes / IMAGES).iterdir()]
    assert len(set(pictures)) == len(pictures)


def test_the_same_seed_makes_the_same_corpus(tmp_path, capsys):
    folders = tmp_path / "one", tmp_path / "two"
    for folder in folders:
        main([str(folder), "--train", "2", "--valid", "1", "--test", "1", "--seed", "3"])
        assert capsys.readouterr().out.strip() == str(folder)
    files = [sorted(path.relative_to(folder) for path in folder.rglob("*.*")) for folder in folders]
    assert files[0] == files[1]
    assert all((folders[0] / name).read_bytes() == (folders[1] / name).read_bytes() for name in files[0])


def test_no_word_of_a_name_is_used_twice():
    names = made_up_names(np.random.default_rng(0), 500)
    words = [word for name in names for word in name]
    assert len(set(words)) == len(words)
    assert {len(name) for name in names} == {1, 2}


def test_a_template_is_filled_with_words_and_tags():
    words, tags = fill("Hello {name} !", {"name": (("Velto", "Rasim"), "LOC")})
    assert words == ("Hello", "Velto", "Rasim", "!")
    assert tags == ("O", "B-LOC", "I-LOC", "O")


def test_a_typed_tail_fills_its_own_gap():
    for seed in range(8):
        tail, known = typed_tail(np.random.default_rng(seed))
        _, tags = fill(tail, {"known": known})
        assert tags.count(f"B-{known[1]}") == 1

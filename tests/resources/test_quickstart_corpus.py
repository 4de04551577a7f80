from itertools import combinations
from pathlib import Path

import pytest

from flair_espvr import MultimodalCorpus
from flair_espvr.data.formats.captions import read_captions
from flair_espvr.data.formats.columns import read_posts
from flair_espvr.data.metadata import CAPTION, IMAGE, metadata_or_none
from flair_espvr.images.loading import load_image
from resources.quickstart.make import CAPTIONS, SPLITS, TAILS, main, write_quickstart
from synthetic.drawing import DRAWINGS
from synthetic.sentences import TYPED_SENTENCES

BUNDLED = Path(__file__).parents[2] / "resources" / "quickstart"


@pytest.fixture(scope="module")
def corpus():
    return MultimodalCorpus(BUNDLED, images=BUNDLED / "images", captions=BUNDLED / "captions.tsv")


def test_the_bundled_corpus_has_all_cases(corpus):
    sentences = list(corpus.get_all_sentences())
    cases = {
        (metadata_or_none(sentence, IMAGE) is not None, metadata_or_none(sentence, CAPTION) is not None)
        for sentence in sentences
    }
    assert cases >= {(True, True), (True, False), (False, False)}
    assert len(sentences) >= 150
    assert {len(sentence.get_spans("ner")) for sentence in sentences} == {0, 1, 2}


@pytest.mark.parametrize("split", SPLITS)
def test_every_type_occurs_in_every_split(split):
    posts = read_posts(BUNDLED / f"{split}.txt")
    assert {tag[2:] for post in posts for tag in post.tags if tag != "O"} == {"PER", "LOC", "ORG", "MISC"}


def test_held_out_names_are_new(corpus):
    names = [
        {token.text for sentence in split for span in sentence.get_spans("ner") for token in span}
        for split in (corpus.train, corpus.dev, corpus.test)
    ]
    assert not any(first & second for first, second in combinations(names, 2))


def test_pictures_are_whole_new_and_small():
    pictures = sorted((BUNDLED / "images").iterdir())
    assert {load_image(picture).size for picture in pictures} == {(256, 256)}
    contents = [picture.read_bytes() for picture in pictures]
    assert len(set(contents)) == len(contents)
    assert sum(map(len, contents)) < 4_000_000


def test_the_script_writes_the_bundled_posts(tmp_path):
    write_quickstart(tmp_path, splits={"train": 12})
    assert list(read_posts(tmp_path / "train.txt")) == list(read_posts(BUNDLED / "train.txt"))[:12]
    bundled = read_captions(BUNDLED / "captions.tsv")
    captions = read_captions(tmp_path / "captions.tsv")
    assert captions
    assert captions.items() <= bundled.items()
    for number in range(12):
        image = Path("images") / f"train_{number:03d}.webp"
        assert (tmp_path / image).exists() == (BUNDLED / image).exists()


def test_every_drawing_has_a_caption_and_every_type_a_sentence():
    assert set(CAPTIONS) == {drawing.__name__ for kind in DRAWINGS.values() for drawing in kind}
    assert set(TYPED_SENTENCES) == set(DRAWINGS) == {entity_type for _, entity_type in TAILS}


def test_the_command_names_a_folder(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("resources.quickstart.make.write_quickstart", asked.append)
    main([])
    main([str(tmp_path)])
    assert asked == [BUNDLED, tmp_path]

import json

import pytest

from flair_espvr import MultimodalCorpus, Region
from flair_espvr.errors import ConfigurationError, PostFormatError

POSTS = "IMGID:7\nKevin\tB-PER\nDurant\tI-PER\nin\tO\nOakland\tB-LOC\n\nIMGID:8\nOakland\tB-LOC\n\n"


@pytest.fixture
def folder(tmp_path):
    for split in ("train", "valid", "test"):
        (tmp_path / f"{split}.txt").write_text(POSTS if split == "train" else POSTS.replace("7", "17"))
    return tmp_path


def write(path, *entities):
    lines = [json.dumps(dict(zip(("image_id", "start", "end", "regions"), entity, strict=True))) for entity in entities]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def known(corpus):
    return [label.metadata.get("regions") for label in corpus.train[0].get_labels("ner")]


def test_a_file_among_columns_says_where(folder):
    box = [0.0, 0.25, 0.5, 1.0]
    write(folder / "regions.jsonl", ("7", 0, 2, [box]), ("7", 0, 2, [[0, 0, 1, 1]]), ("7", 3, 4, []), ("8", 0, 1, None))
    corpus = MultimodalCorpus(folder)
    assert known(corpus) == [(Region(*box), Region(0.0, 0.0, 1.0, 1.0)), ()]
    assert [label.value for label in corpus.train[0].get_labels("ner")] == ["PER", "LOC"]
    assert "regions" not in corpus.train[1].get_label("ner").metadata
    assert folder / "regions.jsonl" in corpus.files


def test_it_may_lie_elsewhere_or_be_left_aside(folder, tmp_path_factory):
    write(folder / "regions.jsonl", ("7", 0, 2, []))
    assert known(MultimodalCorpus(folder, gold_regions=False)) == [None, None]
    elsewhere = write(tmp_path_factory.mktemp("elsewhere") / "r.jsonl", ("7", 3, 4, []))
    assert known(MultimodalCorpus(folder, gold_regions=elsewhere)) == [None, ()]
    with pytest.raises(ConfigurationError, match=r"absent.jsonl: expected a file of gold regions"):
        MultimodalCorpus(folder, gold_regions=folder / "absent.jsonl")


def test_regions_of_posts_that_are_not_there_are_passed_over(folder):
    write(folder / "regions.jsonl", ("99", 0, 2, []))
    assert known(MultimodalCorpus(folder)) == [None, None]


def test_an_entity_that_a_post_does_not_have_is_named(folder):
    write(folder / "regions.jsonl", ("7", 0, 1, []))
    with pytest.raises(ConfigurationError, match=r"regions.jsonl: post '7' has no entity of the words 0 to 1"):
        MultimodalCorpus(folder)


@pytest.mark.parametrize(
    "entity", [("7", 2, 2, []), ("7", "0", 2, []), (7, 0, 2, []), ("7", 0, 2, [[0.5, 0, 0.5, 1]]), ("7", 0, 2, [0.5])]
)
def test_what_is_malformed_is_named_with_its_line(folder, entity):
    write(folder / "regions.jsonl", ("7", 0, 2, []), entity)
    with pytest.raises(PostFormatError, match=r"regions.jsonl, line 2: expected"):
        MultimodalCorpus(folder)

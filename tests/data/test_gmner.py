"""Twitter-GMNER: boxes by the words of an entity, from files made here and from the published development posts."""

import json
from pathlib import Path

import pytest

from flair_espvr.data.gmner import TWITTER_GMNER, read_gmner_posts, read_voc_regions
from flair_espvr.data.region import Region
from flair_espvr.errors import ConfigurationError, PostFormatError

PUBLISHED = Path(__file__).parents[2].parent / "shared" / "data" / "gmner"

POSTS = """IMGID:1
Kevin\tB-PER
Durant\tI-PER
meets\tO
Kevin\tB-PER
Durant\tI-PER
in\tO
Oakland\tB-LOC

IMGID:2
Oakland\tB-LOC
"""


def voc(*objects, size=(200, 100)):
    shown = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin><xmax>{box[2]}</xmax>"
        f"<ymax>{box[3]}</ymax></bndbox></object>"
        for name, box in objects
    )
    return f"<annotation><size><width>{size[0]}</width><height>{size[1]}</height></size>{shown}</annotation>"


@pytest.fixture
def folder(tmp_path):
    for name in ("txt", "xml"):
        (tmp_path / name).mkdir()
    (tmp_path / "txt" / "dev.txt").write_text(POSTS)
    boxes = [("Kevin Durant", (0, 0, 100, 50)), ("Kevin  Durant", (100, 50, 200, 100)), ("Nobody", (1, 1, 2, 2))]
    (tmp_path / "xml" / "1.xml").write_text(voc(*boxes))
    (tmp_path / "xml" / "9.xml").write_text("of a post that is not there")
    return tmp_path


def test_posts_have_what_is_known_of_their_pictures(folder):
    found = {"image_id": "1", "objects": [{"label": "person", "score": 0.5, "box": [0, 0, 0.5, 1]}]}
    (folder / "found.jsonl").write_text(json.dumps(found))
    (folder / "txt" / "ocr.tsv").write_text("2\tEXIT\n")
    for name in ("captions", "tags", "knowledge"):
        (folder / f"{name}.tsv").write_text(f"1\tsome {name}\n")
    named = {name: folder / f"{name}.tsv" for name in ("captions", "tags", "knowledge")}
    first, second = TWITTER_GMNER(folder, **named, objects=folder / "found.jsonl").dev
    assert [first.get_metadata(key) for key in ("caption", "tags", "knowledge")] == [f"some {name}" for name in named]
    assert [(thing.label, thing.box) for thing in first.get_metadata("objects")] == [("person", (0, 0, 0.5, 1))]
    assert (first.has_metadata("ocr"), second.get_metadata("ocr")) == (False, "EXIT")
    assert not any(post.has_metadata("ocr") for post in TWITTER_GMNER(folder, ocr=False).dev)


def regions(sentence):
    return [label.metadata["regions"] for label in sentence.get_labels("ner")]


def test_an_entity_has_the_boxes_of_its_words(folder, caplog):
    caplog.set_level("INFO")
    corpus = TWITTER_GMNER(folder)
    first, second = corpus.dev
    both = (Region(0.0, 0.0, 0.5, 0.5), Region(0.5, 0.5, 1.0, 1.0))
    assert regions(first) == [both, both, ()]
    assert regions(second) == [()]
    assert [span.get_label("ner").metadata["regions"] for span in first.get_spans("ner")] == [both, both, ()]
    assert corpus.edition is not None
    assert corpus.edition.startswith("other, dev.txt ")
    assert "1 posts with boxes, 4 entities, 2 entities with boxes, 1 boxes of no entity" in caplog.text


def test_a_folder_without_posts_or_boxes_is_named(folder):
    (folder / "xml").rename(folder / "elsewhere")
    with pytest.raises(ConfigurationError, match="xml: expected the folder"):
        list(read_gmner_posts(folder / "txt" / "dev.txt"))
    with pytest.raises(ConfigurationError, match="expected train"):
        TWITTER_GMNER(folder / "elsewhere")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "<annotation/>",
        voc(("a", (0, 0, 201, 50))),
        voc(("a", (5, 5, 5, 9))),
        voc(("a", ("x", 0, 1, 1))),
        voc().replace("100", "high"),
        '<!DOCTYPE a [<!ENTITY b "c">]><annotation>&d;</annotation>',
    ],
)
def test_what_is_not_pascal_voc_is_named(tmp_path, content):
    path = tmp_path / "1.xml"
    path.write_text(content)
    with pytest.raises(PostFormatError, match=r"1\.xml: expected Pascal VOC"):
        read_voc_regions(path)


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="needs the published development posts")
def test_the_published_development_posts_are_counted_right():
    corpus = TWITTER_GMNER(PUBLISHED)
    found = [regions(sentence) for sentence in corpus.dev]
    assert corpus.edition == "2.0 (Yu et al., ACL 2023)"
    assert len(found) == 1500
    assert sum(map(len, found)) == 2450
    assert sum(bool(boxes) for post in found for boxes in post) == 991
    assert sum(any(post) for post in found) == 832

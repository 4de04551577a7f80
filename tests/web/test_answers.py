"""What the page's functions answer, without a page."""

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from flair.data import Sentence

from flair_espvr import CaptionedTransformerEmbeddings, ESPVRTagger, PictureObject
from flair_espvr.web.answers import Answers
from flair_espvr.web.limits import Limits, RefusedError

LIMITS = Limits(characters=200, picture_bytes=10_000, posts=4)


@pytest.fixture
def tagger(build: Callable[..., ESPVRTagger]) -> ESPVRTagger:
    tagger = build()
    tagger.network.tag_emissions.bias.data[1] += 1.0  # an entity here and there
    return tagger


@pytest.fixture
def answers(tagger: ESPVRTagger) -> Iterator[Answers]:
    answers = Answers(tagger, LIMITS)
    yield answers
    answers.close()


def test_a_post_is_tagged_as_the_tagger_does(answers: Answers, tagger: ESPVRTagger, pictures: list[Path]) -> None:
    html, record = answers.tag("mary jane in oakland", pictures[0], {"caption": "a woman", "ocr": " "})
    sentence = Sentence("mary jane in oakland")
    sentence.add_metadata("image", pictures[0])
    sentence.add_metadata("caption", "a woman")
    tagger.predict(sentence)
    labels = [span.get_label("ner") for span in sentence.get_spans("ner")]
    assert labels
    found = [(entity["text"], entity["type"], round(entity["score"], 4)) for entity in record["entities"]]
    assert found == [(label.data_point.text, label.value, round(label.score, 4)) for label in labels]
    assert {key: record[key] for key in ("text", "caption")} == {"text": "mary jane in oakland", "caption": "a woman"}
    assert set(record) == {"text", "caption", "entities"}  # no path of this machine's
    card = BeautifulSoup(html, "lxml")
    assert [name.text for name in card.select(".entities .name")] == [label.data_point.text for label in labels]
    assert card.select_one(".picture img")["src"].startswith("data:image/jpeg")
    assert len(card.select("img.heat")) == len(labels)


def test_objects_are_given_as_json(build: Callable[..., ESPVRTagger], tiny_bert: Path) -> None:
    tagger = build(embeddings=CaptionedTransformerEmbeddings(str(tiny_bert), contexts=("objects",)))
    tagger.network.tag_emissions.bias.data[1] += 1.0
    answers = Answers(tagger, LIMITS)
    text, given = "mary jane in oakland", json.dumps([{"label": "person", "score": 0.9, "box": [0, 0, 0.5, 1]}])
    sentence = Sentence(text)
    sentence.add_metadata("objects", [PictureObject("person", 0.9, (0.0, 0.0, 0.5, 1.0))])
    tagger.predict(sentence)
    _, record = answers.tag(text, None, {"objects": given})
    scores = [entity["score"] for entity in record["entities"]]
    assert scores == pytest.approx([label.score for label in sentence.get_labels("ner")], rel=1e-4)
    assert record["objects"] == json.loads(given)
    assert scores != pytest.approx([entity["score"] for entity in answers.tag(text)[1]["entities"]], rel=1e-4)
    for wrong, reason in {
        "a dog": "Objects should be JSON",
        "{}": "no list",
        '[{"label": "dog"}]': "object 1: .*'box'",
        '[{"label": "dog", "score": NaN, "box": [0, 0, 1, 1]}]': "no JSON",
    }.items():
        with pytest.raises(RefusedError, match=reason):
            answers.tag(text, None, {"objects": wrong})
    answers.close()


def test_text_is_text(answers: Answers) -> None:
    text = "<script>alert(1)</script> ${alert(2)} {{7*7}}"
    html, _ = answers.tag(text)
    card = BeautifulSoup(html, "lxml")
    for mark in card.select(".text [aria-hidden]"):
        mark.decompose()
    assert card.select_one(".text").text == text
    assert not card.select("script")


def test_a_broken_picture_is_told_on_the_card(answers: Answers, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff and no more")
    html, _ = answers.tag("mary", tmp_path / "broken.jpg")
    assert "Picture not shown" in html


@pytest.mark.parametrize("text", ["", " \n"])
def test_no_text(answers: Answers, text: str) -> None:
    with pytest.raises(RefusedError, match="There is no text"):
        answers.tag(text)


def test_what_is_too_large(answers: Answers, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="longer than 200 characters"):
        answers.tag("a " * 101)
    with pytest.raises(RefusedError, match="longer than 200 characters"):
        answers.tag("a", None, {"caption": "a " * 101})
    (tmp_path / "large.png").write_bytes(bytes(10_001))
    with pytest.raises(RefusedError, match="picture is larger"):
        answers.tag("a", tmp_path / "large.png")


def test_further_pictures_and_how_many_a_post_may_have(answers: Answers, pictures: list[Path], tmp_path: Path) -> None:
    html, _ = answers.tag("mary jane in oakland", pictures[0], further=pictures[1:3])
    assert len(BeautifulSoup(html, "lxml").select(".picture")) == 3
    with pytest.raises(RefusedError, match="9 pictures, more than 8"):
        answers.tag("mary", pictures[0], further=pictures[:1] * 8)
    posts = tmp_path / "many.jsonl"
    posts.write_text(json.dumps({"text": "mary", "image": ["1.png"] * 9}), encoding="utf-8")
    with pytest.raises(RefusedError, match="9 pictures, more than 8"):
        answers.tag_files(posts, None, tmp_path)


@pytest.fixture
def batch(tmp_path: Path, pictures: list[Path]) -> tuple[Path, Path]:
    """Posts that name pictures inside and outside of their zip, and the zip."""
    posts = [
        {"id": "a", "text": "mary in oakland", "image": "deep/0.png"},
        {"id": "1", "text": "kevin sings"},
        {"id": "c", "text": "oakland", "image": str(pictures[2])},
        {"id": "d", "text": "mary", "image": "../../../../etc/hostname"},
    ]
    (tmp_path / "posts.jsonl").write_text("\n".join(map(json.dumps, posts)), encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        archive.write(pictures[0], "deep/0.png")
        archive.write(pictures[1], "1.png")
    return tmp_path / "posts.jsonl", tmp_path / "pictures.zip"


def test_a_batch_reads_pictures_of_its_zip_only(answers: Answers, batch: tuple[Path, Path], tmp_path: Path) -> None:
    told = []
    files = answers.tag_files(*batch, tmp_path, lambda done, total: told.append((done, total)))
    assert told == [(4, 4)]
    records = [json.loads(line) for line in files.predictions.read_text(encoding="utf-8").splitlines()]
    assert [record["id"] for record in records] == ["a", "1", "c", "d"]
    page = BeautifulSoup(files.page.read_bytes(), "lxml")
    shown = [post.select_one(".picture") is not None for post in page.select("article")]
    assert shown == [True, True, False, False]  # the second by its id
    assert files.summary.startswith("4 posts, 2 pictures in the zip")
    assert files.summary.endswith("2 pictures cannot be read")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"text": 7}', r"^posts\.jsonl, line 1: expected a post"),
        ("", "no posts"),
        ('{"text": "a"}\n' * 5, "more than 4 posts"),
    ],
)
def test_batches_that_are_refused(answers: Answers, tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "posts.jsonl").write_text(content, encoding="utf-8")
    with pytest.raises(RefusedError, match=reason):
        answers.tag_files(tmp_path / "posts.jsonl", None, tmp_path)

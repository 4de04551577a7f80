import json
from pathlib import Path

import pytest
from PIL import Image

from flair_espvr.data.formats.columns import read_posts
from flair_espvr.data.formats.detect import post_files
from flair_espvr.data.sentences import post_sentence
from flair_espvr.errors import ConfigurationError, PostFormatError
from flair_espvr.images.folder import ImageFolder
from flair_espvr.tagging.sources import parse_untagged_posts, read_untagged_posts


def parse(text, **arguments):
    lines = enumerate(text.split("\n"), start=1)
    return list(parse_untagged_posts(lines, source="posts", folder=Path("folder"), **arguments))


@pytest.fixture
def images(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "1.png")
    return ImageFolder(tmp_path)


def test_jsonl_without_its_entities():
    record = {"id": 7, "text": "Kevin  here", "image": "a/1.png", "caption": "a man", "language": "en"}
    with_gold, plain = parse(
        json.dumps({**record, "entities": [{"start": 1, "end": 3, "type": "cuts a word"}]}) + '\n\n{"tokens": ["a b"]}'
    )
    assert with_gold.record == record
    assert (with_gold.image_id, with_gold.image, with_gold.caption) == ("1", str(Path("folder/a/1.png")), "a man")
    assert (plain.record, plain.image_id, plain.image, plain.caption) == ({"tokens": ["a b"]}, "3", None, None)
    sentence = post_sentence(with_gold)
    assert [token.text for token in sentence] == ["Kevin", "here"]
    assert not sentence.get_labels()
    assert {key: sentence.get_metadata(key) for key in ("image_id", "image", "caption")} == {
        "image_id": "1",
        "image": str(Path("folder/a/1.png")),
        "caption": "a man",
    }


TAGGED = "\nIMGID:1\nNew\tB-LOC\nYork I-LOC\n\n\nIMGID:2\n\nIMGID:1\n\u200b\tO\nIMGID:x\tO\n"


def test_columns_with_tags_and_without(tmp_path):
    (tmp_path / "tagged.txt").write_text(TAGGED, encoding="utf-8")
    words = [(post.image_id, list(post.tokens)) for post in read_posts(tmp_path / "tagged.txt")]
    assert words == [("1", ["New", "York"]), ("2", []), ("1", ["\u200b", "IMGID:x"])]
    untagged = TAGGED.replace("\tO", "").replace("\tB-LOC", "").replace(" I-LOC", "")
    for text in (TAGGED, untagged, untagged.rstrip("\n")):
        posts = parse(text)
        assert [(post.image_id, post.record["tokens"]) for post in posts] == words
        assert [post.record["id"] for post in posts] == ["1", "2", "1"]
        assert [[token.text for token in post_sentence(post)] for post in posts] == [tokens for _, tokens in words]


def test_plain_columns_are_numbered():
    first, second = parse("New\nYork\tO\n\nParis\n")
    assert (first.image_id, first.record) == ("1", {"tokens": ["New", "York"]})
    assert (second.image_id, second.record) == ("2", {"tokens": ["Paris"]})


@pytest.mark.parametrize("text", ["", "\n\n \t\n"])
def test_no_posts(text):
    assert parse(text) == []


@pytest.mark.parametrize(
    ("text", "before", "line", "expected"),
    [
        ('{"text": "a"}\n{"text": }', 1, 2, "JSON"),
        ('{"text": "a"}\nIMGID:1', 1, 2, "JSON"),
        ('{"text": "\\udc80"}', 0, 1, "surrogate"),
        ("IMGID:1\na\n\nb", 1, 4, "IMGID:<id>"),
        ("IMGID: \na", 0, 1, "IMGID:<id>"),
        ("IMGID:1\nNew York", 0, 2, "'word'"),
        ("New\tNNP\tB-NP\tB-LOC", 0, 1, "'word'"),
        ("a\n\tO", 0, 2, "'word'"),
    ],
)
def test_a_broken_line_is_named_and_the_posts_before_it_are_given(text, before, line, expected):
    posts = parse_untagged_posts(enumerate(text.split("\n"), start=1), source="posts", folder=Path())
    given = []
    with pytest.raises(PostFormatError, match=rf"^posts, line {line}: expected.*{expected}"):
        given.extend(posts)
    assert len(given) == before


def test_a_text_that_flair_cannot_split_is_named(monkeypatch):
    (post,) = parse('{"id": 5, "text": "a"}')

    def refuse(text):
        raise ValueError

    monkeypatch.setattr("flair_espvr.data.formats.records.Sentence", refuse)
    with pytest.raises(PostFormatError, match=r"posts, line 1: .*post 5"):
        post_sentence(post)


def test_pictures_and_captions_by_id(images, tmp_path):
    posts = parse("IMGID:1\na\n\nIMGID:2\nb", images=images, captions={"2": "two"})
    assert [(post.image, post.caption) for post in posts] == [(str(tmp_path / "1.png"), None), (None, "two")]


def test_what_a_post_names_itself_comes_first_unless_it_is_not_there(images, tmp_path):
    (tmp_path / "own.png").write_bytes(b"")
    own, moved, lost = parse(
        f'{{"text": "a", "image": "{tmp_path}/own.png", "caption": "own"}}\n'
        '{"text": "b", "image": "elsewhere/1.jpg"}\n{"text": "c", "image": "elsewhere/3.jpg"}',
        images=images,
        captions={"own": "other", "1": "one"},
    )
    assert (own.image, own.caption) == (str(tmp_path / "own.png"), "own")
    assert (moved.image, moved.caption) == (str(tmp_path / "1.png"), "one")
    assert lost.image == str(Path("folder/elsewhere/3.jpg"))  # so that its absence is reported


def test_pictures_of_a_file_are_relative_to_it(tmp_path):
    path = tmp_path / "posts.jsonl"
    path.write_text('{"text": "a", "image": "1.png"}')
    (post,) = read_untagged_posts(path)
    assert (post.image, post.source) == (str(tmp_path / "1.png"), path)


def test_files_of_posts_in_a_folder(tmp_path):
    with pytest.raises(ConfigurationError, match="expected files of posts"):
        post_files(tmp_path)
    for name in ("b.txt", "a.jsonl", "c.conll", "captions.tsv", "captions.jsonl", "1.png"):
        (tmp_path / name).write_text("")
    assert [path.name for path in post_files(tmp_path)] == ["a.jsonl", "b.txt", "c.conll"]

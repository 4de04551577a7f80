import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from flair_espvr.data import PictureObject
from flair_espvr.data.formats.columns import read_posts
from flair_espvr.data.formats.detect import post_files
from flair_espvr.data.sentences import post_sentence
from flair_espvr.errors import ConfigurationError, PostFormatError
from flair_espvr.images.folder import ImageFolder
from flair_espvr.tagging.sources import PostFile, posts_from


def lines(text):
    return [line.encode() for line in text.split("\n")]


def parse(text, **arguments):
    return list(PostFile(Path("folder/posts"), **arguments).parsed(lines(text)))


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
    assert (with_gold.image_id, with_gold.image) == ("1", str(Path("folder/a/1.png")))
    assert with_gold.contexts == {"caption": "a man"}
    assert (plain.record, plain.image_id, plain.image, plain.contexts) == ({"tokens": ["a b"]}, "3", None, {})
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
    posts = PostFile(Path("posts")).parsed(lines(text))
    given = []
    with pytest.raises(PostFormatError, match=rf"^posts, line {line}: expected.*{expected}"):
        given.extend(posts)
    assert len(given) == before


def test_a_text_that_flair_cannot_split_is_named(monkeypatch):
    (post,) = parse('{"id": 5, "text": "a"}')

    def refuse(text):
        raise ValueError

    monkeypatch.setattr("flair_espvr.data.formats.record_sentences.Sentence", refuse)
    with pytest.raises(PostFormatError, match=r"folder/posts, line 1: .*post 5"):
        post_sentence(post)


def test_pictures_and_captions_by_id(images, tmp_path):
    posts = parse("IMGID:1\na\n\nIMGID:2\nb", images=images, contexts={"caption": {"2": "two"}, "ocr": {"1": "STOP"}})
    assert [post.image for post in posts] == [str(tmp_path / "1.png"), None]
    assert [post.contexts for post in posts] == [{"ocr": "STOP"}, {"caption": "two"}]


def test_contexts_of_a_post_are_metadata_of_its_sentence():
    record = {"tokens": ["a"], "tags": "a dog", "ocr": "STOP", "knowledge": "", "caption": None}
    listed = {"tokens": ["a"], "tags": [1, 2]}  # a field of somebody's own
    (post,), (other,) = (parse(json.dumps(fields)) for fields in (record, listed))
    sentence = post_sentence(post)
    assert (sentence.get_metadata("tags"), sentence.get_metadata("ocr")) == ("a dog", "STOP")
    assert not sentence.has_metadata("knowledge")
    assert not sentence.has_metadata("caption")
    assert other.contexts == {}
    assert other.record == listed


DOG = {"label": "dog", "score": 0.5, "box": [0.0, 0.0, 0.5, 1.0]}


def test_objects_of_a_post_are_metadata_of_its_sentence():
    lines = [{"tokens": ["a"], "objects": objects} for objects in ([DOG], [], None)]
    found, nothing, unsaid = parse("\n".join(map(json.dumps, lines)))
    (dog,) = post_sentence(found).get_metadata("objects")
    assert dog == PictureObject("dog", 0.5, (0.0, 0.0, 0.5, 1.0))
    assert post_sentence(nothing).get_metadata("objects") == []
    assert not post_sentence(unsaid).has_metadata("objects")
    assert len({post.fingerprint() for post in (replace(found, record=None), replace(unsaid, record=None))}) == 2


def test_contexts_of_several_pictures_are_put_together(images):
    dog = PictureObject("dog", 0.9, (0, 0, 1, 1))
    known = {
        "caption": {"1": "a man", "2": "a hall"},
        "ocr": {"1": "EXIT", "2": "TAXI"},
        "tags": {"2": "hall"},
        "objects": {"1": [], "2": [dog]},
        "knowledge": {"3": "another post's"},
    }
    record = {"text": "Kevin", "image": ["gone/1.png", "b/2.png"]}
    (post,) = parse(json.dumps(record), contexts=known)
    assert post.images == (str(Path("folder/gone/1.png")), str(Path("folder/b/2.png")))
    assert post.contexts == {
        "caption": ["a man", "a hall"],
        "ocr": "EXIT TAXI",
        "tags": "hall",
        "objects": [replace(dog, image=1)],
    }
    (found,) = parse(json.dumps(record), images=images)
    assert found.image == str(images.find("1"))  # none of those that it names is there
    assert found.fingerprint() != post.fingerprint()


def test_the_fingerprint_of_a_post_without_further_contexts_stays_what_it_was():
    (post,) = parse('{"tokens": ["a"], "caption": "a man"}')
    assert post.fingerprint() == b'[{"tokens": ["a"], "caption": "a man"}, "1", null, "a man"]\n'
    fingerprints = {replace(post, contexts={**post.contexts, **more}).fingerprint() for more in ({}, {"ocr": "b"})}
    assert len(fingerprints) == 2


def test_a_folder_brings_its_contexts_and_options_replace_them(tmp_path):
    folder = tmp_path / "posts"
    folder.mkdir()
    (folder / "posts.txt").write_text("IMGID:1\na\tO\n")
    for kind in ("captions", "tags", "knowledge"):
        (folder / f"{kind}.tsv").write_text(f"1\ttheir {kind}\n")
    (folder / "objects.jsonl").write_text(json.dumps({"image_id": "1", "objects": [DOG]}))
    (tmp_path / "other.tsv").write_text("image_id\ttags\n1\tother tags\n")
    posts, _ = posts_from([str(folder)], contexts={"tags": tmp_path / "other.tsv"})
    assert next(posts).contexts == {
        "caption": "their captions",
        "knowledge": "their knowledge",
        "tags": "other tags",
        "objects": [PictureObject("dog", 0.5, (0.0, 0.0, 0.5, 1.0))],
    }
    with pytest.raises(ConfigurationError, match="expected a file of ocr"):
        posts_from([str(folder)], contexts={"ocr": tmp_path / "absent.tsv"})
    with pytest.raises(ConfigurationError, match="expected a file of objects, JSONL"):
        posts_from([str(folder)], contexts={"objects": tmp_path / "absent.jsonl"})


def test_what_a_post_names_itself_comes_first_unless_it_is_not_there(images, tmp_path):
    (tmp_path / "own.png").write_bytes(b"")
    own, moved, lost = parse(
        f'{{"text": "a", "image": "{tmp_path}/own.png", "caption": "own"}}\n'
        '{"text": "b", "image": "elsewhere/1.jpg"}\n{"text": "c", "image": "elsewhere/3.jpg"}',
        images=images,
        contexts={"caption": {"own": "other", "1": "one"}},
    )
    assert (own.image, own.contexts) == (str(tmp_path / "own.png"), {"caption": "own"})
    assert (moved.image, moved.contexts) == (str(tmp_path / "1.png"), {"caption": "one"})
    assert lost.image == str(Path("folder/elsewhere/3.jpg"))  # so that its absence is reported


def test_pictures_of_a_file_are_relative_to_it(tmp_path):
    path = tmp_path / "posts.jsonl"
    path.write_text('{"text": "a", "image": "1.png"}')
    (post,) = PostFile(path).posts()
    assert (post.image, post.source) == (str(tmp_path / "1.png"), path)


def test_files_of_posts_in_a_folder(tmp_path):
    with pytest.raises(ConfigurationError, match="expected files of posts"):
        post_files(tmp_path)
    for name in ("b.txt", "a.jsonl", "c.conll", "captions.tsv", "captions.jsonl", "1.png"):
        (tmp_path / name).write_text("")
    assert [path.name for path in post_files(tmp_path)] == ["a.jsonl", "b.txt", "c.conll"]


@pytest.mark.parametrize("text", ['[{"text": "a"}, {"text": "b"}]', '[ {"text": "a"}]\n'])
def test_an_array_is_not_taken_for_columns(text):
    with pytest.raises(PostFormatError, match=r"folder/posts, line 1: .*an array; put each post on a line of its own"):
        parse(text)
    assert [post.tokens for post in parse("[\tO\n{\tO\n")] == [("[", "{")]

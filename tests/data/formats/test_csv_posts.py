import csv
import json

import pytest

from flair_espvr.data.formats.convert import convert_posts
from flair_espvr.errors import ConfigurationError, PostFormatError

POSTS = [
    {"id": "7", "text": 'I\'m in\r\nNew York, "NY"', "image": "7.jpg", "caption": "a city", "ocr": "taxi"},
    {"id": "8", "tokens": ["New", "York"]},
    {"id": "9", "text": ""},
    {"id": "10", "text": "", "image": ["7.jpg", "8.jpg"], "caption": ["a city", 'a "taxi"']},
]
ENTITIES = [[{"start": 8, "end": 16, "type": "LOC"}], [{"start": 0, "end": 2, "type": "LOC"}], [], []]


@pytest.fixture
def jsonl(tmp_path):
    (tmp_path / "7.jpg").touch()
    path = tmp_path / "posts.jsonl"
    lines = [json.dumps({**post, "entities": found}) for post, found in zip(POSTS, ENTITIES, strict=True)]
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.fixture
def convert_rows(tmp_path):
    def write_and_convert(content, **columns):
        (tmp_path / "posts.csv").write_bytes(content.encode())
        out = tmp_path / "out.jsonl"
        convert_posts(tmp_path / "posts.csv", out, source_format="csv", target_format="jsonl", columns=columns)
        return [json.loads(line) for line in out.read_text().splitlines()]

    return write_and_convert


def test_there_and_back_changes_nothing(jsonl, tmp_path):
    done = convert_posts(jsonl, tmp_path / "posts.csv", source_format="jsonl", target_format="csv")
    assert done.posts == 4
    convert_posts(tmp_path / "posts.csv", tmp_path / "back", source_format="csv", target_format="jsonl")
    assert (tmp_path / "back").read_text() == jsonl.read_text()


def test_pythons_reader_finds_what_was_written(jsonl, tmp_path):
    convert_posts(jsonl, tmp_path / "posts.csv", source_format="jsonl", target_format="csv")
    with open(tmp_path / "posts.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row, post, entities in zip(rows, POSTS, ENTITIES, strict=True):
        for field in ("id", "text", "image", "caption", "ocr"):
            cell = post.get(field, "")
            assert row[field] == (json.dumps(cell) if isinstance(cell, list) else cell)
        assert json.loads(row["entities"] or "[]") == entities


def test_columns_have_names_of_ones_own(convert_rows):
    content = '\ufefftweet,photo,likes,image\r\nin New York,7.jpg,3,x\r\n\r\n"a\nb",,,\r\n'
    assert convert_rows(content, text="tweet", image="photo") == [
        {"text": "in New York", "image": "7.jpg", "likes": "3", "entities": []},
        {"text": "a\nb", "entities": []},
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1: expected a header with a column text, or --column text=NAME"),
        ("tweet,id\na,1\n", r"line 1: expected a header .* found 'tweet,id'"),
        ('text,id\n"a\nb",1\nc\n', "line 4: expected 2 cells, as the header has, found 'c'"),
        ('text,id\n"a"b,1\n', "line 2: expected CSV in UTF-8"),
        ("text,entities\na,PER\n", "line 2: expected JSON in the cells tokens, objects, entities"),
        ('text,entities\na,"{}"\n', "line 2: .*'entities' of the post are no list"),
    ],
)
def test_what_is_not_as_it_should_be(convert_rows, content, message):
    with pytest.raises(PostFormatError, match=f"(?s){message}"):
        convert_rows(content)


def test_a_column_that_is_not_there(convert_rows):
    with pytest.raises(ConfigurationError, match="has no column tweet; it has text, id"):
        convert_rows("text,id\na,1\n", text="tweet")

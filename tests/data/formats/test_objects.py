import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flair_espvr.data import PictureObject, read_objects
from flair_espvr.data.picture_object import object_from_json, object_to_json
from flair_espvr.errors import PostFormatError

PERSON = {"label": "person", "score": 0.5, "box": [0, 0, 0.5, 1]}
LIGHT = {"label": "信号機 🚦", "score": 1, "box": [0.25, 0.5, 0.75, 1.0], "attributes": ["rot", "hängend"]}


def written(path, *lines):
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return path


def test_no_object_one_and_three_hundred(tmp_path):
    path = written(
        tmp_path / "objects.jsonl",
        {"header": {"detector": "stub"}},
        {"image_id": "none", "objects": []},
        {"image_id": "one", "objects": [LIGHT]},
        {"image_id": "many", "objects": [PERSON] * 300, "seconds": 2},
    )
    objects = read_objects(path)
    assert {image_id: len(found) for image_id, found in objects.items()} == {"none": 0, "one": 1, "many": 300}
    (light,) = objects["one"]
    assert light == PictureObject("信号機 🚦", 1.0, (0.25, 0.5, 0.75, 1.0), ("rot", "hängend"))
    assert str(light) == "rot hängend 信号機 🚦"
    assert objects["many"][299] == PictureObject("person", 0.5, (0.0, 0.0, 0.5, 1.0))


def test_the_later_of_two_lines_counts_and_is_reported(tmp_path, caplog):
    path = written(
        tmp_path / "objects.jsonl",
        {"image_id": "1", "objects": [PERSON]},
        {"image_id": "2", "objects": [PERSON]},
        {"image_id": "1", "objects": []},
        {"image_id": "2", "objects": [PERSON]},
    )
    assert [len(found) for found in read_objects(path).values()] == [0, 1]
    assert "1 lists of objects replace" in caplog.text


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("no json", '"objects"'),
        ('{"image_id": 1, "objects": []}', '"objects"'),
        ('{"image_id": "", "objects": []}', '"objects"'),
        ('{"image_id": "1"}', '"objects"'),
        ('{"image_id": "1", "caption": "a dog"}', '"objects"'),
        ('{"image_id": "1", "objects": ["dog"]}', "picture '1' .object 1: .*'label'"),
    ],
)
def test_a_line_of_another_form_is_named(tmp_path, line, reason):
    path = tmp_path / "objects.jsonl"
    path.write_text(f'{{"header": {{}}}}\n{line}\n')
    with pytest.raises(PostFormatError, match=f"objects.jsonl, line 2: expected .*{reason}"):
        read_objects(path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"box": [0.5, 0, 0.5, 1]}, "left < right"),  # no area
        ({"box": [0.5, 0, 0.25, 1]}, "left < right"),
        ({"box": [-0.1, 0, 0.5, 1]}, "fractions of the picture"),
        ({"box": [0, 0, 320, 240]}, "fractions of the picture"),  # pixels
        ({"box": [2, 0, 3, 1]}, "fractions of the picture"),
        ({"box": [0, 0, math.nan, 1]}, "fractions of the picture"),
        ({"box": [0, 0, math.inf, 1]}, "fractions of the picture"),
        ({"box": [0, 0, 1]}, "left, top, right, bottom"),
        ({"box": None}, "left, top, right, bottom"),
        ({"score": 1.5}, "0..1"),
        ({"score": math.nan}, "0..1"),
        ({"score": "high"}, "0..1"),
        ({"label": ""}, "not empty"),
        ({"label": 17}, "not empty"),  # a class id of one detector means something else in another
        ({"label": "\ud800"}, "not empty"),
        ({"attributes": "red"}, "list"),
        ({"attributes": [1]}, "not empty"),
    ],
)
def test_a_malformed_object_is_named_with_file_line_picture_and_place(tmp_path, change, reason):
    path = tmp_path / "objects.jsonl"
    lines = [{"image_id": "7", "objects": [PERSON]}, {"image_id": "8", "objects": [PERSON, {**PERSON, **change}]}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(PostFormatError, match=rf"objects.jsonl, line 2: .*'8' \(object 2: .*{reason}"):
        read_objects(path)


EDGES = st.lists(st.floats(0, 1), min_size=2, max_size=2, unique=True).map(sorted)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)


@given(NAMES, st.floats(0, 1), EDGES, EDGES, st.lists(NAMES))
def test_objects_survive_json(label, score, x, y, attributes):
    found = PictureObject(label, score, (x[0], y[0], x[1], y[1]), tuple(attributes))
    assert object_from_json(json.loads(json.dumps(object_to_json(found)))) == found

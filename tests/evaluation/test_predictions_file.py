import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flair_espvr.data.bio import EntitySpan
from flair_espvr.errors import PostFormatError
from flair_espvr.evaluation.predictions_file import read_predictions, write_predictions

TYPES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5)
ENTITY = st.builds(
    lambda start, length, type: EntitySpan(start, start + length, type), st.integers(0, 9), st.integers(1, 9), TYPES
)
POSTS = st.lists(st.tuples(st.lists(ENTITY, max_size=3), st.lists(ENTITY, max_size=3)), max_size=5)


@given(posts=POSTS)
def test_what_is_written_is_read_again(posts, tmp_path_factory):
    path = tmp_path_factory.mktemp("predictions") / "test.jsonl"
    gold, predicted = [list(post[0]) for post in posts], [list(post[1]) for post in posts]
    write_predictions(path, gold, predicted)
    assert read_predictions(path) == (gold, predicted)
    assert all(isinstance(entity, EntitySpan) for post in read_predictions(path)[0] for entity in post)


def test_a_line_is_plain_json(tmp_path):
    path = tmp_path / "test.jsonl"
    write_predictions(path, [[EntitySpan(0, 2, "PER")], []], [[], iter([EntitySpan(1, 2, "LÖC")])])
    assert [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] == [
        {"gold": [[0, 2, "PER"]], "predicted": []},
        {"gold": [], "predicted": [[1, 2, "LÖC"]]},
    ]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "test.jsonl"
    write_predictions(path, [[EntitySpan(0, 1, "PER")]], [[]])
    old = path.read_bytes()
    with pytest.raises(ValueError, match="shorter"):
        write_predictions(path, [[], []], [[]])
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        '{"gold": []}',
        '{"gold": [], "predicted": null}',
        '{"gold": [[0, 1]], "predicted": []}',
        '{"gold": [[0, 1, ""]], "predicted": []}',
        '{"gold": [[0, 1, 7]], "predicted": []}',
        '{"gold": [[0.0, 1, "PER"]], "predicted": []}',
        '{"gold": [[false, true, "PER"]], "predicted": []}',
        '{"gold": [], "predicted": [[1, 1, "PER"]]}',
        '{"gold": [], "predicted": [[-1, 1, "PER"]]}',
        '{"gold": [], "predicted": ["PER"]}',
    ],
)
def test_a_damaged_line_is_named(damaged, tmp_path):
    path = tmp_path / "test.jsonl"
    path.write_text(f'{{"gold": [], "predicted": []}}\n{damaged}\n')
    with pytest.raises(PostFormatError, match=r"test\.jsonl, line 2: expected"):
        read_predictions(path)

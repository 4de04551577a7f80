import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flair_espvr.data import read_jsonl_sentences
from flair_espvr.data.formats.overlaps import overlapping, without_overlaps
from flair_espvr.errors import PostFormatError


def nested(start: int, end: int) -> st.SearchStrategy[list[tuple[int, int]]]:
    """Entities inside `start` to `end` of which any two are apart or one in the other."""
    if end - start < 2:
        return st.just([])
    return st.integers(start + 1, end - 1).flatmap(
        lambda middle: st.tuples(st.sampled_from([[], [(start, end)]]), nested(start, middle), nested(middle, end)).map(
            lambda parts: [place for part in parts for place in part]
        )
    )


PLACES = nested(0, 9).flatmap(st.permutations)


def entities(places):
    return [{"start": start, "end": end, "type": "T"} for start, end in places]


@given(PLACES)
def test_outermost_are_in_no_other_and_innermost_have_no_other_inside(places):
    def inside(place, other):
        return place != other and other[0] <= place[0] and place[1] <= other[1]

    outermost = [place for place in places if not any(inside(place, other) for other in places)]
    innermost = [place for place in places if not any(inside(other, place) for other in places)]
    assert without_overlaps(entities(places), "outermost") == entities(outermost)
    assert without_overlaps(entities(places), "innermost") == entities(innermost)


ANY_PLACES = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)).map(sorted), max_size=6)


@given(ANY_PLACES, st.sampled_from(["outermost", "innermost"]))
def test_what_stays_has_no_overlap_and_all_else_overlaps_it(places, keep):
    kept = without_overlaps(entities(places), keep)
    covered = [set(range(entity["start"], entity["end"])) for entity in kept]
    assert sum(map(len, covered)) == len(set().union(*covered))
    assert overlapping(kept) == 0
    for entity in entities(places):
        assert entity in kept or set(range(entity["start"], entity["end"])) & set().union(*covered)


def test_entities_that_are_none_stay_for_the_reader_to_refuse():
    assert without_overlaps(["x", {"start": "0"}, {"start": 0, "end": 2}, {"start": 0, "end": 1}], "innermost") == [
        "x",
        {"start": "0"},
        {"start": 0, "end": 1},
    ]


@pytest.fixture
def university(tmp_path):
    path = tmp_path / "posts.jsonl"
    places = [[(0, 4)], [(0, 4), (2, 4), (3, 4)], [(1, 2)], [(0, 2), (1, 4)]]
    posts = [{"tokens": ["University", "of", "New", "York"], "entities": entities(each)} for each in places]
    path.write_text("".join(json.dumps(post) + "\n" for post in posts))
    return path


def test_an_error_counts_them_and_names_the_first_place(university):
    expected = r"posts\.jsonl, line 2: .*overlaps another.*; 3 entities of 2 posts .*--flatten outermost"
    with pytest.raises(PostFormatError, match=expected):
        list(read_jsonl_sentences(university))


def test_flattened_they_are_read_and_the_others_counted(university, caplog):
    sentences = list(read_jsonl_sentences(university, flatten="innermost"))
    found = [[span.text for span in sentence.get_spans("ner")] for sentence in sentences]
    assert found == [["University of New York"], ["York"], ["of"], ["University of"]]
    assert "3 entities that overlap others were left out (innermost stay)" in caplog.text

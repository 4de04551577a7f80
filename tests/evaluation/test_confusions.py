import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from flair_espvr.data.bio import EntitySpan
from flair_espvr.errors import ConfigurationError
from flair_espvr.evaluation.confusions import count_confusions
from flair_espvr.evaluation.scores import score_entities

TYPES = ["PER", "LOC", "none"]
"""One of them has the name that pictures give to the last row and column."""

SPANS = [(start, end) for end in range(1, 5) for start in range(end)]
POST = st.dictionaries(st.sampled_from(SPANS), st.sampled_from(TYPES), max_size=4)
POSTS = st.lists(st.tuples(POST, POST), max_size=4)


def entities(posts):
    return [[EntitySpan(*span, type) for span, type in post.items()] for post in posts]


@given(posts=POSTS)
def test_aligned_spans_are_counted_as_by_sklearn(posts):
    gold, predicted = [gold for gold, _ in posts], [predicted for _, predicted in posts]
    pairs = [(g.get(span, "absent"), p.get(span, "absent")) for g, p in posts for span in g.keys() | p.keys()]
    found = count_confusions(entities(gold), entities(predicted), TYPES)
    if not pairs:
        assert not found.any()
        return
    np.testing.assert_array_equal(found, confusion_matrix(*zip(*pairs, strict=True), labels=[*TYPES, "absent"]))


@given(posts=POSTS)
def test_rows_columns_and_diagonal_are_the_counts_of_the_scores(posts):
    gold, predicted = entities(gold for gold, _ in posts), entities(predicted for _, predicted in posts)
    counts = count_confusions(gold, predicted, TYPES)
    for name, score in score_entities(gold, predicted).types.items():
        position = TYPES.index(name)
        row, column, cell = counts[position].sum(), counts[:, position].sum(), counts[position, position]
        assert (row, column, cell) == (score.gold, score.predicted, score.correct)


def test_a_wrong_boundary_is_missed_and_invented():
    counts = count_confusions([[EntitySpan(0, 2, "PER")]], [[EntitySpan(0, 1, "PER")]], TYPES)
    assert (counts[0, 3], counts[3, 0], counts.sum()) == (1, 1, 2)


def test_words_with_several_types_are_matched_first():
    gold = [EntitySpan(0, 1, "LOC"), EntitySpan(0, 1, "PER")]
    counts = count_confusions([gold], [[EntitySpan(0, 1, "none"), EntitySpan(0, 1, "PER")]], TYPES)
    assert (counts[0, 0], counts[1, 2], counts.sum()) == (1, 1, 2)


@pytest.mark.parametrize("side", [0, 1])
def test_an_unknown_type_is_refused(side):
    posts = [[[]], [[]]]
    posts[side] = [[EntitySpan(0, 1, "EVENT")]]
    with pytest.raises(ConfigurationError, match="'EVENT', which is not among"):
        count_confusions(*posts, TYPES)

import pytest
from flair.data import get_spans_from_bio
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2, Entities

from flair_espvr.data.bio import (
    EntitySpan,
    bio_from_bioes,
    bio_tags,
    invalid_positions,
    is_tag,
    lenient_entities,
    strict_entities,
)

TYPES = st.sampled_from(["PER", "LOC", "GPE-CITY"])
TAGS = st.lists(st.just("O") | st.builds("{}-{}".format, st.sampled_from("BI"), TYPES), max_size=12)
BIOES_TAGS = st.lists(st.just("O") | st.builds("{}-{}".format, st.sampled_from("BIES"), TYPES), max_size=12)


@given(TAGS)
def test_lenient_is_how_seqeval_and_flair_read(tags):
    entities = lenient_entities(tags)
    assert entities == [(start, end + 1, type_) for type_, start, end in get_entities(tags)]
    assert entities == [(words[0], words[-1] + 1, type_) for words, _, type_ in get_spans_from_bio(list(tags))]


@given(TAGS)
def test_strict_is_how_seqeval_reads_iob2(tags):
    expected = [(e.start, e.end, e.tag) for e in Entities([tags], IOB2).entities[0]]
    assert strict_entities(tags) == expected


@given(TAGS)
def test_an_invalid_tag_is_what_tells_the_two_readings_apart(tags):
    assert len(lenient_entities(tags)) - len(strict_entities(tags)) == len(invalid_positions(tags))


@given(BIOES_TAGS)
def test_bioes_means_what_seqeval_says(tags):
    assert all(map(is_tag, tags))
    assert lenient_entities(bio_from_bioes(tags)) == [
        (start, end + 1, type_) for type_, start, end in get_entities(tags)
    ]


@given(TAGS)
def test_bio_is_no_other_as_bioes(tags):
    assert bio_from_bioes(tags) == tags


@given(TAGS)
def test_tags_of_entities_are_valid_and_give_the_entities_back(tags):
    valid = bio_tags(len(tags), lenient_entities(tags))
    assert not invalid_positions(valid)
    assert strict_entities(valid) == lenient_entities(tags)


def test_a_change_of_type_makes_an_invalid_tag():
    tags = ["B-PER", "I-LOC", "I-LOC"]
    assert invalid_positions(tags) == [1]
    assert lenient_entities(tags) == [EntitySpan(0, 1, "PER"), EntitySpan(1, 3, "LOC")]
    assert strict_entities(tags) == [EntitySpan(0, 1, "PER")]


@pytest.mark.parametrize("tag", ["", "o", "B", "B-", "PER", "E-", "L-PER", "B- PER", "B-PER ", "B-\u00a0"])
def test_other_tags_are_none(tag):
    assert not is_tag(tag)

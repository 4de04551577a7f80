"""Spans read from BIO tags and averaged, against seqeval and plain means."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.scheme import IOB2, Entities

from flair_espvr.nn import LinearChainCRF, bio_spans, span_features

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-a-b", "I-a-b"]
CRF = LinearChainCRF(LABELS)


@st.composite
def legal_tags(draw):
    """One sentence of legal BIO2 labels."""
    tags = []
    for _ in range(draw(st.integers(1, 12))):
        options = [label for label in LABELS if not label.startswith("I")]
        if tags and tags[-1] != "O":
            options.append("I" + tags[-1][1:])
        tags.append(draw(st.sampled_from(options)))
    return tags


def as_batch(sentences, padding=0):
    length = max(map(len, sentences))
    ids = [[LABELS.index(tag) for tag in tags] + [padding] * (length - len(tags)) for tags in sentences]
    mask = [[True] * len(tags) + [False] * (length - len(tags)) for tags in sentences]
    return torch.tensor(ids), torch.tensor(mask)


def as_lists(spans):
    return [
        [(CRF.types[type_index], start, end) for start, end, type_index, exists in zip(*row, strict=True) if exists]
        for row in zip(spans.start.tolist(), spans.end.tolist(), spans.type.tolist(), spans.mask.tolist(), strict=True)
    ]


@settings(deadline=None, max_examples=200)
@given(sentences=st.lists(legal_tags(), min_size=1, max_size=4), padding=st.integers(0, len(LABELS) - 1))
def test_equals_seqeval_whatever_stands_in_the_padding(sentences, padding):
    tags, mask = as_batch(sentences, padding)
    spans = bio_spans(tags, mask, begin=CRF.begin, inside=CRF.inside)
    expected = [
        [(entity.tag, entity.start, entity.end) for entity in entities]
        for entities in Entities(sentences, IOB2, delimiter="-").entities
    ]
    # seqeval splits a label at its last dash, so "B-a-b" is read by its own rules: compare it as the type it is.
    assert as_lists(spans) == [
        [({"b": "a-b"}.get(tag, tag), start, end) for tag, start, end in entities] for entities in expected
    ]
    assert spans.mask.shape[1] == max(map(len, expected))
    for field in (spans.start, spans.end, spans.type):
        assert (field[~spans.mask] == 0).all()


def test_bare_labels_are_one_type():
    crf = LinearChainCRF(["O", "B", "I"])
    spans = bio_spans(
        torch.tensor([[1, 2, 1, 0]]), torch.ones(1, 4, dtype=torch.bool), begin=crf.begin, inside=crf.inside
    )
    assert spans.start.tolist() == [[0, 2]]
    assert spans.end.tolist() == [[2, 3]]


def test_no_span_anywhere():
    tags, mask = as_batch([["O", "O"], ["O"]])
    spans = bio_spans(tags, mask, begin=CRF.begin, inside=CRF.inside)
    assert spans.mask.shape == (2, 0)
    assert span_features(torch.randn(2, 2, 5), spans).shape == (2, 0, 5)


@pytest.mark.parametrize("autocast", [False, True])
def test_features_are_means_of_their_words_alone(autocast):
    torch.manual_seed(0)
    sentences = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "B-a-b", "I-a-b", "I-a-b", "O", "O"], ["O"]]
    tags, mask = as_batch(sentences)
    spans = bio_spans(tags, mask, begin=CRF.begin, inside=CRF.inside)
    hidden = torch.randn(3, 6, 4)
    hidden[1, 0] = 1e6  # a running sum would carry this into the span behind it
    hidden.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        features = span_features(hidden, spans)
    torch.testing.assert_close(features[0], torch.stack([hidden[0, :2].mean(dim=0), hidden[0, 3]]))
    torch.testing.assert_close(features[1, 0], hidden[1, 1:4].mean(dim=0))
    assert (features[~spans.mask] == 0).all()
    features.sum().backward()
    assert hidden.grad.isfinite().all()
    assert (hidden.grad[2] == 0).all()

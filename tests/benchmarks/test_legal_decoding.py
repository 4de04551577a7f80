"""The script that decodes Flair's CRF without illegal tags, on a tagger that was never trained."""

from pathlib import Path

import flair
import pytest
import torch
from flair.data import Dictionary, Sentence
from flair.embeddings import WordEmbeddings
from flair.models import SequenceTagger

from benchmarks import legal_decoding


@pytest.fixture
def tagger() -> SequenceTagger:
    """It likes I-PER after whatever tag."""
    flair.set_seed(1)
    types = Dictionary(add_unk=False)
    types.span_labels = True
    for name in ("PER", "LOC"):
        types.add_item(name)
    vectors = WordEmbeddings(None, vocab={"a": 0}, embedding_length=4, name="tiny")
    tagger = SequenceTagger(vectors, tag_dictionary=types, tag_type="ner", use_rnn=False, tag_format="BIO")
    tagger.crf.transitions.data[tagger.label_dictionary.get_idx_for_item("I-PER")] += 3
    return tagger


def test_what_may_follow_what() -> None:
    may_not = [("<START>", "I-PER"), ("O", "I-PER"), ("B-LOC", "I-PER"), ("I-LOC", "I-PER")]
    may = [("B-PER", "I-PER"), ("I-PER", "I-PER"), ("O", "B-PER"), ("I-LOC", "B-PER"), ("I-LOC", "O"), ("O", "<STOP>")]
    assert all(legal_decoding.breaks_bio2(*pair) for pair in may_not)
    assert not any(legal_decoding.breaks_bio2(*pair) for pair in may)


def test_no_tag_is_illegal_within_the_block_and_the_model_is_as_before(tagger: SequenceTagger) -> None:
    posts = [Sentence(["a"] * length) for length in (1, 2, 7)]
    before = tagger.crf.transitions.detach().clone()
    assert legal_decoding.broken_tags(tagger, posts) > 0
    with legal_decoding.legal(tagger):
        assert legal_decoding.broken_tags(tagger, posts) == 0
    assert torch.equal(tagger.crf.transitions, before)
    assert not any(post.get_labels("tag") for post in posts)


def test_a_table(
    tagger: SequenceTagger, corpus_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tagger.save(tmp_path / "model.pt")
    legal_decoding.main([str(corpus_folder), str(tmp_path / "model.pt"), "--trust"])
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"| {tmp_path / 'model.pt'} | ")

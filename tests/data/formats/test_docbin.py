"""spaCy's DocBin, read back by spaCy."""

import json
import sys
from pathlib import Path

import pytest

from flair_espvr.data.formats.convert import convert_posts
from flair_espvr.errors import ConfigurationError


def test_words_spaces_and_entities_are_those_of_the_posts(tmp_path: Path) -> None:
    tokens = pytest.importorskip("spacy.tokens")
    vocab = pytest.importorskip("spacy.vocab")
    records = [
        {"id": "7", "text": "Kevin  Durant, in Oslo!", "entities": [{"start": 0, "end": 13, "type": "PER"}]},
        {"tokens": ["New", "York"], "image": "ny.png", "entities": [{"start": 0, "end": 2, "type": "LOC"}]},
        {"text": ""},
    ]
    (tmp_path / "posts.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    done = convert_posts(
        tmp_path / "posts.jsonl", tmp_path / "out.spacy", source_format="jsonl", target_format="docbin"
    )
    assert done.posts == 3
    docs = list(tokens.DocBin().from_disk(tmp_path / "out.spacy").get_docs(vocab.Vocab()))
    assert [[token.text for token in doc] for doc in docs] == [
        ["Kevin", "Durant", ",", "in", "Oslo", "!"],
        ["New", "York"],
        [],
    ]
    assert [doc.text for doc in docs] == ["Kevin Durant, in Oslo!", "New York", ""]
    assert [[(one.text, one.label_) for one in doc.ents] for doc in docs] == [
        [("Kevin Durant", "PER")],
        [("New York", "LOC")],
        [],
    ]
    assert docs[1].user_data["image_id"] == "ny"


def test_without_spacy_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spacy.tokens", None)
    (tmp_path / "in").write_text("a\tO\n")
    with pytest.raises(ConfigurationError, match=r"flair-espvr\[spacy\]"):
        convert_posts(tmp_path / "in", tmp_path / "out", source_format="conll", target_format="docbin")
    assert not (tmp_path / "out").exists()

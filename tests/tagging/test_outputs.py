import io
import json
from pathlib import Path

import pytest
from flair.data import Sentence
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from flair_espvr.data import Region, read_jsonl_sentences, read_posts, write_jsonl_posts
from flair_espvr.data.sentences import post_sentence
from flair_espvr.errors import PostFormatError
from flair_espvr.tagging.outputs import column_predictions, jsonl_predictions, prediction_record
from flair_espvr.tagging.sources import PostFile

REGION = Region(0.25, 0.0, 0.75, 0.5, 0.5)


def tagged(record, spans):
    (post,) = PostFile(Path("posts")).parsed([json.dumps(record).encode()])
    sentence = post_sentence(post)
    for start, end, type_, region in spans:
        sentence[start:end].add_label("ner", type_, 0.5, **({"region": region} if region else {}))
    return sentence


# Characters that Flair drops or treats apart, and of several widths in UTF-8 and UTF-16.
TEXTS = st.text(st.sampled_from("ab .,@#'\u200b\ufe0f\u2028\u00a0\t\n😀é中\u0301"), max_size=30)


@given(TEXTS, st.data())
def test_offsets_cut_an_entitys_words_out_of_the_text(text, data):
    words = [token.text for token in Sentence(text)]
    spans = []
    start = 0
    while start < len(words):
        end = data.draw(st.integers(start + 1, len(words)))
        if data.draw(st.booleans()):
            spans.append((start, end, "LOC", None))
        start = end
    entities = prediction_record(tagged({"text": text}, spans), label_type="ner")["entities"]
    assert [entity["words"] for entity in entities] == [[start, end] for start, end, *_ in spans]
    for entity in entities:
        assert text[entity["start"] : entity["end"]] == entity["text"]
        # What is cut out has just these words, whatever Flair dropped between and inside them.
        kept = Sentence._handle_problem_characters(entity["text"])
        assert "".join(kept.split()) == "".join("".join(words[slice(*entity["words"])]).split())
        assert entity["text"] == entity["text"].strip()


def test_a_record_holds_what_was_given_and_what_was_found():
    record = {"id": 7, "text": "Kevin  Durant in Oslo", "language": "en"}
    sentence = tagged(record, [(0, 2, "PER", REGION), (3, 4, "LOC", None)])
    region = {"left": 0.25, "top": 0.0, "right": 0.75, "bottom": 0.5, "score": 0.5, "times_even": 2.0}
    assert prediction_record(sentence, label_type="ner") == {
        **record,
        "entities": [
            {
                "text": "Kevin  Durant",
                "start": 0,
                "end": 13,
                "type": "PER",
                "score": 0.5,
                "words": [0, 2],
                "region": region,
            },
            {"text": "Oslo", "start": 17, "end": 21, "type": "LOC", "score": 0.5, "words": [3, 4], "region": None},
        ],
    }


def test_jsonl_is_read_back(tmp_path):
    spans = [(0, 2, "PER", REGION), (3, 4, "LOC", None)]
    sentences = [
        tagged({"text": "Kevin  Durant in Oslo"}, spans),
        tagged({"tokens": ["Kevin", "Du rant", "in", "Oslo"]}, spans),
        tagged({"text": ""}, []),
    ]
    (tmp_path / "tagged.jsonl").write_bytes(jsonl_predictions(sentences, label_type="ner"))
    for sentence in list(read_jsonl_sentences(tmp_path / "tagged.jsonl"))[:2]:
        found = [(span[0].idx - 1, span[-1].idx, span.get_label("ner")) for span in sentence.get_spans("ner")]
        assert [(*place, label.value, label.metadata.get("region")) for *place, label in found] == spans
        assert {label.score for *_, label in found} == {0.5}
    lines = (tmp_path / "tagged.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[1])["entities"][0]["text"] == "Kevin Du rant"
    assert json.loads(lines[2]) == {"text": "", "entities": []}


def test_a_score_that_is_no_number_is_not_written_as_json():
    sentence = tagged({"id": 7, "tokens": ["Oslo"]}, [])
    sentence[0:1].add_label("ner", "LOC", float("nan"))
    with pytest.raises(PostFormatError, match="post 7 cannot be written as JSON"):
        jsonl_predictions([sentence], label_type="ner")
    with pytest.raises(PostFormatError, match="post 7 cannot be written as JSON"):
        write_jsonl_posts([sentence], io.BytesIO())


def test_columns_are_read_back_and_scored_alike_by_seqeval(tmp_path):
    spans = [(0, 2, "PER", None), (2, 3, "PER", None), (4, 5, "LOC", None)]
    sentences = [
        tagged({"id": "x", "tokens": ["Kevin", "Durant", "Ada", "in", "Oslo"]}, spans),
        tagged({"text": ""}, []),
    ]
    (tmp_path / "tagged.txt").write_bytes(column_predictions(sentences, label_type="ner"))
    full, empty = read_posts(tmp_path / "tagged.txt")
    assert full.image_id == "x"
    assert [(type_, start, end + 1) for type_, start, end in get_entities(list(full.tags))] == [
        (type_, start, end) for start, end, type_, _ in spans
    ]
    assert (empty.image_id, empty.tokens) == ("1", ())

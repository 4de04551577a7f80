import warnings
from pathlib import Path

import pytest
from flair.data import Sentence
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2

from flair_espvr.data import Post, read_posts
from flair_espvr.data.bio import EntitySpan
from flair_espvr.data.sentences import post_sentence
from flair_espvr.evaluation.scores import score_entities, score_sentences, score_tags

REAL_DATA = Path(__file__).parents[2].parent / "shared" / "data"

TAG = st.just("O") | st.builds("{}-{}".format, st.sampled_from("BI"), st.sampled_from(["PER", "LOC"]))
SENTENCES = st.lists(st.lists(st.tuples(TAG, TAG), min_size=1, max_size=8), min_size=1, max_size=4)

SEQEVAL = {"lenient": {}, "strict": {"mode": "strict", "scheme": IOB2}}


def seqeval_report(gold, predicted, reading):
    with warnings.catch_warnings():  # seqeval warns of types without gold or predicted entities
        warnings.simplefilter("ignore")
        return classification_report(gold, predicted, output_dict=True, zero_division=0, **SEQEVAL[reading])


@pytest.mark.parametrize("reading", ["lenient", "strict"])
@given(sentences=SENTENCES)
def test_scores_are_those_of_seqeval(reading, sentences):
    gold = [[tag for tag, _ in sentence] for sentence in sentences]
    predicted = [[tag for _, tag in sentence] for sentence in sentences]
    scores = score_tags(gold, predicted, reading=reading)
    if not scores.types:
        return  # seqeval has no report on nothing
    expected = seqeval_report(gold, predicted, reading)
    rows = {**scores.types, "micro avg": scores.micro}
    assert set(rows) == set(expected) - {"macro avg", "weighted avg"}
    for name, score in rows.items():
        assert score.gold == expected[name]["support"]
        assert (score.precision, score.recall, score.f1) == pytest.approx(
            (expected[name]["precision"], expected[name]["recall"], expected[name]["f1-score"])
        )
    assert scores.macro == pytest.approx(
        (expected["macro avg"]["precision"], expected["macro avg"]["recall"], expected["macro avg"]["f1-score"])
    )


def test_nothing_to_find_scores_zero():
    scores = score_tags([["O"]], [["O"]])
    assert (scores.micro.f1, scores.macro.f1, scores.types) == (0, 0, {})


def test_the_layers_of_a_sentence_are_scored_in_both_readings():
    sentence = post_sentence(Post("1", ("a", "b", "c"), ("I-PER", "O", "B-LOC"), 1), label_type="gold")
    sentence[2:3].add_label("predicted", "LOC")
    lenient, strict = (
        score_sentences([sentence], gold_label_type="gold", predicted_label_type="predicted", reading=reading)
        for reading in ("lenient", "strict")
    )
    assert lenient.micro == (2, 1, 1)
    assert strict.micro == (1, 1, 1)


def test_the_table_names_reading_edition_and_counts():
    gold, predicted = (
        [[EntitySpan(0, 1, "PER"), EntitySpan(2, 4, "LOC")], []],
        [[EntitySpan(0, 1, "PER")], [EntitySpan(0, 1, "PER")]],
    )
    assert score_entities(gold, predicted, reading="strict", edition="UMT").to_markdown() == (
        "2 sentences, 2 gold entities, tags read as strict IOB2, edition: UMT\n"
        "\n"
        "| type | precision | recall | F1 | gold | predicted | correct |\n"
        "|---|---:|---:|---:|---:|---:|---:|\n"
        "| LOC | 0.00 | 0.00 | 0.00 | 1 | 0 | 0 |\n"
        "| PER | 50.00 | 100.00 | 66.67 | 1 | 2 | 1 |\n"
        "| **micro** | 50.00 | 50.00 | 50.00 | 2 | 2 | 1 |\n"
        "| **macro** | 25.00 | 50.00 | 33.33 | | | |\n"
    )


@pytest.mark.parametrize(
    ("gold", "predicted"), [([["O"]], []), ([["O"]], [["O", "O"]])], ids=["sentences", "tags of a sentence"]
)
def test_lengths_that_differ_are_refused(gold, predicted):
    with pytest.raises(ValueError, match=r"argument 2 is shorter|1 gold tags but 2"):
        score_tags(gold, predicted)


def test_an_empty_sentence_counts_as_a_sentence():
    scores = score_sentences([Sentence(["a"])], gold_label_type="gold", predicted_label_type="predicted")
    assert scores.sentences == 1


@pytest.mark.parametrize(("corpus", "lenient", "strict"), [("twitter2015", 5207, 5072), ("twitter2017", 1351, 1351)])
def test_gold_entities_of_the_published_test_sets(corpus, lenient, strict):
    path = REAL_DATA / corpus / "test.txt"
    if not path.is_file():
        pytest.skip(f"the real tweets are not part of the project, and {path} is not there")
    posts = list(read_posts(path))
    tags = [list(post.tags) for post in posts]
    sentences = [post_sentence(post) for post in posts]
    for reading, entities in (("lenient", lenient), ("strict", strict)):
        by_tags = score_tags(tags, tags, reading=reading)
        by_labels = score_sentences(sentences, gold_label_type="ner", predicted_label_type="none", reading=reading)
        report = seqeval_report(tags, tags, reading)
        assert by_tags.micro == (entities, entities, entities)
        assert by_labels.micro.gold == report["micro avg"]["support"] == entities

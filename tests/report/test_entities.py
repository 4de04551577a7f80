import pytest
from flair.data import Sentence, Token
from hypothesis import given, settings
from hypothesis import strategies as st

from flair_espvr.report.entities import Outcome, read_entities, split_text, text_and_offsets

WORDS = ["Kevin", "Durant", "enters", "Oracle", "Arena", "tonight"]

labels = st.lists(
    st.tuples(st.integers(0, 5), st.integers(1, 6), st.sampled_from(["PER", "LOC", "ORG"])).map(
        lambda label: (label[0], min(6, label[0] + label[1]), label[2])
    ),
    max_size=6,
)


def tagged(**labels_by_layer: list[tuple[int, int, str]]) -> Sentence:
    sentence = Sentence(WORDS)
    for layer, spans in labels_by_layer.items():
        for start, end, value in spans:
            sentence[start:end].add_label(layer, value, 0.5)
    return sentence


@pytest.mark.parametrize(
    "text",
    ["one two", "Hi   there,you  ok?", "(Madrid)", "  leading and trailing  ", "Zoë 😀🏽 ok!", "مرحبا من القاهرة"],
)
def test_text_that_flair_tokenised_keeps_its_whitespace(text: str) -> None:
    assert text_and_offsets(Sentence(text))[0] == text.strip()


def test_words_given_apart_are_joined_by_one_space() -> None:
    assert text_and_offsets(Sentence(["Kevin", "Durant", "!"]))[0] == "Kevin Durant !"
    assert text_and_offsets(Sentence([Token("a", whitespace_after=0), Token("b")]))[0] == "ab"
    assert text_and_offsets(Sentence([])) == ("", [])


@given(st.lists(st.tuples(st.text("ab😀ש\u0301", min_size=1, max_size=4), st.integers(0, 3)), min_size=1, max_size=8))
def test_offsets_cut_the_words_out_of_the_text(words: list[tuple[str, int]]) -> None:
    sentence = Sentence([Token(word, whitespace_after=spaces) for word, spaces in words])
    text, offsets = text_and_offsets(sentence)
    assert [text[start:end] for start, end in offsets] == [token.text for token in sentence]


@settings(deadline=None)
@given(labels)
def test_pieces_are_the_text_and_know_every_entity_over_them(spans: list[tuple[int, int, str]]) -> None:
    sentence = tagged(ner=spans)
    text, _ = text_and_offsets(sentence)
    entities = read_entities(sentence, "ner")
    pieces = split_text(text, entities)
    assert "".join(piece.text for piece in pieces) == text
    over = [set() for _ in text]  # entity numbers, letter by letter
    for entity in entities:
        for position in range(entity.start, entity.end):
            over[position].add(entity.number)
    assert [{e.number for e in piece.entities} for piece in pieces for _ in piece.text] == over


@settings(deadline=None)
@given(labels, labels)
def test_outcomes_agree_with_sets_of_spans(
    predicted: list[tuple[int, int, str]], gold: list[tuple[int, int, str]]
) -> None:
    sentence = tagged(predicted=predicted, gold=gold)
    found = {
        layer: {
            (span[0].idx, span[-1].idx, label.value)
            for span in sentence.get_spans(layer)
            for label in span.get_labels(layer)
        }
        for layer in ("predicted", "gold")
    }
    entities = read_entities(sentence, "predicted", "gold")
    right = [e for e in entities if e.outcome is Outcome.RIGHT]
    missed = [e for e in entities if e.outcome is Outcome.MISSED]
    shown = [e for e in entities if e.outcome is not Outcome.MISSED]
    _, offsets = text_and_offsets(sentence)
    starts = {start: index for index, (start, _) in enumerate(offsets, start=1)}
    ends = {end: index for index, (_, end) in enumerate(offsets, start=1)}
    assert {(starts[e.start], ends[e.end], e.type) for e in right} == found["predicted"] & found["gold"]
    assert {(starts[e.start], ends[e.end], e.type) for e in shown} == found["predicted"]
    places = {(start, end) for start, end, _ in found["predicted"]}
    assert {(starts[e.start], ends[e.end], e.type) for e in missed} == {
        (start, end, value) for start, end, value in found["gold"] if (start, end) not in places
    }
    assert [e.number for e in shown] == list(range(1, len(shown) + 1))


def test_each_way_to_be_wrong_has_its_name() -> None:
    sentence = tagged(
        predicted=[(0, 2, "LOC"), (3, 4, "LOC"), (5, 6, "MISC")],
        gold=[(0, 2, "PER"), (3, 5, "LOC")],
    )
    first, second, missed, third = sorted(read_entities(sentence, "predicted", "gold"), key=lambda e: (e.start, e.end))
    assert (first.outcome, first.gold_types) == (Outcome.WRONG_TYPE, ("PER",))
    assert (second.outcome, second.gold_types) == (Outcome.WRONG_WORDS, ())
    assert (missed.outcome, missed.number, missed.score) == (Outcome.MISSED, None, None)
    assert third.outcome is Outcome.NOT_IN_GOLD


def test_without_gold_labels_nothing_is_judged() -> None:
    (entity,) = read_entities(tagged(predicted=[(0, 2, "PER")], gold=[(3, 5, "LOC")]), "predicted")
    assert (entity.text, entity.type, entity.outcome) == ("Kevin Durant", "PER", None)


def test_a_label_of_another_layer_on_the_same_words_is_not_taken_for_ours() -> None:
    sentence = tagged(sentiment=[(0, 2, "POSITIVE")], predicted=[(0, 2, "PER")])
    assert [e.type for e in read_entities(sentence, "predicted")] == ["PER"]

"""Scores of grounded entities against hand-made cases, and against a slow count of everything on random answers."""

from dataclasses import astuple, replace

import pytest
from flair.data import Sentence
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_curve

from flair_espvr.data.region import Region
from flair_espvr.evaluation.grounding import (
    GoldEntity,
    GroundedEntity,
    is_right,
    score_grounded_sentences,
    score_grounding,
)

LEFT, RIGHT = Region(0.0, 0.0, 0.5, 1.0), Region(0.5, 0.0, 1.0, 1.0)

EDGES = st.lists(st.integers(0, 8), min_size=2, max_size=2, unique=True).map(sorted)
BOXES = st.builds(lambda across, down: Region(across[0] / 8, down[0] / 8, across[1] / 8, down[1] / 8), EDGES, EDGES)
WORDS = st.sampled_from([(0, 1), (1, 3), (3, 4)])
TYPES = st.sampled_from(["PER", "LOC"])
GOLD = st.lists(
    st.builds(
        lambda words, name, boxes: GoldEntity(*words, name, tuple(boxes)), WORDS, TYPES, st.lists(BOXES, max_size=3)
    ),
    max_size=3,
    unique_by=lambda entity: entity.start,
)
ANSWERS = st.lists(
    st.builds(
        lambda words, name, box, share: GroundedEntity(*words, name, box, share),
        WORDS,
        TYPES,
        st.none() | BOXES,
        st.integers(0, 20).map(lambda number: number / 20),
    ),
    max_size=3,
    unique_by=lambda entity: entity.start,
)


@pytest.mark.parametrize(
    ("gold", "answer", "right"),
    [
        ((), None, True),
        ((), LEFT, False),
        ((LEFT,), None, False),
        ((LEFT,), LEFT, True),
        ((LEFT,), RIGHT, False),
        ((LEFT, RIGHT), RIGHT, True),
        ((LEFT,), Region(0.0, 0.0, 1.0, 1.0), False),  # an IoU of exactly .5
        ((LEFT,), Region(0.0, 0.0, 0.99, 1.0), True),
    ],
)
def test_a_region_is_right_above_half_with_any_gold_box_or_where_neither_has_one(gold, answer, right):
    assert is_right(gold, answer) == right


def test_a_post_by_hand():
    gold = [
        GoldEntity(0, 1, "PER", (LEFT, RIGHT)),
        GoldEntity(2, 4, "LOC", ()),
        GoldEntity(5, 6, "ORG", (LEFT,)),
        GoldEntity(7, 8, "PER", (LEFT,)),
    ]
    answers = [
        GroundedEntity(0, 1, "PER", RIGHT, 0.9),  # all right
        GroundedEntity(2, 4, "PER", None, 0.2),  # another type, rightly without a place
        GroundedEntity(5, 6, "ORG", Region(0.1, 0.1, 0.2, 0.2), 0.4),  # inside, and too small
        GroundedEntity(9, 10, "LOC", None, 0.1),  # no entity
    ]
    scores = score_grounding([gold, []], [answers, []])
    assert scores.mner == (4, 4, 2)
    assert scores.eeg == (4, 4, 2)
    assert scores.gmner == (4, 4, 1)
    assert scores.types == {"LOC": (1, 1, 0), "ORG": (1, 1, 0), "PER": (2, 2, 1)}
    assert scores.places == (2, 1.0, 0.5, pytest.approx((1 + 0.02) / 2))
    assert scores.presence == ((2, 2, 2), 1.0)
    assert scores.posts == 2
    assert "| GMNER | 25.00 | 25.00 | 25.00 | 4 | 4 | 1 |" in scores.to_markdown()


def slow_iou(one, other):
    """By counting the cells of an 8 x 8 grid."""
    cells = [
        {(x, y) for x in range(8) for y in range(8) if box.left <= x / 8 < box.right and box.top <= y / 8 < box.bottom}
        for box in (one, other)
    ]
    return len(cells[0] & cells[1]) / len(cells[0] | cells[1])


@given(posts=st.lists(st.tuples(GOLD, ANSWERS), max_size=4))
def test_scores_are_those_of_a_slow_count(posts):
    scores = score_grounding(*([post[side] for post in posts] for side in (0, 1)))
    spans, right = {"mner": 0, "eeg": 0, "gmner": 0}, []
    overlaps, pointed, shown, said, both, likely = [], 0, 0, 0, 0, []
    for gold, answers in posts:
        for entity in gold:
            for answer in answers:
                if (entity.start, entity.end) != (answer.start, answer.end):
                    continue
                best = max((slow_iou(box, answer.region) for box in entity.regions if answer.region), default=0.0)
                place = best > 0.5 if entity.regions else answer.region is None
                spans["mner"] += entity.type == answer.type
                spans["eeg"] += place
                spans["gmner"] += place and entity.type == answer.type
                right += [answer.type] if place and entity.type == answer.type else []
                shown += bool(entity.regions)
                said += answer.region is not None
                both += bool(entity.regions) and answer.region is not None
                likely.append((bool(entity.regions), answer.grounded))
                if entity.regions:
                    overlaps.append(best)
                    x, y = answer.region.middle if answer.region else (-1, -1)
                    pointed += any(b.left <= x <= b.right and b.top <= y <= b.bottom for b in entity.regions)
    totals = sum(len(gold) for gold, _ in posts), sum(len(answers) for _, answers in posts)
    for name, correct in spans.items():
        assert getattr(scores, name) == (*totals, correct)
    assert {name: score.correct for name, score in scores.types.items() if score.correct} == {
        name: right.count(name) for name in right
    }
    assert scores.presence.score == (shown, said, both)
    expected = (sum(overlaps), sum(overlap > 0.5 for overlap in overlaps), pointed)
    count = len(overlaps)
    assert scores.places.entities == count
    assert [share * count for share in scores.places[1:]] == pytest.approx([pointed, expected[1], expected[0]])
    if 0 < sum(is_shown for is_shown, _ in likely) < len(likely):
        precision, recall, _ = precision_recall_curve(*zip(*likely, strict=True))
        area = sum(p * (before - after) for p, before, after in zip(precision, recall, recall[1:], strict=False))
        assert scores.presence.average_precision == pytest.approx(area)
    else:
        assert scores.presence.average_precision is None


@given(one=BOXES, other=BOXES)
def test_iou_is_that_of_counted_cells(one, other):
    assert one.iou(other) == pytest.approx(slow_iou(one, other))
    assert one.iou(other) == other.iou(one)


def post(regions, marks=()):
    sentence = Sentence(["kevin", "sings", "here"])
    known = {} if regions is None else {"regions": regions}
    sentence[0:1].add_label("ner", "PER", **known, **dict.fromkeys(marks, True))
    return sentence


def test_posts_count_where_all_regions_are_known():
    tagged = post(None)
    tagged.remove_labels("ner")
    tagged[0:1].add_label("found", "PER", 0.9, region=LEFT, grounded=0.8)
    layers = {"gold_label_type": "ner", "label_type": "found"}
    assert score_grounded_sentences([post(None)], [tagged], **layers) is None
    scores = score_grounded_sentences(
        [post((LEFT,)), post(None), Sentence("nobody")], [tagged, tagged, Sentence("nobody")], **layers
    )
    assert (scores.posts, scores.gmner) == (2, (1, 1, 1))
    invalid = post((LEFT,), marks=["invalid_tag"])
    strict = score_grounded_sentences([invalid, post(())], [tagged, tagged], **layers, reading="strict")
    assert (strict.gmner, strict.reading) == ((1, 2, 0), "strict")


def test_regions_have_a_middle_and_an_inside():
    assert RIGHT.middle == (0.75, 0.5)
    assert RIGHT.holds(0.5, 1.0)
    assert not RIGHT.holds(0.49, 0.5)
    assert astuple(RIGHT) == (0.5, 0.0, 1.0, 1.0, 1.0, 0)
    assert RIGHT.iou(replace(RIGHT, image=1)) == 0

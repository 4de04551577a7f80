from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthetic.drawing import DRAWINGS, Box, draw_scene, draw_subjects
from synthetic.drawing.backgrounds import background
from synthetic.drawing.canvas import Canvas

TYPES = st.sampled_from(sorted(DRAWINGS))
SEEDS = st.integers(0, 2**32)


@pytest.mark.parametrize(
    "drawing", [drawing for kind in DRAWINGS.values() for drawing in kind], ids=lambda d: d.__name__
)
def test_every_drawing_fills_its_canvas_and_varies_with_the_seed(drawing):
    images = []
    for seed in (1, 2):
        canvas = Canvas(48)
        drawing(canvas, np.random.default_rng(seed))
        images.append(canvas.image())
    alpha = np.asarray(images[0])[..., 3]
    assert max(images[0].size) == 48
    assert (alpha > 128).mean() > 0.15
    assert all(edge.max() > 0 for edge in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1])), "cut to its outline"
    assert images[0].tobytes() != images[1].tobytes()


@settings(max_examples=20, deadline=None)
@given(entity_type=TYPES, seed=SEEDS)
def test_the_subject_is_in_its_box_and_nowhere_else(entity_type, seed):
    side, grain = 64, 20
    scene = draw_scene(entity_type, np.random.default_rng(seed), side=side, size=(0.3, 0.5), clutter=(3, 3))
    rng = np.random.default_rng(seed)
    bare = background(rng, side, clutter=int(rng.integers(3, 4)))
    changed = np.abs(np.asarray(scene.picture, int) - np.asarray(bare, int)).max(axis=2) > grain
    box = scene.box
    rows = slice(round(box.top * side), round(box.bottom * side))
    columns = slice(round(box.left * side), round(box.right * side))
    assert changed[rows, columns].mean() > 0.1
    changed[rows, columns] = False
    assert not changed.any()


@settings(max_examples=20, deadline=None)
@given(entity_type=TYPES, seed=SEEDS)
def test_the_box_has_the_size_asked_for_and_lies_in_the_picture(entity_type, seed):
    box = draw_scene(entity_type, np.random.default_rng(seed), side=64, size=(0.25, 0.5), clutter=(0, 1)).box
    assert 0 <= box.left < box.right <= 1
    assert 0 <= box.top < box.bottom <= 1
    assert 0.25 <= max(box.right - box.left, box.bottom - box.top) <= 0.5
    assert box.holds(*box.middle)
    assert not box.holds(box.right + 0.01, box.top)


def test_boxes_touch_where_they_overlap():
    box = Box(0.25, 0.25, 0.5, 0.5)
    assert box.touches(Box(0.4, 0.4, 0.9, 0.9))
    assert box.touches(Box(0.0, 0.0, 1.0, 1.0))
    assert not box.touches(Box(0.5, 0.25, 0.75, 0.5)), "they share an edge only"
    assert not box.touches(Box(0.3, 0.6, 0.4, 0.7))


@settings(max_examples=15, deadline=None)
@given(entity_types=st.lists(TYPES, max_size=4), seed=SEEDS)
def test_several_subjects_do_not_overlap_and_have_the_sizes_asked_for(entity_types, seed):
    side, area = 96, (0.02, 0.3)
    picture, boxes = draw_subjects(entity_types, np.random.default_rng(seed), side=side, area=area, clutter=(0, 1))
    assert picture.size == (side, side)
    assert len(boxes) == len(entity_types)
    assert not any(one.touches(other) for one, other in combinations(boxes, 2))
    for box in boxes:
        assert 0 <= box.left < box.right <= 1
        assert 0 <= box.top < box.bottom <= 1
        assert 0.9 * area[0] <= (box.right - box.left) * (box.bottom - box.top) <= 1.05 * area[1]


def test_four_subjects_that_cannot_all_be_large_get_smaller():
    _, boxes = draw_subjects(["PER"] * 4, np.random.default_rng(1), side=64, area=(0.6, 0.6), clutter=(0, 1))
    assert not any(one.touches(other) for one, other in combinations(boxes, 2))


def test_one_seed_is_one_picture():
    first, second = (draw_scene("ORG", np.random.default_rng(5), side=64) for _ in range(2))
    assert first.picture.tobytes() == second.picture.tobytes()
    assert (first.box, first.subject) == (second.box, second.subject)

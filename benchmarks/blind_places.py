"""Places of entities, said without looking, which grounding has to beat, and what a grid of regions can give."""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import product

import numpy as np
import torch

from flair_espvr.data.region import Region
from flair_espvr.evaluation.grounding import (
    THRESHOLD,
    GoldEntity,
    GroundedEntity,
    GroundingScores,
    score_grounding,
)
from flair_espvr.nn.layers.rectangles import best_rectangles, covered_shares, edges_within_cells

WHOLE = Region(0.0, 0.0, 1.0, 1.0)
CENTRE = Region(0.25, 0.25, 0.75, 0.75)

_STEPS = 20
"""A constant box has its edges at multiples of one in so many."""


def blind_scores(
    train: Iterable[Sequence[GoldEntity]], test: Sequence[Sequence[GoldEntity]]
) -> dict[str, GroundingScores]:
    """Return the scores of answers that look at no picture, by name; spans and types are the gold ones."""
    constant = best_constant_box(entity for post in train for entity in post)
    answers = {"always none": None, "whole picture": WHOLE, "picture's centre": CENTRE, "best constant box": constant}
    return {name: answer_scores(test, partial(_always, place)) for name, place in answers.items()}


def ceiling_scores(test: Sequence[Sequence[GoldEntity]], sides: Iterable[int]) -> dict[str, GroundingScores]:
    """Return the scores of answers that know everything on square grids: best rectangle, perfect map."""
    answers = {"best rectangle": best_rectangle, "perfect map": perfect_map_rectangle}
    return {
        f"{name} of {side} x {side}": answer_scores(test, partial(answer, side=side))
        for side in sides
        for name, answer in answers.items()
    }


def answer_scores(
    posts: Sequence[Sequence[GoldEntity]], answer: Callable[[GoldEntity], Region | None]
) -> GroundingScores:
    """Return the scores of an answer to each gold entity."""
    answers = [[GroundedEntity(*entity[:3], answer(entity)) for entity in post] for post in posts]
    return score_grounding(posts, answers)


def best_constant_box(entities: Iterable[GoldEntity]) -> Region:
    """Return the box that is right for the most of these entities, of those that are shown."""
    edges = np.linspace(0.0, 1.0, _STEPS + 1)
    low, high = np.triu_indices(_STEPS + 1, k=1)
    sides = np.stack([edges[low], edges[high]], axis=1)
    rows, columns = (axis.ravel() for axis in np.meshgrid(range(len(sides)), range(len(sides)), indexing="ij"))
    boxes = np.stack([sides[columns, 0], sides[rows, 0], sides[columns, 1], sides[rows, 1]], axis=1)  # (N, 4)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    right = np.zeros(len(boxes), dtype=int)
    for entity in entities:
        hit = np.zeros(len(boxes), dtype=bool)
        for region in entity.regions:
            width = np.minimum(boxes[:, 2], region.right) - np.maximum(boxes[:, 0], region.left)
            height = np.minimum(boxes[:, 3], region.bottom) - np.maximum(boxes[:, 1], region.top)
            both = width.clip(0) * height.clip(0)
            own = (region.right - region.left) * (region.bottom - region.top)
            hit |= both > THRESHOLD * (areas + own - both)
        right += hit
    return Region(*boxes[right.argmax()].tolist())


def best_rectangle(entity: GoldEntity, side: int) -> Region | None:
    """Return the rectangle of whole cells of a `side` x `side` grid that fits one of the entity's boxes best."""
    rectangles = [
        rectangle
        for region in entity.regions
        for rectangle in product(
            *(_cell_edges(edge, side) for edge in (region.left, region.top, region.right, region.bottom))
        )
        if rectangle[0] < rectangle[2] and rectangle[1] < rectangle[3]
    ]
    regions = [Region(left, top, right, bottom) for left, top, right, bottom in rectangles]
    return max(regions, key=lambda place: max(map(place.iou, entity.regions)), default=None)


def perfect_map_rectangle(entity: GoldEntity, side: int) -> Region | None:
    """Return what a head answers that knows how much of each cell the entity's boxes cover."""
    if not entity.regions:
        return None
    boxes = torch.tensor([[[place.left, place.top, place.right, place.bottom] for place in entity.regions]])
    shares = covered_shares(boxes, torch.ones(boxes.shape[:2], dtype=torch.bool), (side, side)).view(1, side, side)
    (edges,) = edges_within_cells(shares, best_rectangles(shares - 0.5)).clamp(0.0, side).tolist()
    return Region(*(edge / side for edge in edges))


def _always(place: Region | None, _: GoldEntity) -> Region | None:
    return place


def _cell_edges(edge: float, side: int) -> tuple[float, float]:
    """Return the edges of cells on both sides: no other gives a larger IoU."""
    return math.floor(edge * side) / side, math.ceil(edge * side) / side

"""From what speaks for each region to an answer: one rectangle, or none."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from flair_espvr.nn.grounding.calibration import GroundingCalibration
from flair_espvr.nn.layers.positioning import first_maximum
from flair_espvr.nn.layers.rectangles import best_rectangles, edges_within_cells, rectangle_mask

_EPSILON = 1e-6
"""How close to 0 or 1 a probability comes that is to have a logit."""

THRESHOLD = -0.75
"""Logit from which on a region counts for the rectangle; where the best IoU to be had is J, those regions should that
are more probable than J / (1 + J); here J is about a half."""

BASE_RATES = 1.5
"""How many times what all regions get alike a region has to get of an attention to count for the rectangle."""


@dataclass(frozen=True)
class Evidence:
    """What is known of where entities are, before it is read; leading dimensions are (B, M), or any.

    Attributes:
        logits: (..., R) of each region being part of what the entity names; where `presence` is None, of an attention
            that is a softmax over them, and can only say where rather than elsewhere. Of several images (..., K, R).
        presence: (...) logit of the image showing the entity, of several images (..., K); None where nothing has been
            learned of that.
        grid: (H, W).
        several: (..., K) bool, which of several images there are; None where logits are of one image.
    """

    logits: Tensor
    presence: Tensor | None
    grid: tuple[int, int]
    several: Tensor | None = None


@dataclass(frozen=True)
class Grounding:
    """Where M entities of B posts are; what is said of a post without an image means nothing.

    Attributes:
        places: (B, M, 4) left, top, right and bottom of the best rectangle as fractions of the image.
        image: (B, M) long, which of a post's images that is on, from 0.
        score: (B, M) how probable it is that this place is right.
        grounded: (B, M) how probable it is that the image shows the entity; NaN where nothing is known of that.
        shown: (B, M) bool, whether the place is answered.
        relevance: (B, M, H, W) how probable it is that a region is part of what the entity names; where the head has
            learned nothing, the network's attention, which sums to 1. Of several images (B, M, K, H, W), each by
            itself, and NaN where one is not there.
        score_logit: (B, M) the score before it is calibrated.
        grounded_logit: (B, M) `grounded` before it is calibrated, or, where nothing is known, the best guess.
    """

    places: Tensor
    image: Tensor
    score: Tensor
    grounded: Tensor
    shown: Tensor
    relevance: Tensor
    score_logit: Tensor
    grounded_logit: Tensor


@torch.no_grad()
def read_evidence(evidence: Evidence, calibration: GroundingCalibration) -> Grounding:
    """Find the best rectangle, how probable it is that it is right, and whether to answer it.

    With z that has been learned the rectangle is the one with the largest sum of z - t, t being `THRESHOLD` plus the
    offset, its edges are where sigmoid(z), the share of a region that is expected to be covered, puts them within
    regions, and its score is what to expect of its IoU times the probability of presence. With an attention p it is
    that with the largest sum of p - c / R, c being `BASE_RATES` times the exponential of the offset, and its score is
    the share inside.

    Each of several images is read so by itself. The best is answered: that with the highest score or, of an attention,
    the one whose rectangle holds most of a softmax over the regions of all. The post shows what one of them shows.
    """
    grid, presence = evidence.grid, evidence.presence
    if presence is not None:
        relevance = evidence.logits.sigmoid()
        rectangles, inside = _best_rectangles(evidence.logits - THRESHOLD - calibration.offset, grid)
        edges = edges_within_cells(relevance.reshape(-1, *grid), rectangles)
        within = (relevance * inside).sum(dim=-1)
        overlap = within / (inside.sum(dim=-1) + relevance.sum(dim=-1) - within)  # what to expect of the IoU
        score_logit = (overlap * presence.sigmoid()).logit(eps=_EPSILON)
    else:
        relevance = evidence.logits.softmax(dim=-1)
        base_rate = BASE_RATES * math.exp(calibration.offset) / relevance.shape[-1]
        edges, inside = _best_rectangles(relevance - base_rate, grid)
        score_logit = (relevance * inside).sum(dim=-1).logit(eps=_EPSILON)
    rows, columns = grid
    places = (edges / edges.new_tensor([columns, rows, columns, rows])).view(*evidence.logits.shape[:-1], 4)
    image = torch.zeros_like(score_logit, dtype=torch.long)
    if evidence.several is not None:
        absent = ~evidence.several
        rank = score_logit if presence is not None else score_logit.sigmoid().log() + evidence.logits.logsumexp(dim=-1)
        image = first_maximum(rank.masked_fill(absent, -torch.inf))  # (...)
        presence = None if presence is None else presence.masked_fill(absent, -torch.inf).amax(dim=-1)
        places = torch.take_along_dim(places, image[..., None, None], dim=-2).squeeze(-2)
        score_logit = torch.take_along_dim(score_logit, image.unsqueeze(-1), dim=-1).squeeze(-1)
        relevance = relevance.masked_fill(absent.unsqueeze(-1), torch.nan)
    grounded_logit = score_logit if presence is None else presence
    grounded = calibration.grounded(grounded_logit)
    shown = grounded >= calibration.threshold
    if presence is None and not calibration.tells_presence:
        grounded, shown = torch.full_like(grounded, torch.nan), torch.ones_like(shown)
    return Grounding(
        places=places,
        image=image,
        score=calibration.region(score_logit),
        grounded=grounded,
        shown=shown,
        relevance=relevance.unflatten(-1, grid),
        score_logit=score_logit,
        grounded_logit=grounded_logit,
    )


def _best_rectangles(values: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return the rectangles of largest sums of values (..., R): edges in regions (N, 4), cells inside (..., R)."""
    rectangles = best_rectangles(values.reshape(-1, *grid))
    return rectangles, rectangle_mask(rectangles, grid).view_as(values)

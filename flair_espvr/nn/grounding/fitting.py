"""How evidence is best read, by development posts whose images are known to show what."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor

from flair_espvr.nn.grounding.calibration import GroundingCalibration, fit_platt
from flair_espvr.nn.grounding.reading import Evidence, read_evidence

OFFSETS = tuple(step / 4 for step in range(-12, 13))
"""Offsets that are tried."""

RIGHT = 0.5
"""What the IoU of a right region is above."""


@dataclass(frozen=True)
class KnownPlaces:
    """Evidence of N entities, and where the images show them.

    Attributes:
        evidence: Its leading dimension is N.
        boxes: (N, K, 4) left, top, right and bottom as fractions of the image.
        mask: (N, K) bool, boxes that exist; none of an entity that the image does not show.
        images: (N, K) long, which of several images a box is on; None where all are on the first.
    """

    evidence: Evidence
    boxes: Tensor
    mask: Tensor
    images: Tensor | None = None


def fit_calibration(parts: Sequence[KnownPlaces]) -> GroundingCalibration:
    """Return the calibration that makes most answers right, and its probabilities come true.

    First the offset at which the rectangles of shown entities are right most often, then the scale of presence, then
    the threshold at which most answers are right, none and rectangles alike, then the scale of the regions' scores.

    Args:
        parts: The posts, in parts; their images have one grid.

    Returns:
        What was fitted; the default of what the posts cannot tell, as of presence where they show all entities.
    """
    shown = torch.cat([part.mask.any(dim=1) for part in parts]).cpu().numpy()
    overlaps = {offset: _overlaps(parts, GroundingCalibration(offset)) for offset in OFFSETS}
    gains = {o: ((found[shown] > RIGHT).sum(), found[shown].sum(), -abs(o)) for o, found in overlaps.items()}
    fitted = GroundingCalibration(max(gains, key=gains.__getitem__))
    readings = [read_evidence(part.evidence, fitted) for part in parts]
    presence, support = (
        torch.cat([getattr(reading, field) for reading in readings]).double().cpu().numpy()
        for field in ("grounded_logit", "score_logit")
    )
    right = overlaps[fitted.offset] > RIGHT
    if shown.any() and not shown.all():
        grounded = fit_platt(presence, shown)
        probable = expit(grounded.scale * presence + grounded.bias)
        threshold = best_threshold(probable, gain=right, loss=~shown)
        fitted = replace(fitted, threshold=threshold, grounded=grounded, tells_presence=True)
        support, right = support[probable >= threshold], right[probable >= threshold]
    return replace(fitted, region=fit_platt(support, right))


def best_threshold(values: np.ndarray, *, gain: np.ndarray, loss: np.ndarray) -> float:
    """Return the threshold in 0..1 at which as many as possible of `gain` from it on and of `loss` below it are true.

    Args:
        values: (N,) in 0..1.
        gain: (N,) bool, what is won by saying yes.
        loss: (N,) bool, what is lost by it.

    Returns:
        Of equally good ones that nearest to 0.5.
    """
    order = values.argsort()
    sorted_values = values[order]
    below = np.concatenate([[0], loss[order].cumsum()])
    above = np.concatenate([gain[order][::-1].cumsum()[::-1], [0]])
    cuts = np.concatenate([[0.0], (sorted_values[1:] + sorted_values[:-1]) / 2, [1.0]])
    possible = np.concatenate([[True], sorted_values[1:] > sorted_values[:-1], [True]])
    best = (total := np.where(possible, below + above, -1)) == total.max()
    return float(min(cuts[best], key=lambda cut: abs(cut - 0.5)))


def _overlaps(parts: Sequence[KnownPlaces], calibration: GroundingCalibration) -> np.ndarray:
    """IoU of each rectangle with the box that fits it best, (N,); 0 where there is none."""
    found = []
    for part in parts:
        reading = read_evidence(part.evidence, calibration)
        places = reading.places.unsqueeze(1)  # (N, 1, 4)
        images = torch.zeros_like(part.mask, dtype=torch.long) if part.images is None else part.images
        start, end = (
            torch.maximum(places[..., :2], part.boxes[..., :2]),
            torch.minimum(places[..., 2:], part.boxes[..., 2:]),
        )
        both = (end - start).clamp(min=0).prod(dim=2)  # (N, K)
        areas = [(boxes[..., 2:] - boxes[..., :2]).prod(dim=2) for boxes in (places, part.boxes)]
        there = part.mask & (images == reading.image.unsqueeze(1))
        overlap = (both / (areas[0] + areas[1] - both)).masked_fill(~there, 0.0)
        found.append(torch.nn.functional.pad(overlap, (1, 0)).amax(dim=1))
    return torch.cat(found).cpu().numpy()

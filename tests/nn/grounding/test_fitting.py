"""What is fitted against trying, and probabilities against how often things come true."""

from dataclasses import astuple

import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from flair_espvr.data.region import Region
from flair_espvr.nn.grounding.calibration import GroundingCalibration, Platt, fit_platt
from flair_espvr.nn.grounding.fitting import OFFSETS, KnownPlaces, best_threshold, fit_calibration
from flair_espvr.nn.grounding.reading import Evidence, read_evidence
from flair_espvr.nn.layers.rectangles import rectangle_mask

GRID = (6, 7)


def test_probabilities_come_true() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, 5000)
    fitted = fit_platt(logits, rng.random(5000) < expit(0.4 * logits - 1))
    assert (fitted.scale, fitted.bias) == (pytest.approx(0.4, abs=0.03), pytest.approx(-1, abs=0.1))
    outside = LogisticRegression(C=1e9).fit(logits[:, None], rng.random(5000) < expit(2 * logits + 0.5))
    again = fit_platt(logits, outside.predict(logits[:, None]))
    assert again.scale > 2  # perfectly sorted, and yet no infinity
    assert np.isfinite([again.scale, again.bias]).all()


@pytest.mark.parametrize("right", [True, False])
def test_what_is_all_alike_tells_nothing(right: bool) -> None:
    assert fit_platt(np.array([1.0, -2.0]), np.array([right, right])) == Platt()


def test_no_threshold_is_better() -> None:
    rng = np.random.default_rng(1)
    for count in (1, 2, 5, 30):
        values, gain = rng.integers(0, 8, count) / 8, rng.random(count) < 0.6
        loss = ~gain & (rng.random(count) < 0.7)

        def won(cut: float, values: np.ndarray = values, gain: np.ndarray = gain, loss: np.ndarray = loss) -> int:
            return int((gain & (values >= cut)).sum() + (loss & (values < cut)).sum())

        best = best_threshold(values, gain=gain, loss=loss)
        assert won(best) == max(won(cut) for cut in np.linspace(0, 1, 101))


def known(count: int, *, shift: float, shown: float, learned: bool = True) -> KnownPlaces:
    """Maps that are right but for noise, and whose logits are all too high by `shift`."""
    rows, columns = GRID
    first = torch.stack([torch.randint(0, columns - 2, (count,)), torch.randint(0, rows - 2, (count,))], dim=1)
    cells = torch.cat([first, first + torch.randint(2, 4, (count, 2))], dim=1)
    cells[:, 2].clamp_(max=columns)
    cells[:, 3].clamp_(max=rows)
    logits = 4.0 * rectangle_mask(cells, GRID).flatten(1) - 2.0 + 1.5 * torch.randn(count, rows * columns) + shift
    there = torch.rand(count) < shown
    presence = 3.0 * there - 3.0 + torch.randn(count) if learned else None
    boxes = (cells / torch.tensor([columns, rows, columns, rows])).unsqueeze(1)
    return KnownPlaces(Evidence(logits, presence, GRID), boxes, there.unsqueeze(1))


def right_answers(part: KnownPlaces, calibration: GroundingCalibration) -> list[tuple[float, bool]]:
    """Of each entity that is answered its score, and whether it is right; a loop over regions."""
    read = read_evidence(part.evidence, calibration)
    gold = zip(part.boxes[:, 0].tolist(), part.mask[:, 0].tolist(), strict=True)
    answers = zip(read.places.tolist(), read.score.tolist(), read.shown.tolist(), strict=True)
    return [
        (score, there and Region(*place).iou(Region(*box)) > 0.5)
        for (place, score, shown), (box, there) in zip(answers, gold, strict=True)
        if shown
    ]


def test_the_offset_is_the_best_that_is_tried() -> None:
    part = known(300, shift=1.5, shown=1.0)
    fitted = fit_calibration([part])
    hits = {o: sum(right for _, right in right_answers(part, GroundingCalibration(o, 0.0))) for o in OFFSETS}
    assert hits[fitted.offset] == max(hits.values()) > hits[0.0]
    assert (fitted.threshold, fitted.grounded, fitted.tells_presence) == (0.5, Platt(), False)


@pytest.mark.parametrize("learned", [True, False])
def test_scores_are_how_often_a_region_is_right(learned: bool) -> None:
    fit, test = known(2000, shift=1.0, shown=0.6, learned=learned), known(2000, shift=1.0, shown=0.6, learned=learned)
    fitted = fit_calibration([fit])
    assert fitted.tells_presence
    found = right_answers(test, fitted)
    scores, right = np.array(found, dtype=float).T
    assert scores.mean() == pytest.approx(right.mean(), abs=0.05)
    before = np.array(right_answers(test, GroundingCalibration(fitted.offset)), dtype=float)
    assert ((scores - right) ** 2).mean() < ((before[:, 0] - before[:, 1]) ** 2).mean()
    grounded = read_evidence(test.evidence, fitted).grounded
    assert float(grounded.mean()) == pytest.approx(float(test.mask.float().mean()), abs=0.05)


def test_parts_are_one_whole() -> None:
    whole = known(60, shift=0.5, shown=0.7)
    parts = []
    for chosen in (slice(0, 25), slice(25, 60)):
        evidence = Evidence(whole.evidence.logits[chosen], whole.evidence.presence[chosen], GRID)  # type: ignore[index]
        boxes = torch.nn.functional.pad(whole.boxes[chosen], (0, 0, 0, len(parts)))
        parts.append(KnownPlaces(evidence, boxes, torch.nn.functional.pad(whole.mask[chosen], (0, len(parts)))))
    found, expected = (np.hstack(astuple(fit_calibration(given))) for given in (parts, [whole]))
    np.testing.assert_allclose(found, expected, rtol=1e-6)  # sums in another order

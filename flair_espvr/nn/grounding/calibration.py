"""The numbers that development posts fit to turn a head's logits into an answer and probabilities."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import expit, log_expit
from torch import Tensor
from typing_extensions import Self

_BOUND = 100.0


@dataclass(frozen=True)
class Platt:
    """Logits as probabilities, sigmoid(scale * logit + bias) (Platt, 1999).

    Attributes:
        scale: Above 0, so that the order stays.
        bias: Any number.
    """

    scale: float = 1.0
    bias: float = 0.0

    def __call__(self, logits: Tensor) -> Tensor:
        """Logits of any shape as probabilities."""
        return torch.sigmoid(self.scale * logits + self.bias)


@dataclass(frozen=True)
class GroundingCalibration:
    """How a grounding head's logits are read; the defaults read them as they are.

    Attributes:
        offset: What the threshold is raised by that regions have to pass to count for a rectangle; of a map that is a
            softmax, the logarithm of what its base rate is multiplied with.
        threshold: How probable it has to be that the image shows an entity for a region to be answered.
        grounded: For the probability that the image shows it.
        region: For the probability that an answered region is right.
        tells_presence: Whether it was fitted to entities that are shown and others that are not: then an attention too
            may be asked whether the image shows one.
    """

    offset: float = 0.0
    threshold: float = 0.5
    grounded: Platt = Platt()
    region: Platt = Platt()
    tells_presence: bool = False

    def __post_init__(self) -> None:
        """Check the bounds.

        Raises:
            ValueError: A number is out of them.
        """
        numbers = [self.offset, *astuple(self.grounded), *astuple(self.region)]
        scales = (self.grounded.scale, self.region.scale)
        if not (all(abs(n) <= _BOUND for n in numbers) and min(scales) > 0 and 0 <= self.threshold <= 1):
            raise ValueError(f"{self}: numbers should be from -100 to 100, scales above 0, the threshold from 0 to 1")

    def numbers(self) -> list[float]:
        """All fields, for a file."""
        return [self.offset, self.threshold, *astuple(self.grounded), *astuple(self.region), float(self.tells_presence)]

    @classmethod
    def of_numbers(cls, numbers: Sequence[float]) -> Self:
        """Return the calibration that `numbers` gave.

        Raises:
            ValueError: They are not those of one.
        """
        offset, threshold, *platt, tells_presence = numbers
        return cls(offset, threshold, Platt(*platt[:2]), Platt(*platt[2:]), bool(tells_presence))


def fit_platt(logits: np.ndarray, right: np.ndarray) -> Platt:
    """Return the scale and bias at which what came true is most probable.

    Those that change nothing where all is one or other.

    As Platt proposes, targets are a little less than certain, so that few or perfectly sorted posts do not make all
    probabilities 0 or 1.
    """
    yes, no = int(right.sum()), int((~right).sum())
    if not yes or not no:
        return Platt()
    target = np.where(right, (yes + 1) / (yes + 2), 1 / (no + 2))

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        scale, bias = parameters
        z = scale * logits + bias
        error = expit(z) - target
        return -float((target * log_expit(z) + (1 - target) * log_expit(-z)).sum()), np.array(
            [error @ logits, error.sum()]
        )

    bounds = [(0.01, _BOUND), (-_BOUND, _BOUND)]
    scale, bias = minimize(loss, np.array([1.0, 0.0]), jac=True, bounds=bounds, method="L-BFGS-B").x
    return Platt(float(scale), float(bias))

"""The terms of a model's loss in the log, epoch by epoch: their sum alone does not tell which of them learns."""

import logging
from collections import defaultdict
from typing import Any

from flair.trainers.plugins import TrainerPlugin
from torch import Tensor

from flair_espvr.models.capabilities import NamesLosses

log = logging.getLogger("flair.espvr.training")


class LossTerms(TrainerPlugin):
    """Logs the mean of each term over an epoch's batches, for models that name theirs."""

    def __init__(self) -> None:
        """As with any Flair plugin, an instance serves one run."""
        super().__init__()
        self._sums: defaultdict[str, list[Tensor]] = defaultdict(list)

    @TrainerPlugin.hook  # type: ignore[untyped-decorator]
    def after_training_batch(self, **_: Any) -> None:
        """Take note of a batch."""
        if isinstance(self.model, NamesLosses):
            for name, term in self.model.last_losses.items():
                self._sums[name].append(term)

    @TrainerPlugin.hook  # type: ignore[untyped-decorator]
    def after_training_epoch(self, epoch: int, **_: Any) -> None:
        """Log the means, and forget them."""
        if self._sums:
            means = {name: float(sum(terms)) / len(terms) for name, terms in self._sums.items()}
            log.info(
                "Loss terms of epoch %d: %s", epoch, ", ".join(f"{name} {mean:.4f}" for name, mean in means.items())
            )
        self._sums.clear()

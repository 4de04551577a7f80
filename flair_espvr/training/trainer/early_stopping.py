"""Training that ends where further epochs bring nothing."""

from typing import Any

from flair.trainers.plugins import TrainerPlugin, TrainingInterrupt

from flair_espvr.errors import ConfigurationError


class EarlyStopping(TrainerPlugin):
    """Ends Flair's training after some epochs without a better dev score, or without a lower loss where there is none.

    The best epoch's model is tested, as after a training that was not stopped. A resumed training has counted on.
    """

    def __init__(self, patience: int) -> None:
        """As with any Flair plugin, an instance serves one run.

        Args:
            patience: epochs without a better one, after which training ends.

        Raises:
            ConfigurationError: `patience` is below 1.
        """
        super().__init__()
        if patience < 1:
            raise ConfigurationError(f"patience={patience}: should be 1 or more")
        self.patience = patience
        self.scheduler = _Count()
        """What the trainer keeps of every plugin that has such a thing, and restores."""

    @TrainerPlugin.hook  # type: ignore[untyped-decorator]
    def after_evaluation(self, validation_scores: tuple[float, ...], **_: Any) -> None:
        """Count."""
        self.scheduler.add(float(validation_scores[0] if len(validation_scores) > 1 else -validation_scores[0]))

    @TrainerPlugin.hook  # type: ignore[untyped-decorator]
    def before_training_epoch(self, epoch: int, **_: Any) -> None:
        """End the training where it is enough, when all else of the last epoch is done."""
        if self.scheduler.waited >= self.patience:
            raise TrainingInterrupt(f"Stopped after epoch {epoch - 1}: {self.patience} epochs without a better one")

    def get_state(self) -> dict[str, Any]:
        """Return what a resumed training is compared by."""
        return {**super().get_state(), "patience": self.patience}


class _Count:
    """Epochs since the best one; kept and restored as the state of a scheduler is."""

    def __init__(self) -> None:
        self._best: float | None = None
        self.waited = 0

    def add(self, score: float) -> None:
        """One epoch more."""
        if self._best is None or score > self._best:
            self._best, self.waited = score, 0
        else:
            self.waited += 1

    def state_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"best": self._best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Those of an earlier process."""
        self._best, self.waited = state["best"], state["waited"]

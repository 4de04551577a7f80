"""One progress bar for a whole training run, in place of Flair's log lines."""

from typing import Any

from flair.trainers.plugins import TrainerPlugin
from tqdm import tqdm


class ProgressBar(TrainerPlugin):
    """Shows batches done, time left, epoch and dev score. As with any Flair plugin, an instance serves one run."""

    def __init__(self, description: str) -> None:
        """`description` is what stands before the bar."""
        super().__init__()
        self._batches = 0
        self._bar = tqdm(desc=description, unit="batch", dynamic_ncols=True)

    @TrainerPlugin.hook  # type: ignore[untyped-decorator]
    def after_setup(self, dataset_size: int, mini_batch_size: int, max_epochs: int, **_: Any) -> None:
        """The run's length is known now."""
        self._batches = -(-dataset_size // mini_batch_size)
        self._bar.reset(total=self._batches * max_epochs)

    @TrainerPlugin.hook  # type: ignore[untyped-decorator]
    def before_training_epoch(self, epoch: int, **_: Any) -> None:
        """A resumed run begins further on."""
        self._bar.n = self._bar.initial = (epoch - 1) * self._batches

    @TrainerPlugin.hook  # type: ignore[untyped-decorator]
    def after_training_batch(self, **_: Any) -> None:
        """One batch further."""
        self._bar.update()

    @TrainerPlugin.hook  # type: ignore[untyped-decorator]
    def after_evaluation(self, current_model_is_best: bool, validation_scores: tuple[float, ...], **_: Any) -> None:
        """A new dev score."""
        if validation_scores:
            self._bar.set_postfix_str(f"dev F1 {100 * validation_scores[0]:.1f}")

    @TrainerPlugin.hook  # type: ignore[untyped-decorator]
    def _training_finally(self, **_: Any) -> None:
        self._bar.close()

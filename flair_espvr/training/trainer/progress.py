"""One progress bar for a whole training run, and a line for each epoch, in place of Flair's log lines."""

import sys
from typing import Any

from flair.trainers.plugins import TrainerPlugin
from tqdm import tqdm


class ProgressBar(TrainerPlugin):
    """Shows batches done, time left and epoch, and says after each epoch what came of it.

    As with any Flair plugin, an instance serves one run.
    """

    def __init__(self, description: str, *, opening: str = "") -> None:
        """Show a bar from now on.

        Args:
            description: what stands before the bar and each line.
            opening: a line above it.
        """
        super().__init__()
        self._description = description
        self._batches = self._epochs = 0
        self._loss: float | None = None
        if opening:
            tqdm.write(opening, file=sys.stderr)
        # The mean of the whole run, evaluations included, tells the time left: that of the last batches knows none.
        self._bar = tqdm(desc=description, unit="batch", dynamic_ncols=True, smoothing=0)

    @TrainerPlugin.hook  # type: ignore[untyped-decorator]
    def after_setup(self, dataset_size: int, mini_batch_size: int, max_epochs: int, **_: Any) -> None:
        """Take note of the run's length, which is known now."""
        self._batches, self._epochs = -(-dataset_size // mini_batch_size), max_epochs
        self._bar.reset(total=self._batches * max_epochs)

    @TrainerPlugin.hook  # type: ignore[untyped-decorator]
    def before_training_epoch(self, epoch: int, **_: Any) -> None:
        """Move on to where a resumed run begins, and what an earlier process did counts for no rate."""
        if not self._bar.n:
            self._bar.n = self._bar.initial = (epoch - 1) * self._batches
        self._bar.set_postfix_str(f"epoch {epoch} of {self._epochs}")

    @TrainerPlugin.hook  # type: ignore[untyped-decorator]
    def after_training_batch(self, **_: Any) -> None:
        """One batch further."""
        self._bar.update()

    @TrainerPlugin.hook  # type: ignore[untyped-decorator]
    def metric_recorded(self, record: Any) -> None:
        """Take note of the mean loss of an epoch, which no other hook is told."""
        if record.joined_name == "train/loss":
            self._loss = record.value

    @TrainerPlugin.hook  # type: ignore[untyped-decorator]
    def after_evaluation(self, epoch: int, validation_scores: tuple[float, ...], **_: Any) -> None:
        """Write an epoch's line: its loss and, where there are development posts, their score."""
        said = [] if self._loss is None else [f"loss {self._loss:.4f}"]
        if len(validation_scores) > 1:  # without such posts it is the loss
            said.append(f"dev F1 {100 * validation_scores[0]:.1f}")
        self._bar.write(f"{self._description}, epoch {epoch} of {self._epochs}: {', '.join(said)}", file=sys.stderr)

    @TrainerPlugin.hook  # type: ignore[untyped-decorator]
    def _training_finally(self, **_: Any) -> None:
        self._bar.close()

"""Training that stops before a loss or gradient that is no number spoils the weights."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from flair.data import Sentence
from flair.trainers.plugins import TrainerPlugin

from flair_espvr.data.metadata import IMAGE_ID, metadata_or_none
from flair_espvr.errors import TrainingError
from flair_espvr.flair_compat import current_grad_scaler

_EXCERPT = 60


class FinitePlugin(TrainerPlugin):
    """Stops Flair's trainer at the first loss or gradient that is NaN or infinite, with the posts that it came from.

    The loss is looked at as the model returns it, before mixed precision scales it. Where a gradient scaler is at work,
    infinite gradients are its business (it skips the step and scales less) and do not stop training; elsewhere they do.
    """

    def __init__(self) -> None:
        """As with any Flair plugin, an instance serves one run."""
        super().__init__()
        self._epoch = 0
        self._batch = 0
        self._gradients_are_scaled: bool

    @TrainerPlugin.hook  # type: ignore[untyped-decorator]
    def after_setup(self, **_: Any) -> None:
        """Flair tells no hook the loss before the optimizer has used it, so the model's own method is watched."""
        model, forward_loss = self.model, self.model.forward_loss

        def finite_loss(sentences: list[Sentence]) -> tuple[torch.Tensor, int]:
            loss, count = forward_loss(sentences)
            if not math.isfinite(value := loss.item()):
                raise self._error(f"the loss is {value}", sentences)
            return loss, count

        model.forward_loss = finite_loss
        self.trainer.context_stack.callback(delattr, model, "forward_loss")

    @TrainerPlugin.hook  # type: ignore[untyped-decorator]
    def before_training_epoch(self, epoch: int, **_: Any) -> None:
        """Take note of the scaler, which is there from now on."""
        self._epoch = epoch
        self._gradients_are_scaled = current_grad_scaler().is_enabled()

    @TrainerPlugin.hook  # type: ignore[untyped-decorator]
    def before_training_batch(self, batch_no: int, **_: Any) -> None:
        """For the message."""
        self._batch = batch_no + 1

    @TrainerPlugin.hook  # type: ignore[untyped-decorator]
    def before_training_optimizer_step(self, batch: list[Sentence], **_: Any) -> None:
        """Find gradients that are not finite, as a finite loss can have: that of a square root at 0."""
        if self._gradients_are_scaled:
            return
        gradients = [parameter.grad for parameter in self.model.parameters() if parameter.grad is not None]
        norms = [torch.linalg.vector_norm(gradient) for gradient in gradients]
        if norms and not torch.stack(norms).isfinite().all():
            raise self._error("the gradient is not finite", batch)

    def _error(self, what: str, posts: Sequence[Sentence]) -> TrainingError:
        listed = "\n".join(f"  {_name(post)}" for post in posts)
        return TrainingError(
            f"epoch {self._epoch}, batch {self._batch}: {what}. Training stopped before the weights took it in, and "
            "what is on disk is as it was. Look at the posts below and their pictures; if they are in order, lower the "
            f"learning rate or train without mixed precision.\n{listed}"
        )


def _name(post: Sentence) -> str:
    text = post.text if len(post.text) <= _EXCERPT else f"{post.text[: _EXCERPT - 3]}..."
    return f"{metadata_or_none(post, IMAGE_ID) or 'no image id'}: {text!r}"

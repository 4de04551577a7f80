"""The plugin that keeps a training's state between epochs, and takes it up again."""

import sys
from pathlib import Path
from typing import Any

import torch
from flair.embeddings.base import Embeddings
from flair.trainers.plugins import TrainerPlugin

from flair_espvr.errors import ConfigurationError
from flair_espvr.flair_compat import current_grad_scaler
from flair_espvr.io.atomic import atomic_write
from flair_espvr.training.trainer.training_state import TrainingState, random_states, set_random_states

STATE_FILE = "training-state.pt"
"""The state's name in the training folder."""

BEST_MODEL = "best-model.pt"
"""Flair's name for the model of the epoch with the best dev score."""

_LOSS_TABLE = "loss.tsv"


class ResumePlugin(TrainerPlugin):
    """Writes the state between epochs, and takes it up before the first one; `ResumableTrainer` brings it along."""

    def __init__(
        self, folder: Path, identity: dict[str, Any], state: TrainingState | None, *, epoch: int, sampler: Any
    ) -> None:
        """Make a plugin for one call of a trainer.

        Args:
            folder: of the training.
            identity: of the training.
            state: what to go on from, None to begin.
            epoch: epochs finished.
            sampler: the instance that the trainer draws training posts with, or None.
        """
        super().__init__()
        self._folder = folder
        self._identity = identity
        self._state = state
        self._epoch = epoch
        self._sampler = sampler
        self._best_score = None if state is None else state.best_score
        self._started = False
        self._grad_scaler: torch.amp.GradScaler
        self.is_best = False
        """Whether the epoch that ended last is the best of the whole training."""

    @TrainerPlugin.hook("before_training_epoch", "after_training_loop")  # type: ignore[untyped-decorator]
    def between_epochs(self, **_: Any) -> None:
        """Write the state.

        The best model is on disk by now, so that a state never knows of a model that is not there.
        """
        self._clear_learned_embeddings()
        if self._started:
            self._save()
            return
        self._started = True
        self._grad_scaler = current_grad_scaler()
        if self._state is None:
            self._write_loss_table(None)
            self._save()
        else:
            self._restore(self._state)
            self._state = None

    @TrainerPlugin.hook  # type: ignore[untyped-decorator]
    def after_evaluation(
        self, epoch: int, current_model_is_best: bool, validation_scores: tuple[float, ...], **_: Any
    ) -> None:
        """Flair selects by dev score, or by training loss where there is no dev split."""
        self._epoch = epoch
        score = float(validation_scores[0] if len(validation_scores) > 1 else -validation_scores[0])
        self.is_best = current_model_is_best and (self._best_score is None or score > self._best_score)
        if self.is_best:
            self._best_score = score

    @TrainerPlugin.hook  # type: ignore[untyped-decorator]
    def training_interrupt(self, **_: Any) -> None:
        """Ctrl-C ends a resumable training, where Flair would test the half-trained model and return its score."""
        interrupt = sys.exc_info()[1]
        if isinstance(interrupt, KeyboardInterrupt):
            raise interrupt

    def _clear_learned_embeddings(self) -> None:
        """With an `embeddings_storage_mode` of "cpu" or "gpu", Flair keeps an evaluation's vectors on the posts.

        It would take those of fine-tuned embeddings for the next epoch's, and a new process would not have them.
        """
        names = [part.name for part in self.model.modules() if _learns(part)]
        for split in (self.corpus.train, self.corpus.dev, self.corpus.test):
            for index in range(len(split or ())):  # a loader would draw a random number
                split[index].clear_embeddings(names)

    def _save(self) -> None:
        TrainingState(
            identity=self._identity,
            epoch=self._epoch,
            best_score=self._best_score,
            has_best_model=(self._folder / BEST_MODEL).exists(),
            loss_table=self._read_loss_table(),
            model=self.model.state_dict(),
            optimizer=self.trainer.optimizer.state_dict(),
            schedulers=[scheduler.state_dict() for scheduler in self._schedulers()],
            grad_scaler=self._grad_scaler.state_dict(),
            sampler=_counters(self._sampler),
            random=random_states(),
        ).write(self._folder / STATE_FILE)

    def _restore(self, state: TrainingState) -> None:
        try:
            self.model.load_state_dict(state.model)
            self.trainer.optimizer.load_state_dict(state.optimizer)
            for scheduler, scheduler_state in zip(self._schedulers(), state.schedulers, strict=True):
                scheduler.load_state_dict(scheduler_state)
            if self._grad_scaler.is_enabled():
                self._grad_scaler.load_state_dict(state.grad_scaler)
            if self._sampler is not None:
                vars(self._sampler).update({name: state.sampler[name] for name in _counters(self._sampler)})
            self._write_loss_table(state.loss_table)
            set_random_states(state.random)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ConfigurationError(
                f"{self._folder / STATE_FILE}: a damaged training state ({error}); remove the file to begin anew"
            ) from error

    def _schedulers(self) -> list[Any]:
        plugins = [plugin for plugin in self.trainer.plugins if hasattr(plugin, "scheduler")]
        return [plugin.scheduler for plugin in plugins]

    def _read_loss_table(self) -> bytes | None:
        path = self._folder / _LOSS_TABLE
        return path.read_bytes() if path.exists() else None

    def _write_loss_table(self, content: bytes | None) -> None:
        """Flair only ever appends: rows of an epoch that is trained again must go."""
        path = self._folder / _LOSS_TABLE
        if content is None:
            path.unlink(missing_ok=True)
        else:
            with atomic_write(path) as file:
                file.write(content)


def _learns(part: torch.nn.Module) -> bool:
    return isinstance(part, Embeddings) and not part.static_embeddings


def _counters(sampler: Any) -> dict[str, Any]:
    """Return the plain attributes of a sampler: Flair's count epochs or grow their blocks."""
    values = {} if sampler is None else vars(sampler)
    return {name: value for name, value in values.items() if isinstance(value, bool | int | float | str)}

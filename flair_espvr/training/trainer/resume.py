"""Training that a kill at any moment does not change: it goes on from the last finished epoch, bit for bit."""

import functools
import inspect
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flair.data import Corpus, Sentence
from flair.nn import Model
from flair.trainers import ModelTrainer

from flair_espvr.errors import ConfigurationError
from flair_espvr.io.locks import LockedError, ProcessLock
from flair_espvr.models.capabilities import ReadsImages
from flair_espvr.training.trainer.identity import differences, run_identity
from flair_espvr.training.trainer.lookahead import LookaheadSampler
from flair_espvr.training.trainer.resume_plugin import BEST_MODEL, STATE_FILE, ResumePlugin
from flair_espvr.training.trainer.training_state import TrainingState

log = logging.getLogger("flair.espvr.training")

_SHOWN_DIFFERENCES = 3
_TRAIN_CUSTOM = inspect.signature(ModelTrainer.train_custom)


class ResumableTrainer(ModelTrainer):
    """Flair's trainer; called again after a kill, in the same folder, it goes on as if nothing had happened.

    At the end of each epoch everything that the next ones depend on is written to `training-state.pt`, whose place is
    taken atomically: model, optimizer, schedulers, gradient scaler, best score, sampler, loss table and random numbers.
    `train` and `fine_tune` are Flair's. On a CPU, with the same number of threads, final weights, best model and loss
    table (but for its times) equal those of a run without a kill; a GPU's own kernels may differ in the last bits.

    What is not taken up again: Flair's `training.log`, which each process begins anew, its count of batches for
    TensorBoard, and the inner state of plugins other than their `scheduler`.
    """

    def __init__(
        self, model: Model[Sentence], corpus: Corpus[Sentence], *, notes: Mapping[str, Any] | None = None
    ) -> None:
        """Make a trainer of `model` on `corpus`.

        Args:
            model: with the weights that training starts from.
            corpus: what it learns.
            notes: plain values that must be the same when the training is resumed, such as a recipe's digest and a
                seed. The shapes of the model, the posts, and the arguments of the training are always compared.
        """
        super().__init__(model, corpus)
        self._notes = dict(notes or {})
        self._resume: ResumePlugin

    @functools.wraps(ModelTrainer.train_custom)  # Flair reads the names of its arguments off this method
    def train_custom(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As Flair's, from the last finished epoch on.

        Raises:
            ConfigurationError: the folder holds the state of another training, of another version of flair-espvr, or
                one whose best model is gone; another trainer is at work in it; training is to run on several GPUs; or
                there are no posts to train on.
                Nothing was changed.
            UnsafeModelError: the state hides code or is damaged. Nothing was changed.
        """
        call = _TRAIN_CUSTOM.bind(self, *args, **kwargs)
        call.apply_defaults()
        arguments = call.arguments
        if arguments["multi_gpu"]:
            raise ConfigurationError(
                "multi_gpu: a training on several GPUs cannot be resumed; use Flair's ModelTrainer"
            )
        if not self.corpus.train:
            raise ConfigurationError(f"{self.corpus}: there are no training posts")
        if isinstance(arguments["sampler"], type):
            arguments["sampler"] = arguments["sampler"]()
        folder = Path(arguments["base_path"])
        with _locked(folder):
            return self._train_in(folder, call)

    def _train_in(self, folder: Path, call: inspect.BoundArguments) -> dict[str, Any]:
        arguments = call.arguments
        identity = run_identity(self.model, self.corpus, arguments, self._notes)
        state = _resumable_state(folder, identity)
        _remove_leftovers(folder, state)
        if state is not None:
            arguments["epoch"] = state.epoch
            log.info(f"Going on after epoch {state.epoch}, from {folder / STATE_FILE}")
        self._resume = ResumePlugin(folder, identity, state, epoch=arguments["epoch"], sampler=arguments["sampler"])
        arguments["plugins"] = [self._resume, *(arguments["plugins"] or [])]
        if isinstance(self.model, ReadsImages) and self.model.region_embeddings is not None:
            log.info(
                "Posts are drawn a batch ahead, in the order of shuffle=%s; Flair names its own loader's below",
                arguments["shuffle"],
            )
            arguments["sampler"] = LookaheadSampler(
                self.model.prefetch,
                arguments["sampler"],
                mini_batch_size=arguments["mini_batch_size"],
                shuffle=arguments["shuffle"],
                shuffle_this_epoch=arguments["shuffle_first_epoch"] or arguments["epoch"] > 0,
            )
        try:
            return super().train_custom(*call.args[1:], **call.kwargs)
        finally:
            for plugin in self.plugins:  # Flair leaves them attached, to meddle with this trainer's next training
                plugin.detach()
            self.plugins.clear()

    def _save_model(self, model_file: str | Path, checkpoint: bool = False) -> None:
        # Flair compares with the scores of this process only, and has no say in the order of saving and hooks.
        if Path(model_file).name == BEST_MODEL and not self._resume.is_best:
            log.info("... but an epoch before the interruption was better: its model stays")
            return
        super()._save_model(model_file, checkpoint)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other trainers out of a folder; the lock ends with the process, however it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = ProcessLock(folder / f"{STATE_FILE}.lock")
    except LockedError as error:
        raise ConfigurationError(f"{folder}: another trainer ({error}) is at work there; take another folder") from None
    with lock:
        yield


def _resumable_state(folder: Path, identity: dict[str, Any]) -> TrainingState | None:
    """Return the folder's state, None where there is none; another run's is an error."""
    path = folder / STATE_FILE
    if not path.exists():
        return None
    state = TrainingState.read(path)
    found = list(differences(state.identity, identity))
    if found:
        more = f"; and {len(found) - _SHOWN_DIFFERENCES} more" if len(found) > _SHOWN_DIFFERENCES else ""
        raise ConfigurationError(
            f"{path}: the state of another training ({'; '.join(found[:_SHOWN_DIFFERENCES])}{more}); train in another "
            "folder, or remove the file to begin anew"
        )
    if state.has_best_model and not (folder / BEST_MODEL).exists():
        raise ConfigurationError(
            f"{folder / BEST_MODEL}: gone, though the training in {path} kept it as its best model; put it back, or "
            "remove the state to begin anew"
        )
    return state


def _remove_leftovers(folder: Path, state: TrainingState | None) -> None:
    """Remove what a killed process left half done."""
    for part in folder.glob(".*.pt.*.part"):  # of `atomic_write`
        part.unlink(missing_ok=True)
    if state is not None and state.epoch == 0:  # of a first epoch that will be trained again
        (folder / BEST_MODEL).unlink(missing_ok=True)

"""All that the rest of a training run depends on, in a file that holds plain data only and is whole at any moment."""

import random
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import flair
import numpy as np
import torch

from flair_espvr.errors import ConfigurationError
from flair_espvr.models.files.checkpoint import read_checkpoint, write_checkpoint

_CLASS = "TrainingState"
_VERSION = 1


@dataclass(frozen=True)
class TrainingState:
    """A training run between two epochs.

    Attributes:
        identity: what is trained, on what and how; see `flair_espvr.training.trainer.identity`.
        epoch: epochs finished.
        best_score: that of the best of them, higher is better; None before the first one.
        has_best_model: whether Flair kept a best model.
        loss_table: the bytes of Flair's `loss.tsv`, None where it writes none.
        model: parameters and buffers.
        optimizer: its `state_dict`.
        schedulers: the `state_dict` of each plugin's learning rate scheduler, in the plugins' order.
        grad_scaler: the `state_dict` of mixed precision's gradient scaler, empty where nothing is scaled.
        sampler: counters of the sampler of training posts.
        random: the state of every random number generator.
    """

    identity: dict[str, Any]
    epoch: int
    best_score: float | None
    has_best_model: bool
    loss_table: bytes | None
    model: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    schedulers: list[dict[str, Any]]
    grad_scaler: dict[str, Any]
    sampler: dict[str, Any]
    random: dict[str, Any]

    def write(self, path: Path) -> None:
        """Put this state in the place of the one in `path`, atomically.

        Raises:
            ConfigurationError: a part of it could only be kept as code.
            OSError: the file cannot be written.
        """
        write_checkpoint(path, {"__cls__": _CLASS, "state_version": _VERSION, **vars(self)})

    @classmethod
    def read(cls, path: Path) -> "TrainingState":
        """Read what `write` wrote, without running code in it.

        Raises:
            FileNotFoundError: there is no such file.
            UnsafeModelError: the file hides code or is damaged.
            ConfigurationError: it is no training state, or one of another version of flair-espvr.
        """
        content = read_checkpoint(path)
        if content.get("__cls__") != _CLASS:
            raise ConfigurationError(f"{path}: not the state of a training run, but a {content.get('__cls__')}")
        if content.get("state_version") != _VERSION:
            raise ConfigurationError(
                f"{path}: a training state of version {content.get('state_version')!r}, but this flair-espvr reads "
                f"version {_VERSION}: finish the run with the flair-espvr that began it, or remove the file to begin "
                "anew"
            )
        try:
            return cls(**{field.name: content[field.name] for field in fields(cls)})
        except KeyError as error:
            raise ConfigurationError(f"{path}: a damaged training state, without {error}") from error


def random_states() -> dict[str, Any]:
    """Return the states of Python's, numpy's and torch's random numbers, as plain data.

    On a GPU, those of Flair's device are among them.
    """
    numpy = np.random.get_state(legacy=False)
    return {
        "python": random.getstate(),
        "numpy": {**numpy, "state": {"key": numpy["state"]["key"].tolist(), "pos": int(numpy["state"]["pos"])}},
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(flair.device) if flair.device.type == "cuda" else None,
    }


def set_random_states(states: dict[str, Any]) -> None:
    """Set what `random_states` gave."""
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    torch.set_rng_state(states["torch"])
    if states["cuda"] is not None:
        torch.cuda.set_rng_state(states["cuda"], flair.device)

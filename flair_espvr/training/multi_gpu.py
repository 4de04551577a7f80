"""One process a GPU, through Flair's own launcher, which knows neither machines without GPUs nor errors."""

import re
from collections.abc import Callable
from typing import Any

import torch
from flair.distributed_utils import launch_distributed
from torch.multiprocessing.spawn import ProcessRaisedException

from flair_espvr import errors
from flair_espvr.errors import ConfigurationError, EspvrError
from flair_espvr.flair_compat import keep_off_terminal

_OURS = re.compile(r"^flair_espvr\.errors\.(\w+): (.*)", re.MULTILINE | re.DOTALL)
"""The end of the traceback of an error of ours."""


def on_all_gpus(work: Callable[..., None], *arguments: Any) -> None:
    """Call a function in one process for each GPU, which share a process group; Flair's device is theirs.

    Args:
        work: A function of a module. It returns nothing: Flair's launcher waits for ever on what does not fit a pipe.
        arguments: What it is called with; they are pickled.

    Raises:
        ConfigurationError: There are no two GPUs.
        EspvrError: What one of the processes raised; the others are ended.
    """
    count = torch.cuda.device_count()
    if count < 2:
        raise ConfigurationError(f"multi_gpu: needs two GPUs or more, and this machine has {count}; train without it")
    try:
        launch_distributed(_quietly, work, arguments)
    except ProcessRaisedException as error:
        if (ours := _OURS.search(str(error))) is None:
            raise
        kind: type[EspvrError] = getattr(errors, ours[1])
        raise kind(ours[2].strip()) from None


def processes() -> int:
    """How many processes train together."""
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


def draw_differently() -> None:
    """Let each process have random numbers of its own from now on: other posts, other dropout.

    Only torch's: Flair draws samples of the corpus with Python's to see that all processes have the same one.
    """
    if torch.distributed.is_initialized():
        torch.manual_seed(torch.initial_seed() + torch.distributed.get_rank())


def share_of_batch(mini_batch_size: int) -> int:
    """Return what each process takes of a batch, so that a recipe means the same on any number of GPUs.

    Raises:
        ConfigurationError: It cannot be divided.
    """
    share, rest = divmod(mini_batch_size, processes())
    if rest:
        raise ConfigurationError(
            f"mini_batch_size={mini_batch_size}: is that of all GPUs, and {processes()} of them cannot share it"
        )
    return share


def _quietly(work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """Without Flair's lines and bars on the terminal, where there is a bar of ours."""
    keep_off_terminal()
    work(*arguments)

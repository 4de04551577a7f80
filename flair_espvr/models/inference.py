"""What a prediction runs in: evaluation mode, without gradients, and in mixed precision where that is asked for."""

import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from flair_espvr.io.thread_lock import ThreadLock

_changing = ThreadLock()
_evaluating: "weakref.WeakKeyDictionary[torch.nn.Module, int]" = weakref.WeakKeyDictionary()
"""Models that are in evaluation mode for some blocks only -> how many of these blocks are running."""


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Keep evaluation mode for the block, in as many threads as there are: a prediction must not depend on dropout.

    The model's own mode stands for those of its parts, as everywhere in torch: to look at 140 of them, let alone to set
    them twice, is felt where a single post is predicted. A model that was training trains again when the last of its
    blocks has ended.
    """
    with _changing.held():
        is_ours = model.training or model in _evaluating
        if is_ours:
            if model.training:
                model.eval()
            _evaluating[model] = _evaluating.get(model, 0) + 1
    try:
        yield
    finally:
        if is_ours:
            with _changing.held():
                _evaluating[model] -= 1
                if not _evaluating[model]:
                    del _evaluating[model]
                    model.train()


def without_gradients(*, keep_embeddings: bool) -> AbstractContextManager[None]:
    """No gradients for the block, by torch's faster way where no tensor made in it may later take part in training."""
    return torch.no_grad() if keep_embeddings else torch.inference_mode()


def mixed_precision(device: torch.device, *, enabled: bool) -> AbstractContextManager[object]:
    """Autocast for the block: float16 on a GPU, bfloat16 on a CPU that computes with it; else float32 as always."""
    if not enabled or (device.type == "cpu" and not _cpu_has_bfloat16()):
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16 if device.type == "cpu" else torch.float16)


def _cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware; emulated, it is slower than float32."""
    if not hasattr(torch.cpu, "get_capabilities"):
        return False
    return any(present for name, present in torch.cpu.get_capabilities().items() if name.endswith("bf16"))

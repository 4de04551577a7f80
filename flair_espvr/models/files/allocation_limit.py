"""How much memory a model file may have a model built for: not much more than its own weights explain."""

from collections.abc import Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from flair_espvr.errors import UnsafeModelError

_SLACK_BYTES = 64 * 1024 * 1024
_SLACK_TENSORS = 1_000


class Allowance(TorchDispatchMode):
    """Inside this context, building a model ends in an error before it allocates far more than a file's weights need.

    Sizes in a damaged or malicious file (a vocabulary of 10^12 words, a million layers) would otherwise fill the
    memory, or take for ever, before anybody compares them with the weights. Four times the weights leave room for what
    is built and dropped again, such as a vocabulary that is resized.
    """

    def __init__(self, weights: Mapping[str, Any]) -> None:
        """Sets the limits.

        Args:
            weights: the tensors in the file; shared memory counts once, so that views cannot feign more.
        """
        super().__init__()
        storages = [value.untyped_storage() for value in weights.values() if isinstance(value, torch.Tensor)]
        self._bytes = 4 * sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values()) + _SLACK_BYTES
        self._tensors = 8 * len(weights) + _SLACK_TENSORS

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Counts the tensors that an operation makes on a device, measured on the one where they take no memory."""
        kwargs = kwargs or {}
        if any(argument.name == "device" for argument in func._schema.arguments):
            self._count(func(*args, **{**kwargs, "device": "meta"}))
        return func(*args, **kwargs)

    def _count(self, tensor: torch.Tensor) -> None:
        self._bytes -= tensor.nbytes
        self._tensors -= 1
        if self._bytes < 0 or self._tensors < 0:
            raise UnsafeModelError(
                f"the model file asks for a model far larger than its weights (a tensor of {tuple(tensor.shape)} was "
                "one too many); it was not built"
            )

"""How much memory a file may have a model built for: not much more than its own weights explain."""

from collections.abc import Iterable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from typing_extensions import Self

from flair_espvr.errors import UnsafeModelError

_SLACK_BYTES = 64 * 1024 * 1024
_SLACK_TENSORS = 1_000

_RANDOM = {torch.ops.aten.normal_.default, torch.ops.aten.uniform_.default}
"""What fills new weights."""

_SIZED_BY_VALUES = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
"""Operations whose results only values tell; they are not larger than what they are made from."""


class Allowance(TorchDispatchMode):
    """Inside this context, building a model ends in an error before it takes far more memory than it may.

    Sizes in a damaged or malicious file (a vocabulary of 10^12 words, a million layers) would otherwise fill the
    memory, or take for ever, before anybody compares them with the weights.

    Args:
        most_bytes: how much the tensors that are made may take together, those dropped meanwhile included.
        most_tensors: how many tensors may be made.
        draw: whether new weights are filled with random numbers, which takes longer than all else; False where they
            are loaded afterwards.
    """

    def __init__(self, most_bytes: int, most_tensors: int, *, draw: bool = True) -> None:
        super().__init__()
        self._not_run = set() if draw else _RANDOM
        self._bytes = most_bytes
        self._tensors = most_tensors

    @classmethod
    def for_weights(cls, weights: Iterable[Any]) -> Self:
        """Four times the weights, for what is built and dropped again, such as a vocabulary that is resized.

        Args:
            weights: the tensors in the file; shared memory counts once, so that views cannot feign more.
        """
        tensors = [value for value in weights if isinstance(value, torch.Tensor)]
        storages = {value.untyped_storage().data_ptr(): value.untyped_storage().nbytes() for value in tensors}
        return cls(4 * sum(storages.values()) + _SLACK_BYTES, 8 * len(tensors) + _SLACK_TENSORS, draw=False)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count the tensors that an operation makes, measured on the device where they take no memory."""
        kwargs = kwargs or {}
        if func in self._not_run:
            return args[0]
        if not (func.is_view or func._schema.is_mutable or _SIZED_BY_VALUES.intersection(func.tags)):
            measured, named = tree_map_only(torch.Tensor, lambda tensor: tensor.to("meta"), (args, kwargs))
            if any(argument.name == "device" for argument in func._schema.arguments):
                named["device"] = "meta"
            for tensor in tree_leaves(func(*measured, **named)):
                self._count(tensor)
        return func(*args, **kwargs)

    def _count(self, tensor: torch.Tensor) -> None:
        self._bytes -= tensor.nbytes
        self._tensors -= 1
        if self._bytes < 0 or self._tensors < 0:
            raise UnsafeModelError(
                f"the model file asks for a model far larger than it may be: a tensor of {tuple(tensor.shape)} was one "
                "too many; it was not built"
            )

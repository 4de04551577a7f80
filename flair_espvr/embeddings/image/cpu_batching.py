"""How many pictures a CPU computes at once, so that it computes and does not wait for memory."""

from typing import Any

import torch
from torch import Tensor, nn

RECYCLED_BYTES = 16 * 1024 * 1024
"""Size of tensors whose memory glibc's malloc surely hands on to the next ones when they are freed.

What is larger than 32 MiB, or leaves more than 64 MiB free at the end of the heap, goes back to the kernel, which maps
it anew and zeroes it page by page: for 32 pictures at once, EfficientNet-Lite0 at 384 pixels spends more time on that
than on arithmetic (docs/REGION_STORE.md).
"""


def images_at_once(model: nn.Module, image_size: int) -> int:
    """Pictures that a CPU should put through a model together: as many as keep activations in `RECYCLED_BYTES`, or one.

    Args:
        model: a timm model.
        image_size: pixels a side of its square input.
    """
    return max(1, RECYCLED_BYTES // largest_activation(model, image_size))


def largest_activation(model: nn.Module, image_size: int) -> int:
    """Bytes of the largest tensor that any module of a timm model gives for one picture; one forward pass tells."""
    sizes: list[int] = []

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            sizes.append(output.nbytes)

    hooks = [module.register_forward_hook(note) for module in model.modules()]
    try:
        with torch.no_grad():
            blank = torch.zeros(1, 3, image_size, image_size, device=next(model.parameters()).device)
            model.forward_features(blank)  # type: ignore[operator]
    finally:
        for hook in hooks:
            hook.remove()
    return max(sizes)

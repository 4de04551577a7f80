"""Rows whose regions are those of K images, one after the other, not all of which are there."""

import torch
from torch import Tensor


def region_mask(slots: Tensor, regions: int) -> Tensor:
    """Return which of so many regions are of images that exist.

    Args:
        slots: (B, K) bool, images that exist.
        regions: K * R.

    Returns:
        (B, K * R) bool.

    >>> region_mask(torch.tensor([[True, False]]), 4)
    tensor([[ True,  True, False, False]])
    """
    return torch.repeat_interleave(slots, regions // slots.shape[1], dim=1)


def without_absent(logits: Tensor, slots: Tensor | None) -> Tensor:
    """Return logits for a softmax over the regions of those images that exist.

    In a row without any image all stay, so that the softmax, which means nothing there, is a number.

    Args:
        logits: (B, M, K * R).
        slots: (B, K) bool, images that exist; None where K is 1.
    """
    if slots is None:
        return logits
    exists = region_mask(slots | ~slots.any(dim=1, keepdim=True), logits.shape[2])
    return logits.masked_fill(~exists.unsqueeze(1), -torch.inf)


def mean_over_images(values: Tensor, slots: Tensor) -> Tensor:
    """Return the mean over those images that exist, (B, M); zero in a row without any.

    Args:
        values: (B, M, K).
        slots: (B, K) bool, images that exist.
    """
    return values.masked_fill(~slots.unsqueeze(1), 0.0).sum(dim=2) / slots.sum(dim=1, keepdim=True).clamp(min=1)

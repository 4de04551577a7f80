"""Dropout of whole words."""

import torch
from torch import Tensor


class WordDropout(torch.nn.Module):
    """In training, zero in the place of a word's whole vector; vectors that stay are not scaled.

    Args:
        probability: How likely that is for each word by itself.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, words: Tensor) -> Tensor:
        """(B, T, D) to (B, T, D)."""
        if not self.training or not self.probability:
            return words
        dropped = torch.rand(words.shape[:2], device=words.device) < self.probability
        return words.masked_fill(dropped.unsqueeze(-1), 0.0)

"""From the words of a post to one vector for the post."""

from torch import Tensor


def masked_mean(words: Tensor, mask: Tensor) -> Tensor:
    """The mean of the vectors (B, T, D) that are masked in, by mask (B, T) bool, at least one in each row: (B, D)."""
    kept = mask.unsqueeze(-1).to(words.dtype)
    return (words * kept).sum(dim=1) / kept.sum(dim=1)

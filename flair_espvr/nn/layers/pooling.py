"""From the words of a post to one vector for the post."""

from torch import Tensor


def masked_mean(words: Tensor, mask: Tensor) -> Tensor:
    """Return the mean (B, D) of the vectors (B, T, D) that a mask (B, T) has, at least one in each row."""
    kept = mask.unsqueeze(-1).to(words.dtype)
    return (words * kept).sum(dim=1) / kept.sum(dim=1)

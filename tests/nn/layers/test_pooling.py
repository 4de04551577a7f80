"""Pooling against a loop."""

import torch

from flair_espvr.nn.layers.pooling import masked_mean


def test_the_mean_is_that_of_the_words_alone() -> None:
    words, lengths = torch.randn(3, 4, 2), (4, 1, 3)
    mask = torch.arange(4) < torch.tensor(lengths)[:, None]
    expected = torch.stack([words[row, :length].mean(dim=0) for row, length in enumerate(lengths)])
    torch.testing.assert_close(masked_mean(words, mask), expected)

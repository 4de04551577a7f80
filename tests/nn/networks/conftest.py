"""The comparison of a network whose one loss is the tag CRF's with its slow recomputation."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from flair_espvr.nn.features import ImageFeatures
from flair_espvr.nn.network import Network, NetworkOutput


@pytest.fixture
def compare() -> Callable[..., None]:
    """Asserts that emissions, loss and gradients are those of `one_post(words, regions)`, post by post."""

    def compare(
        model: Network[NetworkOutput],
        one_post: Callable[[Tensor, Tensor], Tensor],
        inputs: tuple[Tensor, Tensor, ImageFeatures],
        tags: Tensor,
        lengths: Sequence[int],
    ) -> None:
        words, mask, images = inputs
        output = model(words, mask, images)
        total = model.total_loss(model.losses(output, tags), len(tags))
        slow = torch.zeros(())
        for post, length in enumerate(lengths):
            regions = images.regions[post] if images.present[post] else images.regions[post, :0]
            emissions = one_post(words[post, :length], regions)
            torch.testing.assert_close(output.emissions[post, :length], emissions, rtol=1e-5, atol=1e-5)
            one = torch.ones(1, length, dtype=torch.bool)
            slow = slow + model.tag_crf.loss(emissions[None], tags[post : post + 1, :length], one).sum()
        torch.testing.assert_close(total, slow, rtol=1e-5, atol=1e-5)
        named = {"words": words, **dict(model.named_parameters())}
        gradients = torch.autograd.grad(total, list(named.values()))
        expected = torch.autograd.grad(slow, list(named.values()))
        for name, mine, other in zip(named, gradients, expected, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5, msg=name)

    return compare

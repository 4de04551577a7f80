"""What networks are recomputed on, and the comparison with the slow result."""

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor

from flair_espvr.nn.features import ImageFeatures
from flair_espvr.nn.network import Network, NetworkOutput

WORD_SIZE, REGION_SIZE, LENGTHS = 7, 5, (4, 2, 3)
TAGS = torch.tensor([[1, 2, 0, 3], [0, 3, 0, 0], [1, 0, 3, 0]])


@pytest.fixture
def inputs() -> tuple[Tensor, Tensor, ImageFeatures]:
    """Words, mask and images of three posts of `LENGTHS` words, the second without an image."""
    words = torch.randn(3, 4, WORD_SIZE, dtype=torch.double, requires_grad=True)
    mask = torch.arange(4) < torch.tensor(LENGTHS)[:, None]
    regions = torch.randn(3, 6, REGION_SIZE, dtype=torch.double)
    present = torch.tensor([True, False, True])
    return words, mask, ImageFeatures(regions, regions.mean(1), present, (2, 3), count=2)


@pytest.fixture
def compare() -> Callable[..., None]:
    """Asserts that emissions, loss and gradients are those of `one_post(words, regions)`, post by post.

    `terms(words, regions, tags)` gives those of the loss besides the tag CRF's, by name.
    """

    def compare(
        model: Network[NetworkOutput],
        one_post: Callable[[Tensor, Tensor], Tensor],
        inputs: tuple[Tensor, Tensor, ImageFeatures],
        terms: Callable[[Tensor, Tensor, Tensor], Mapping[str, Tensor]] = lambda *_: {},
    ) -> None:
        words, mask, images = inputs
        output = model(words, mask, images)
        total = model.total_loss(model.losses(output, TAGS), len(TAGS))
        slow = torch.zeros(())
        for post, length in enumerate(LENGTHS):
            regions = images.regions[post] if images.present[post] else images.regions[post, :0]
            emissions = one_post(words[post, :length], regions)
            torch.testing.assert_close(output.emissions[post, :length], emissions, rtol=1e-5, atol=1e-5)
            one = torch.ones(1, length, dtype=torch.bool)
            slow = slow + model.tag_crf.loss(emissions[None], TAGS[post : post + 1, :length], one).sum()
            for name, term in terms(words[post, :length], regions, TAGS[post, :length]).items():
                slow = slow + model.loss_weights[name] * term
        torch.testing.assert_close(total, slow, rtol=1e-5, atol=1e-5)
        named = {"words": words, **dict(model.named_parameters())}
        gradients = torch.autograd.grad(total, list(named.values()))
        expected = torch.autograd.grad(slow, list(named.values()))
        for name, mine, other in zip(named, gradients, expected, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5, msg=name)

    return compare

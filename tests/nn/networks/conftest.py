"""What networks are recomputed on, and the comparison with the slow result."""

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor

from flair_espvr.nn.features import ImageFeatures, ObjectFeatures
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
def objects() -> ObjectFeatures:
    """Objects of the three posts: three with a gap, none, and one, with `REGION_SIZE` numbers a crop."""
    corners = torch.rand(3, 3, 2, 2, dtype=torch.double).sort(dim=2).values  # left and top are below right and bottom
    mask = torch.tensor([[True, False, True], [False, False, False], [True, False, False]])
    labels, vectors = torch.randint(0, 4, (3, 3)), torch.randn(3, 3, REGION_SIZE, dtype=torch.double)
    return ObjectFeatures(labels=labels, boxes=corners.flatten(2), mask=mask, vectors=vectors)


@pytest.fixture
def compare() -> Callable[..., None]:
    """Asserts that emissions, loss and gradients are those of `one_post(words, regions)`, post by post.

    `terms(words, regions, tags)` gives those of the loss besides the tag CRF's, by name. With `objects`, `one_post` has
    a third argument, those of the post in lists of one.
    """

    def compare(
        model: Network[NetworkOutput],
        one_post: Callable[..., Tensor],
        inputs: tuple[Tensor, Tensor, ImageFeatures],
        terms: Callable[[Tensor, Tensor, Tensor], Mapping[str, Tensor]] = lambda *_: {},
        objects: ObjectFeatures | None = None,
    ) -> None:
        words, mask, images = inputs
        output = model(words, mask, images, objects=objects)
        total = model.total_loss(model.losses(output, TAGS), len(TAGS))
        slow = torch.zeros(())
        for post, length in enumerate(LENGTHS):
            regions = images.regions[post] if images.present[post] else images.regions[post, :0]
            own = () if objects is None else (_one(objects, post),)
            emissions = one_post(words[post, :length], regions, *own)
            torch.testing.assert_close(output.emissions[post, :length], emissions, rtol=1e-5, atol=1e-5)
            one = torch.ones(1, length, dtype=torch.bool)
            slow = slow + model.tag_crf.loss(emissions[None], TAGS[post : post + 1, :length], one).sum()
            for name, term in terms(words[post, :length], regions, TAGS[post, :length]).items():
                slow = slow + model.loss_weights[name] * term
        torch.testing.assert_close(total, slow, rtol=1e-5, atol=1e-5)
        named = {"words": words, **dict(model.named_parameters())}
        gradients = torch.autograd.grad(total, list(named.values()), materialize_grads=True, allow_unused=True)
        expected = torch.autograd.grad(slow, list(named.values()), materialize_grads=True, allow_unused=True)
        for name, mine, other in zip(named, gradients, expected, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5, msg=name)

    return compare


def _one(objects: ObjectFeatures, post: int) -> ObjectFeatures:
    assert objects.vectors is not None
    one = slice(post, post + 1)
    return ObjectFeatures(objects.labels[one], objects.boxes[one], objects.mask[one], objects.vectors[one])

"""HVPNeT's prefix and emissions against the formulas, one picture, one layer and one position at a time."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from flair_espvr.nn.features import ImageFeatures
from flair_espvr.nn.layers.visual_prefix import AttentionShape, VisualPrefix
from flair_espvr.nn.networks.hvpnet import HVPNeTConfig, HVPNeTNetwork

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
WORD_SIZE, REGION_SIZE = 7, 5  # those of `inputs`
SHAPE = AttentionShape(layers=3, heads=2, head_size=4)
VIEWS = 3


def network(**arguments: Any) -> HVPNeTNetwork:
    config = HVPNeTConfig(prefix_hidden_size=6, views=VIEWS, **arguments)
    sizes = {"word_size": WORD_SIZE, "region_size": REGION_SIZE, "labels": LABELS, "attention": SHAPE}
    return HVPNeTNetwork(config, **sizes).double().eval()


def slow_prefix(brick: VisualPrefix, cells: list[Tensor]) -> list[list[tuple[Tensor, Tensor]]]:
    """For each layer and cell a key and a value, (heads, head_size) each."""
    size = SHAPE.heads * SHAPE.head_size
    views = []  # of each cell, `VIEWS` vectors of a key and a value
    for cell in cells:
        made = brick.projection[2](torch.tanh(brick.projection[0](cell)))
        views.append([made[2 * size * view : 2 * size * (view + 1)] for view in range(VIEWS)])
    mean = torch.cat([sum(cell[view] for cell in views) / len(cells) for view in range(VIEWS)])
    layers = []
    for layer in range(SHAPE.layers):
        rows = slice(layer * VIEWS, (layer + 1) * VIEWS)
        scores = brick.gates.weight[rows] @ mean + brick.gates.bias[rows]
        shares = torch.where(scores > 0, scores, 0.01 * scores).exp()
        shares = shares / shares.sum()
        mixed = [sum(shares[view] * cell[view] for view in range(VIEWS)) for cell in views]
        layers.append([tuple(half.view(SHAPE.heads, SHAPE.head_size) for half in state.chunk(2)) for state in mixed])
    return layers


def quarters(regions: Tensor) -> list[Tensor]:
    """Means of a grid of 2 x 3 regions over 2 x 2 cells, whose columns share the middle one."""
    grid = regions.view(2, 3, -1)
    return [(grid[row, column] + grid[row, column + 1]) / 2 for row in range(2) for column in range(2)]


def test_prefix_and_its_gradients(inputs: tuple[Tensor, Tensor, ImageFeatures]) -> None:
    _, _, images = inputs
    model = network()
    prefix = model.prefix(images)
    assert prefix is not None
    assert prefix.mask.tolist() == [[True] * 4, [False] * 4, [True] * 4]
    part = torch.randn(SHAPE.layers, 2, 3, SHAPE.heads, 4, SHAPE.head_size).double()
    slow = torch.zeros(())
    for post in (0, 2):
        for layer, positions in enumerate(slow_prefix(model.visual_prefix, quarters(images.regions[post]))):
            for position, states in enumerate(positions):
                for kind, state in enumerate(states):
                    torch.testing.assert_close(prefix.states[layer, kind, post, :, position], state)
                    slow = slow + (state * part[layer, kind, post, :, position]).sum()
    weights = list(model.visual_prefix.parameters())
    fast = (prefix.states[:, :, [0, 2]] * part[:, :, [0, 2]]).sum()
    for mine, other in zip(torch.autograd.grad(fast, weights), torch.autograd.grad(slow, weights), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5)


def test_emissions_loss_and_gradients(
    inputs: tuple[Tensor, Tensor, ImageFeatures], compare: Callable[..., None]
) -> None:
    """The words have read the picture already: what is left is one linear layer."""
    model = network()
    del model.visual_prefix
    compare(model, lambda words, regions: torch.stack([model.tag_emissions(word) for word in words]), inputs)


def test_without_a_picture_there_is_no_prefix() -> None:
    assert network().prefix(None) is None

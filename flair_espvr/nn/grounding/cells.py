"""The cells of an image as the grounding head compares entities with them."""

import math

import torch
from torch import Tensor
from torch.nn.functional import gelu, linear

_SPREAD = 3
"""Cells across that a cell sees of what lies around it."""


class ImageCells(torch.nn.Module):
    """A vector h_r for each region: what it is, and what lies around it.

    u_r = GELU(W b_r / |b_r| + w), with |b| the root of the mean square; h_r = u_r + V GELU(depthwise 3 x 3 (u)_r) + v,
    image by image: a region says what it shows, those around it whether it is the middle of a thing or its edge.

    Args:
        region_size: Dv.
        size: D, of h.
    """

    def __init__(self, region_size: int, size: int) -> None:
        super().__init__()
        self.project = torch.nn.Linear(region_size, size)
        self.around = torch.nn.Conv2d(size, size, _SPREAD, padding=_SPREAD // 2, groups=size)
        self.mix = torch.nn.Linear(size, size)

    def forward(self, regions: Tensor, grid: tuple[int, int]) -> Tensor:
        """h, (B, K * R, D), from the regions (B, K * R, Dv) of K images, each a grid of (H, W) cells, R = H * W."""
        # W b / |b| and not W (b / |b|): the projection is narrower, and regions are large.
        projected = linear(regions, self.project.weight) / root_mean_square(regions)
        cells = gelu(projected + self.project.bias)  # (B, K * R, D)
        maps = cells.unflatten(1, (-1, *grid)).flatten(0, 1).permute(0, 3, 1, 2)  # (B * K, D, H, W)
        around = self.around(maps).flatten(2).transpose(1, 2).reshape_as(cells)
        return cells + self.mix(gelu(around))


def normed(vectors: Tensor) -> Tensor:
    """Vectors (..., D) with a mean square of 1, or a little less."""
    return vectors / root_mean_square(vectors)


def root_mean_square(vectors: Tensor) -> Tensor:
    """Return that of vectors (..., D), (..., 1), and a little more: there are vectors of zeros."""
    return torch.linalg.vector_norm(vectors, dim=-1, keepdim=True) / math.sqrt(vectors.shape[-1]) + 1e-6

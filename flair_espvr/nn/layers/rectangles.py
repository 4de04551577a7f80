"""Rectangles of grid cells: the one that holds most of a map, and how much of each cell some boxes cover."""

import torch
from torch import Tensor

from flair_espvr.nn.layers.positioning import first_maximum


@torch.no_grad()
def best_rectangles(maps: Tensor) -> Tensor:
    """The rectangle of cells with the largest sum in each of N maps; it holds at least one cell.

    All P pairs of a first and a last row are tried, H (H + 1) / 2. Between two rows, sums of columns come from running
    sums over the rows, and the best interval of columns from Kadane's walk over them: time grows with P W, memory with
    P, and neither with the number of rectangles.

    Args:
        maps: (N, H, W) what each cell counts, of either sign.

    Returns:
        (N, 4) long: left, top, right and bottom edge in cells, right and bottom exclusive. Among equal sums the
        rectangle wins whose first row, then last row, right and left edge are lowest, as far as sums are exact.
    """
    height, width = maps.shape[1:]
    rows = torch.nn.functional.pad(maps.cumsum(dim=1), (0, 0, 1, 0))  # (N, H + 1, W) sums of the rows above an edge
    top, last_row = torch.triu_indices(height, height, device=maps.device)  # (P,) each
    bottom = last_row + 1
    ending = best = maps.new_full((len(maps), len(top)), -torch.inf)  # (N, P) sums of intervals that end in a column
    for column in rows.unbind(2):
        ending = column[:, bottom] - column[:, top] + ending.clamp(min=0)
        best = torch.maximum(best, ending)
    pair = first_maximum(best)  # (N,)
    top, bottom = top[pair], bottom[pair]
    columns = (rows.gather(1, edge.view(-1, 1, 1).expand(-1, 1, width)).squeeze(1) for edge in (bottom, top))
    sums = torch.nn.functional.pad(torch.sub(*columns).cumsum(dim=1), (1, 0))  # (N, W + 1) left of an edge
    last = first_maximum(sums[:, 1:] - sums[:, :-1].cummin(dim=1).values)
    before = torch.arange(width + 1, device=maps.device) <= last[:, None]
    left = first_maximum(-sums.masked_fill(~before, torch.inf))
    return torch.stack([left, top, last + 1, bottom], dim=1)


def rectangle_mask(rectangles: Tensor, grid: tuple[int, int]) -> Tensor:
    """Cells inside of each of N rectangles, (N, H, W) bool, from their edges (N, 4) as `best_rectangles` gives them."""
    left, top, right, bottom = rectangles.unsqueeze(2).unbind(1)  # (N, 1) each
    row, column = (torch.arange(size, device=rectangles.device) for size in grid)
    rows, columns = (row >= top) & (row < bottom), (column >= left) & (column < right)
    return rows.unsqueeze(2) & columns.unsqueeze(1)


def covered_shares(boxes: Tensor, mask: Tensor, grid: tuple[int, int]) -> Tensor:
    """The share of each cell's area that lies in at least one of the boxes; exact, also where boxes overlap.

    All edges, of cells and of boxes, cut the picture into small rectangles that each box covers whole or not at all.

    Args:
        boxes: (N, K, 4) left, top, right and bottom as fractions of the picture.
        mask: (N, K) bool, boxes that exist.
        grid: (H, W).

    Returns:
        (N, H, W) in 0..1.
    """
    left, top, right, bottom = boxes.masked_fill(~mask.unsqueeze(2), 0.0).clamp(0.0, 1.0).unbind(2)  # (N, K) each
    height, width = grid
    y, rows = _cut(top, bottom, height)
    x, columns = _cut(left, right, width)
    inside_rows = (y.unsqueeze(2) > top.unsqueeze(1)) & (y.unsqueeze(2) < bottom.unsqueeze(1))  # (N, Y, K)
    inside_columns = (x.unsqueeze(2) > left.unsqueeze(1)) & (x.unsqueeze(2) < right.unsqueeze(1))  # (N, X, K)
    # Boxes that hold a small rectangle, counted: (N, Y, X)
    covered = (inside_rows.to(boxes.dtype) @ inside_columns.to(boxes.dtype).transpose(1, 2)) > 0.5
    return (rows @ covered.to(boxes.dtype) @ columns.transpose(1, 2)).clamp(max=1.0)


def _cut(start: Tensor, end: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """An axis, cut at the edges of its cells and at those of K intervals (N, K).

    Returns:
        The middles of the P pieces, (N, P), and the share that each has of each cell, (N, cells, P).
    """
    edges = torch.linspace(0, 1, cells + 1, dtype=start.dtype, device=start.device).expand(len(start), -1)
    cuts = torch.cat([edges, start, end], dim=1).sort(dim=1).values
    middles = (cuts[:, 1:] + cuts[:, :-1]) / 2
    lengths = (cuts[:, 1:] - cuts[:, :-1]) * cells
    cell = (middles * cells).long().clamp(max=cells - 1)
    belongs = cell.unsqueeze(1) == torch.arange(cells, device=start.device).unsqueeze(1)  # (N, cells, P)
    return middles, belongs * lengths.unsqueeze(1)

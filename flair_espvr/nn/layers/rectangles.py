"""Rectangles of grid cells: the one that holds most of a map, and how much of each cell some boxes cover."""

import torch
from torch import Tensor

from flair_espvr.nn.layers.positioning import first_maximum


@torch.no_grad()
def best_rectangles(maps: Tensor) -> Tensor:
    """Return the rectangle of cells with the largest sum in each of N maps; it holds at least one cell.

    All P pairs of a first and a last row are tried, H (H + 1) / 2. Between two rows, sums of columns come from running
    sums over the rows, and the best interval of columns from Kadane's walk over them: time grows with P W, memory with
    P, and neither with the number of rectangles.

    Args:
        maps: (N, H, W) what each cell counts, of either sign.

    Returns:
        (N, 4) long: left, top, right and bottom edge in cells, right and bottom exclusive. Among equal sums the
        rectangle wins whose first row, then last row, right and left edge are lowest, as far as sums are exact.

    >>> best_rectangles(torch.tensor([[[-1.0, 2.0, 2.0], [-1.0, 1.0, -4.0]]]))
    tensor([[1, 0, 3, 1]])
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


@torch.no_grad()
def edges_within_cells(shares: Tensor, rectangles: Tensor) -> Tensor:
    """Edges of N rectangles of cells, moved to where what they hold is likely to end within a cell.

    Each column has a profile, the mean share of its cells in the rectangle's rows. Columns between the first and the
    last tell what a column has that is covered whole; beside it, the shares of the first and of the one before it say
    how far the left edge lies in them, those of the last and of the one after it how far the right edge does. Rows have
    one likewise. Shares of boxes give the edges of a box exactly, if it covers three lines at least. Where all shares
    are 0 the edges stay.

    Args:
        shares: (N, H, W) in 0..1, how much of each cell what is looked for covers, or is expected to.
        rectangles: (N, 4) long, as `best_rectangles` gives them.

    Returns:
        (N, 4) left, top, right and bottom in cells, in the dtype of `shares`; none moved by more than a cell.
    """
    inside = rectangle_mask(rectangles, (shares.shape[1], shares.shape[2]))
    left, top, right, bottom = rectangles.unbind(1)
    columns = (shares * inside.any(dim=2, keepdim=True)).sum(dim=1)  # (N, W)
    rows = (shares * inside.any(dim=1, keepdim=True)).sum(dim=2)  # (N, H)
    left, right = _edges_within_lines(columns, left, right)
    top, bottom = _edges_within_lines(rows, top, bottom)
    return torch.stack([left, top, right, bottom], dim=1)


def _edges_within_lines(profile: Tensor, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """Return the ends (N,) of intervals of lines, `end` exclusive, by the lines' profiles (N, L)."""
    line = torch.arange(profile.shape[1], device=profile.device)
    within = (line >= start[:, None]) & (line < end[:, None])
    between = (line > start[:, None]) & (line < end[:, None] - 1)
    mean = (profile * between).sum(dim=1) / between.sum(dim=1).clamp(min=1)
    whole = torch.where(between.any(dim=1), mean, (profile * within).amax(dim=1))  # what a line has that is covered
    tiny = torch.finfo(profile.dtype).tiny
    covered = torch.where(whole[:, None] > tiny, profile / whole[:, None].clamp(min=tiny), within.to(profile.dtype))
    covered = torch.nn.functional.pad(covered.clamp(max=1.0), (1, 1))
    before, first, last, after = (
        covered.gather(1, place[:, None]).squeeze(1) for place in (start, start + 1, end, end + 1)
    )
    return start + 1 - first - before, end - 1 + last + after


def rectangle_mask(rectangles: Tensor, grid: tuple[int, int]) -> Tensor:
    """Cells inside of each of N rectangles, (N, H, W) bool, from their edges (N, 4) as `best_rectangles` gives them."""
    left, top, right, bottom = rectangles.unsqueeze(2).unbind(1)  # (N, 1) each
    row, column = (torch.arange(size, device=rectangles.device) for size in grid)
    rows, columns = (row >= top) & (row < bottom), (column >= left) & (column < right)
    return rows.unsqueeze(2) & columns.unsqueeze(1)


def covered_shares(boxes: Tensor, mask: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return the share of each cell's area that lies in at least one of the boxes; exact, also where boxes overlap.

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
    """Return an axis, cut at the edges of its cells and at those of K intervals (N, K).

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

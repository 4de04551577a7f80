"""From windows on the grid to regions of the image."""

import torch

from flair_espvr.nn.layers.positioning import RegionPositions, window_size


def window_regions(positions: RegionPositions, *, grid: tuple[int, int], window: int) -> torch.Tensor:
    """The window of each row as fractions of the image, which was squashed onto the grid.

    Args:
        positions: N rows of windows, as `position_each_entity` gives them.
        grid: (H, W) of the image's regions.
        window: edge of the windows, in regions.

    Returns:
        (N, 5): the fields of a `Region`, whose score is the share of its entities' attention that falls inside; NaN in
        a row without an entity.
    """
    height, width = grid
    rows, columns = window_size(grid, window)
    attention = positions.scores.mean(dim=1)  # (N,R)
    inside = (attention * positions.mask).sum(dim=-1).clamp(max=1.0)  # rounding may add up to a little more
    fields = torch.stack(
        [
            positions.left / width,
            positions.top / height,
            (positions.left + columns) / width,
            (positions.top + rows) / height,
            inside,
        ],
        dim=-1,
    )
    return fields.masked_fill(~positions.mask.any(dim=-1, keepdim=True), torch.nan)

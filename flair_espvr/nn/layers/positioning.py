"""Which part of the picture the entities of a sentence speak of (paper 3.3, Visual Regions Positioning)."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from flair_espvr.nn.layers.several_images import without_absent

Placement = Literal["centered", "paper"]
"""Where a window lies: with b_c in its middle, or from the smaller row and column of b_c and b_l on."""

# How strongly the straight-through gradient of `straight_through_weights` moves the position, as a share of R. The
# paper has no such gradient; a tenth is what worked best in our experiments.
STRAIGHT_THROUGH_SHARE = 0.1


@dataclass(frozen=True)
class RegionPositions:
    """Where the window of relevant regions lies on each picture; regions are numbered row by row, picture by picture.

    In a row of several pictures R stands for the regions of all of them, and the window lies on one.

    Attributes:
        center: Region b_c, the one most relevant to the entities, (B,) long; -1 in a row without an entity.
        neighbour: Region b_l, the neighbour most like b_c, (B,) long; b_c itself where it has no neighbour.
        top: First grid row of the window, (B,) long; -1 in a row without an entity.
        left: First grid column of the window, (B,) long; -1 in a row without an entity.
        mask: Regions inside the window v, (B, R) bool; all False in a row without an entity.
        scores: Relevance F of each region to each entity (Eq. 1), (B, M, R), float32 or wider: sums to one over R for
            an entity, 0 for a masked one. The only field that carries a gradient.
    """

    center: Tensor
    neighbour: Tensor
    top: Tensor
    left: Tensor
    mask: Tensor
    scores: Tensor


def window_size(grid: tuple[int, int], window: int) -> tuple[int, int]:
    """Height and width in regions of a `window` x `window` square cut to the `grid` (rows, columns).

    >>> window_size((12, 4), 8)
    (8, 4)
    """
    rows, columns = grid
    return min(window, rows), min(window, columns)


def position_regions(
    entities: Tensor,
    entity_mask: Tensor,
    regions: Tensor,
    *,
    grid: tuple[int, int],
    window: int,
    placement: Placement = "paper",
    pictures: Tensor | None = None,
) -> RegionPositions:
    """Position one window per sentence, from all its entities together (paper 3.3, Eqs. 1-2).

    b_c is the region with the largest relevance summed over the entities. Its neighbours are the other regions less
    than `window` rows and columns away, and b_l is the neighbour with the largest attention score from b_c. The paper's
    window starts at the smaller row and the smaller column of the two, so it holds both; a centered one has b_c in its
    middle, one row and column nearer to the start where it is of even size. Either is moved inward where it would leave
    the grid. Among equal scores the region with the lowest number wins, on every device. Of a sentence with several
    pictures, relevance is over the regions of all of them, and neighbours and window are on the picture of b_c.

    Args:
        entities: Entity features e_i, (B, M, D); M may be 0.
        entity_mask: Which entities exist, (B, M) bool. For a sentence without a picture let it be all False.
        regions: Region features b_1 ... b_R in row-major order, (B, R, D); of K pictures, one after the other,
            (B, K * R, D).
        grid: Rows and columns of regions, with rows * columns = R.
        window: Edge of the window in regions (the paper's alpha), at least 1; what exceeds the grid is cut off.
        placement: `"paper"`, or `"centered"`, which the paper does not have.
        pictures: Which of K pictures a sentence has, (B, K) bool; None where K is 1.

    Raises:
        ValueError: If `grid` does not multiply to R or `window` is below 1.
    """
    _check_grid(regions, grid, window, pictures)
    scores = _relevance(entities, entity_mask, regions, pictures)
    summed = scores.sum(dim=1, keepdim=True)  # (B, 1, R), Eq. 2
    windows = _place_windows(summed, entity_mask.any(dim=1, keepdim=True), regions, grid, window, placement)
    return RegionPositions(*windows, scores)


def position_each_entity(
    entities: Tensor,
    entity_mask: Tensor,
    regions: Tensor,
    *,
    grid: tuple[int, int],
    window: int,
    placement: Placement = "paper",
    pictures: Tensor | None = None,
) -> RegionPositions:
    """Position one window per entity, as `position_regions` does for a sentence with that entity alone.

    Takes the arguments of `position_regions`. The result has B * M rows of one entity each, sentence by sentence:
    `center` (B*M,), `mask` (B*M, R), `scores` (B*M, 1, R). Rows of masked entities are rows without an entity.

    Raises:
        ValueError: If `grid` does not multiply to R or `window` is below 1.
    """
    _check_grid(regions, grid, window, pictures)
    scores = _relevance(entities, entity_mask, regions, pictures)
    windows = _place_windows(scores, entity_mask, regions, grid, window, placement)
    return RegionPositions(*windows, scores.flatten(0, 1).unsqueeze(1))


def straight_through_weights(scores: Tensor, entity_mask: Tensor, pictures: Tensor | None = None) -> Tensor:
    """Factors for the regions that are exactly 1 and yet let the loss move the position.

    An argmax passes no gradient, so positioning would learn from nothing. Multiplied into the regions before fusion,
    1 + s (p - stop_gradient(p)) leaves every value as it is and gives p, the mean relevance of a region to the
    entities, the gradient of the region's use.

    Args:
        scores: Relevance F of B sentences and M entities, (B, M, R), as `position_regions` returned it.
        entity_mask: The mask it was given, (B, M) bool.
        pictures: The pictures it was given.

    Returns:
        Weights of 1.0, to the last bit, (B, R), of the dtype of `scores`.
    """
    count = entity_mask.sum(dim=1, keepdim=True).clamp(min=1)  # (B, 1)
    share = scores.sum(dim=1) / count  # (B, R)
    scale: float | Tensor = STRAIGHT_THROUGH_SHARE * share.shape[-1]
    if pictures is not None:  # a sentence's own regions count, not those of the batch's widest
        scale = scale * pictures.sum(dim=1, keepdim=True) / pictures.shape[1]
    return 1.0 + scale * (share - share.detach())


def _check_grid(regions: Tensor, grid: tuple[int, int], window: int, pictures: Tensor | None) -> None:
    rows, columns = grid
    count = 1 if pictures is None else pictures.shape[1]
    if rows * columns * count != regions.shape[1]:
        several = f" of {count} pictures" if count > 1 else ""
        raise ValueError(
            f"A grid of {rows} x {columns}{several} needs {rows * columns * count} regions, but there are "
            f"{regions.shape[1]}."
        )
    if window < 1:
        raise ValueError(f"The window must be at least one region wide, not {window}.")


def attention_logits(queries: Tensor, keys: Tensor) -> Tensor:
    """Scaled dot products (B, Q, K), in float32 or wider: half precision would make up ties and move windows."""
    dtype = torch.promote_types(queries.dtype, torch.float32)
    with torch.autocast(queries.device.type, enabled=False):
        return queries.to(dtype) @ keys.to(dtype).transpose(1, 2) / math.sqrt(queries.shape[-1])


def _relevance(entities: Tensor, entity_mask: Tensor, regions: Tensor, pictures: Tensor | None) -> Tensor:
    """Eq. 1: a softmax over the regions for each entity, (B, M, R); 0 for masked entities."""
    logits = without_absent(attention_logits(entities, regions), pictures)
    return logits.softmax(dim=-1).masked_fill(~entity_mask.unsqueeze(-1), 0.0)


def first_maximum(values: Tensor) -> Tensor:
    """Lowest index of the maximum along the last dimension; torch.argmax promises no order among equals."""
    index = torch.arange(values.shape[-1], device=values.device).expand_as(values)
    below = values < values.amax(dim=-1, keepdim=True)
    return index.masked_fill(below, values.shape[-1]).amin(dim=-1)


@torch.no_grad()
def _place_windows(
    relevance: Tensor, present: Tensor, regions: Tensor, grid: tuple[int, int], window: int, placement: Placement
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Place N windows on each picture.

    Args:
        relevance: What each window's center should maximise, (B, N, R).
        present: Windows to place, (B, N) bool.
        regions: Region features, (B, R, D).

    Returns:
        center, neighbour, top and left, each (B * N,) long, and the mask (B * N, R).
    """
    rows, columns = grid
    height, width = window_size(grid, window)
    index = torch.arange(regions.shape[1], device=regions.device)
    picture, cell = index // (rows * columns), index % (rows * columns)
    row, column = cell // columns, cell % columns  # (R,)

    center = first_maximum(relevance)  # (B, N)
    same_picture = picture == picture[center].unsqueeze(-1)  # (B, N, R)
    row_distance = (row - row[center].unsqueeze(-1)).abs()
    column_distance = (column - column[center].unsqueeze(-1)).abs()
    distance = torch.maximum(row_distance, column_distance)  # (B, N, R)
    is_neighbour = (distance < window) & (distance > 0) & same_picture
    affinity = attention_logits(torch.take_along_dim(regions, center.unsqueeze(-1), dim=1), regions)
    nearest = first_maximum(affinity.masked_fill(~is_neighbour, -torch.inf))
    neighbour = torch.where(is_neighbour.any(dim=-1), nearest, center)

    if placement == "paper":
        top, left = torch.minimum(row[center], row[neighbour]), torch.minimum(column[center], column[neighbour])
    else:
        top, left = row[center] - (height - 1) // 2, column[center] - (width - 1) // 2
    top, left = top.clamp(0, rows - height), left.clamp(0, columns - width)
    below, beyond = row - top.unsqueeze(-1), column - left.unsqueeze(-1)  # (B, N, R)
    inside = (below >= 0) & (below < height) & (beyond >= 0) & (beyond < width) & same_picture

    mask = inside & present.unsqueeze(-1)
    center, neighbour, top, left = (
        field.masked_fill(~present, -1).flatten() for field in (center, neighbour, top, left)
    )
    return center, neighbour, top, left, mask.flatten(0, 1)

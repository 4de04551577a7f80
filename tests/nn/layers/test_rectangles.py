"""Rectangles against trying all of them, and covered shares against counting points."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flair_espvr.nn.layers.rectangles import (
    best_rectangles,
    covered_shares,
    edges_within_cells,
    rectangle_mask,
)


def tried(cells: np.ndarray) -> tuple[int, int, int, int]:
    """The first of the rectangles with the largest sum, by first and last row, right and left edge."""
    height, width = cells.shape
    every = [
        (cells[top:bottom, left:right].sum(), (left, top, right, bottom))
        for top in range(height)
        for bottom in range(top + 1, height + 1)
        for right in range(1, width + 1)
        for left in range(right)
    ]
    largest = max(total for total, _ in every)
    return next(rectangle for total, rectangle in every if total == largest)


@settings(max_examples=150, deadline=None)
@given(
    height=st.integers(1, 7),
    width=st.integers(1, 7),
    count=st.integers(1, 3),
    seed=st.integers(0, 10**6),
    data=st.data(),
)
def test_no_rectangle_holds_more(height: int, width: int, count: int, seed: int, data: st.DataObject) -> None:
    """Small whole numbers, so that sums are exact and many of them equal."""
    reach = data.draw(st.integers(1, 4))
    maps = np.random.default_rng(seed).integers(-reach, reach + 1, (count, height, width))
    found = best_rectangles(torch.tensor(maps, dtype=torch.float32))
    assert [tuple(row) for row in found.tolist()] == [tried(cells) for cells in maps]


@pytest.mark.parametrize("grid", [(7, 7), (24, 24), (37, 37), (3, 20)])
def test_a_rectangle_of_any_size_on_any_grid(grid: tuple[int, int]) -> None:
    height, width = grid
    rng = np.random.default_rng(0)
    wanted = []
    for _ in range(40):
        (left, right), (top, bottom) = (sorted(rng.choice(size + 1, 2, replace=False)) for size in (width, height))
        wanted.append([left, top, right, bottom])
    rectangles = torch.tensor(np.array(wanted))
    assert best_rectangles(rectangle_mask(rectangles, grid).float() - 0.5).tolist() == rectangles.tolist()


@pytest.mark.parametrize("scale", [1.0, 0.4])
def test_edges_of_a_box_are_found_within_cells(scale: float) -> None:
    """Also where a map is less sure of all cells than it could be."""
    grid, rng = (12, 20), np.random.default_rng(0)
    size = torch.tensor([20.0, 12.0, 20.0, 12.0])
    start = rng.uniform(0, 0.6, (200, 2))
    boxes = torch.tensor(np.concatenate([start, start + rng.uniform(0.34, 0.4, (200, 2))], axis=1))
    shares = scale * covered_shares(boxes.unsqueeze(1), torch.ones(200, 1, dtype=torch.bool), grid)
    cells = best_rectangles(shares - 0.5 * scale)
    edges = edges_within_cells(shares, cells)
    torch.testing.assert_close(edges, boxes * size, atol=1e-9, rtol=0)
    assert float((cells - boxes * size).abs().mean()) > 0.2


def test_edges_stay_where_cells_are_whole_or_nothing_is_beside_them() -> None:
    cells = torch.tensor([[0, 0, 4, 3], [1, 1, 2, 2], [2, 0, 4, 1], [0, 2, 1, 3]])
    shares = rectangle_mask(cells, (3, 4)).float()
    assert torch.equal(edges_within_cells(shares, cells), cells.float())
    assert torch.equal(edges_within_cells(0 * shares, cells), cells.float())
    alone = torch.tensor([[[0.0, 0.25, 0.5, 0.0]]])
    assert edges_within_cells(alone, torch.tensor([[2, 0, 3, 1]])).tolist() == [[1.5, 0.0, 3.0, 1.0]]


@settings(max_examples=100, deadline=None)
@given(height=st.integers(1, 6), width=st.integers(1, 6), seed=st.integers(0, 10**6))
def test_no_edge_moves_by_more_than_a_cell_or_out_of_the_grid(height: int, width: int, seed: int) -> None:
    shares = torch.rand(5, height, width, generator=torch.Generator().manual_seed(seed))
    cells = best_rectangles(shares - 0.6)
    edges = edges_within_cells(shares, cells)
    assert float((edges - cells).abs().max()) <= 1
    assert (edges[:, 2:] - edges[:, :2] > 0).all()
    assert edges.min() >= 0
    assert (edges <= torch.tensor([width, height] * 2)).all()


def test_maps_are_searched_by_themselves_and_none_gives_none() -> None:
    maps = torch.randn(600, 5, 4)
    assert torch.equal(best_rectangles(maps)[511:513], best_rectangles(maps[511:513]))
    assert best_rectangles(maps[:0]).shape == (0, 4)


def test_where_nothing_counts_one_cell_is_left() -> None:
    assert best_rectangles(torch.tensor([[[-3.0, -1.0], [-2.0, -4.0]]])).tolist() == [[1, 0, 2, 1]]


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 9), width=st.integers(1, 9), boxes=st.integers(0, 4), seed=st.integers(0, 10**6))
def test_a_union_is_counted_once(height: int, width: int, boxes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    corners = np.sort(rng.integers(0, 61, (boxes, 2, 2)), axis=2)  # (K, axis, side)
    x, y = ((np.arange(60 * size) + 0.5) / size for size in (width, height))
    covered = np.zeros((60 * height, 60 * width), dtype=bool)
    for (left, right), (top, bottom) in corners:
        covered |= ((y > top) & (y < bottom))[:, None] & ((x > left) & (x < right))[None]
    expected = covered.reshape(height, 60, width, 60).mean(axis=(1, 3))
    given_boxes = torch.tensor(corners / 60).permute(0, 2, 1).reshape(1, boxes, 4).float()
    padded = torch.cat([given_boxes, torch.rand(1, 2, 4)], dim=1)
    mask = (torch.arange(boxes + 2) < boxes)[None]
    shares = covered_shares(padded, mask, (height, width))
    np.testing.assert_allclose(shares[0].numpy(), expected, atol=1e-5)

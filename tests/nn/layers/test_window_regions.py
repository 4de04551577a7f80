"""Regions of the picture against the cells of the window that they stand for."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flair_espvr.data.region import Region
from flair_espvr.nn import position_each_entity
from flair_espvr.nn.layers.window_regions import window_regions


@settings(max_examples=100, deadline=None)
@given(height=st.integers(1, 13), width=st.integers(1, 13), window=st.integers(1, 14), seed=st.integers(0, 99))
def test_a_region_covers_the_cells_of_its_window_and_no_others(height: int, width: int, window: int, seed: int) -> None:
    torch.manual_seed(seed)
    mask = torch.tensor([[True, False], [True, True]])
    positions = position_each_entity(
        torch.randn(2, 2, 4), mask, torch.randn(2, height * width, 4), grid=(height, width), window=window
    )
    regions = window_regions(positions, grid=(height, width), window=window)
    assert regions.isnan().any(dim=1).tolist() == regions.isnan().all(dim=1).tolist()
    assert (~regions.isnan()).all(dim=1).tolist() == mask.flatten().tolist()
    for row in mask.flatten().nonzero().flatten().tolist():
        region = Region(*regions[row].tolist())
        assert 0.0 <= region.left < region.right <= 1.0
        assert 0.0 <= region.top < region.bottom <= 1.0
        for cell in range(height * width):
            x, y = (cell % width + 0.5) / width, (cell // width + 0.5) / height
            covered = region.left < x < region.right and region.top < y < region.bottom
            assert covered == bool(positions.mask[row, cell])
        attention = torch.softmax(positions.scores[row, 0].log(), dim=-1)  # a softmax already: unchanged
        assert abs(region.score - float(attention[positions.mask[row]].sum())) < 1e-5

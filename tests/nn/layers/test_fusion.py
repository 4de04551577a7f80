"""Gated fusion: its equations, rows without regions, and what must not matter."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flair_espvr.nn import GatedFusion, select_regions

SIZE = 8
LENGTHS = [6, 2, 4]
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


@pytest.fixture
def fusion():
    torch.manual_seed(0)
    return GatedFusion(SIZE, 2, dropout=0.3).eval()


@pytest.fixture
def batch():
    """Text of three lengths; the first two rows have regions, the third has none."""
    torch.manual_seed(1)
    text_mask = torch.arange(6) < torch.tensor(LENGTHS).unsqueeze(1)
    region_mask = torch.rand(3, 9) < 0.5
    region_mask[2] = False
    return torch.randn(3, 6, SIZE), text_mask, torch.randn(3, 9, SIZE), region_mask


def test_equals_the_equations(fusion, batch):
    text, text_mask, regions, region_mask = batch
    result = fusion(text, text_mask, regions, region_mask)
    for row, length in enumerate(LENGTHS):
        words, visual = text[row : row + 1, :length], regions[row : row + 1, region_mask[row]]
        all_words, all_visual = torch.ones(1, length, dtype=torch.bool), torch.ones(visual.shape[:2], dtype=torch.bool)
        p = fusion.regions_to_words(visual, words, all_words)
        a = fusion.words_to_image_aware(words, p, all_visual)
        q = fusion.words_to_regions(words, visual, all_visual)
        g = 1 / (1 + torch.exp(-(a @ fusion.image_aware_gate.weight.T + q @ fusion.word_aware_gate.weight.T)))
        torch.testing.assert_close(result[row, :length], torch.cat([a[0], (g * q)[0]], dim=-1), **CLOSE)


def test_a_row_without_regions_gives_what_its_text_alone_gives(fusion, batch):
    text, text_mask, regions, region_mask = batch
    nothing = fusion(text, text_mask, regions[:, :0], region_mask[:, :0])
    torch.testing.assert_close(fusion(text, text_mask, regions, region_mask)[2], nothing[2], atol=1e-6, rtol=1e-6)
    other = fusion(text, text_mask, torch.randn_like(regions), region_mask)
    assert torch.equal(other[2], fusion(text, text_mask, regions, region_mask)[2])


def test_padding_and_other_rows_do_not_matter(fusion, batch):
    text, text_mask, regions, region_mask = batch
    result = fusion(text, text_mask, regions, region_mask)
    noisy = fusion(
        text.masked_fill(~text_mask.unsqueeze(-1), 50.0),
        text_mask,
        regions.masked_fill(~region_mask.unsqueeze(-1), -50.0),
        region_mask,
    )
    torch.testing.assert_close(noisy[text_mask], result[text_mask], **CLOSE)
    for row, length in enumerate(LENGTHS):
        one = slice(row, row + 1)
        alone = fusion(text[one, :length], text_mask[one, :length], regions[one], region_mask[one])
        torch.testing.assert_close(alone[0], result[row, :length], **CLOSE)


def test_selected_regions_give_the_same(fusion, batch):
    text, text_mask, regions, region_mask = batch
    expected = fusion(text, text_mask, regions, region_mask)
    selected = select_regions(regions, region_mask, int(region_mask.sum(dim=1).max()))
    torch.testing.assert_close(fusion(text, text_mask, *selected), expected, **CLOSE)


@settings(deadline=None)
@given(
    mask=st.integers(1, 12).flatmap(
        lambda width: st.lists(st.lists(st.booleans(), min_size=width, max_size=width), min_size=1, max_size=4)
    ),
    spare=st.integers(0, 3),
)
def test_selection_keeps_exactly_the_masked_regions_in_order(mask, spare):
    mask = torch.tensor(mask)
    regions = torch.arange(mask.numel()).reshape(*mask.shape, 1)
    count = min(int(mask.sum(dim=1).max()) + spare, mask.shape[1])
    selected, selected_mask = select_regions(regions, mask, count)
    assert selected.shape == (len(mask), count, 1)
    for row in range(len(mask)):
        assert torch.equal(selected[row, selected_mask[row]], regions[row, mask[row]])


@pytest.mark.parametrize("count", [0, 9])
def test_gradients_without_any_region_or_word_are_finite(fusion, batch, count):
    text, text_mask, regions, _ = batch
    text_mask[1] = False
    regions = regions[:, :count].requires_grad_()
    fusion.train()(text.requires_grad_(), text_mask, regions, torch.zeros(3, count, dtype=torch.bool)).sum().backward()
    for gradient in (text.grad, regions.grad, *(parameter.grad for parameter in fusion.parameters())):
        assert gradient.isfinite().all()
    assert (regions.grad == 0).all()


def test_bfloat16_autocast(fusion, batch):
    with torch.autocast("cpu", torch.bfloat16):
        half = fusion(*batch)
    torch.testing.assert_close(half.float(), fusion(*batch), atol=0.1, rtol=0.1)

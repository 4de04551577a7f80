"""Region positioning against a slow loop written from the paper's text."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flair_espvr.nn import position_each_entity, position_regions, straight_through_weights, window_size

WINDOWS = range(1, 13)
GRIDS = [(12, 12), (7, 7), (3, 9), (9, 2), (1, 6), (5, 1), (1, 1)]


def first_index_of_maximum(values):
    return max(range(len(values)), key=lambda index: (values[index], -index))


def position_slowly(entities, regions, rows, columns, window, placement="paper", total=None):
    """Paper 3.3 for one sentence, on lists of floats: (center, neighbour, top, left, window cells) or None.

    `total` stands for what Eq. 2 sums, where it is known already.
    """
    if not entities:
        return None
    scale = math.sqrt(len(regions[0]))

    def correlation(query, key):
        return sum(q * k for q, k in zip(query, key, strict=True)) / scale

    given = total is not None
    total = total if given else [0.0] * len(regions)
    for entity in [] if given else entities:
        logits = [correlation(entity, region) for region in regions]
        highest = max(logits)
        exponentials = [math.exp(logit - highest) for logit in logits]
        for j, value in enumerate(exponentials):
            total[j] += value / sum(exponentials)
    center = first_index_of_maximum(total)

    best, neighbour = -math.inf, center
    for j in range(len(regions)):
        near = (
            abs(j // columns - center // columns) < window and abs(j % columns - center % columns) < window
        ) and j != center
        if near and correlation(regions[center], regions[j]) > best:
            best, neighbour = correlation(regions[center], regions[j]), j

    top = min(center // columns, neighbour // columns)
    left = min(center % columns, neighbour % columns)
    if placement == "centered":  # as many rows before b_c as after it, one fewer where the window's edge is even
        top, left = center // columns, center % columns
        for _ in range((min(window, rows) - 1) // 2):
            top = max(top - 1, 0)
        for _ in range((min(window, columns) - 1) // 2):
            left = max(left - 1, 0)
    while top > 0 and top + window > rows:
        top -= 1
    while left > 0 and left + window > columns:
        left -= 1
    cells = {
        r * columns + c for r in range(top, min(top + window, rows)) for c in range(left, min(left + window, columns))
    }
    return center, neighbour, top, left, cells


def random_batch(seed, grid, *, tied):
    """Up to four entities per sentence, some masked. `tied` draws the regions from three vectors, so that many tie."""
    generator = torch.Generator().manual_seed(seed)
    batch, count, size = 16, seed % 5, 3
    region_count = grid[0] * grid[1]
    regions = torch.randn(batch, region_count, size, generator=generator, dtype=torch.float64)
    if tied:
        drawn = torch.randint(0, 3, (batch, region_count, 1), generator=generator)
        regions = torch.take_along_dim(regions.expand(batch, max(3, region_count), size), drawn % region_count, dim=1)
    entities = torch.randn(batch, count, size, generator=generator, dtype=torch.float64)
    entity_mask = torch.rand(batch, count, generator=generator) < 0.7
    return entities, entity_mask, regions


def as_row(positions, row):
    """One row of the result in the form of `position_slowly`."""
    center, neighbour, top, left = (
        int(field[row]) for field in (positions.center, positions.neighbour, positions.top, positions.left)
    )
    cells = set(positions.mask[row].nonzero().flatten().tolist())
    if center == -1:
        assert (neighbour, top, left, cells) == (-1, -1, -1, set())
        return None
    return center, neighbour, top, left, cells


@pytest.mark.parametrize("placement", ["paper", "centered"])
@pytest.mark.parametrize("tied", [False, True], ids=["distinct", "tied"])
@pytest.mark.parametrize("window", WINDOWS)
def test_equals_the_loop_of_the_paper(window, tied, placement):
    for seed, grid in enumerate(GRIDS):
        entities, entity_mask, regions = random_batch(100 * window + seed, grid, tied=tied)
        sizes = {"grid": grid, "window": window, "placement": placement}
        positions = position_regions(entities, entity_mask, regions, **sizes)
        each = position_each_entity(entities, entity_mask, regions, **sizes)
        for row in range(len(entities)):
            present = entities[row][entity_mask[row]].tolist()
            expected = position_slowly(present, regions[row].tolist(), *grid, window, placement)
            assert as_row(positions, row) == expected
            for index, exists in enumerate(entity_mask[row].tolist()):
                alone = [entities[row, index].tolist()] if exists else []
                expected = position_slowly(alone, regions[row].tolist(), *grid, window, placement)
                assert as_row(each, row * entity_mask.shape[1] + index) == expected


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    grid=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    count=st.integers(1, 4),
    window=st.integers(1, 4),
    placement=st.sampled_from(["paper", "centered"]),
)
def test_of_several_pictures_one_has_the_window(seed, grid, count, window, placement):
    """Relevance over all that are there, then neighbours and window on the picture of b_c by the paper's loop."""
    entities, entity_mask, _ = random_batch(seed, grid, tied=False)
    generator = torch.Generator().manual_seed(seed)
    cells = grid[0] * grid[1]
    regions = torch.randn(len(entities), count * cells, 3, generator=generator, dtype=torch.float64)
    pictures = torch.rand(len(entities), count, generator=generator) < 0.6
    entity_mask = entity_mask & pictures.any(dim=1, keepdim=True)
    sizes = {"grid": grid, "window": window, "placement": placement, "pictures": pictures}
    positions = position_regions(entities, entity_mask, regions, **sizes)
    for row in range(len(entities)):
        there = [picture for picture in range(count) if pictures[row, picture]]
        own = [regions[row, picture * cells : (picture + 1) * cells].tolist() for picture in there]
        present = entities[row][entity_mask[row]].tolist()
        total = [0.0] * (len(there) * cells)
        for entity in present:
            logits = [sum(map(math.prod, zip(entity, region, strict=True))) for picture in own for region in picture]
            exponentials = [math.exp(logit / math.sqrt(3)) for logit in logits]
            total = [one + value / sum(exponentials) for one, value in zip(total, exponentials, strict=True)]
        best = first_index_of_maximum(total) // cells if present else 0
        of_best = total[best * cells : (best + 1) * cells]
        expected = position_slowly(present, own[best] if own else [], *grid, window, placement, of_best)
        if expected is not None:
            center, neighbour, top, left, inside = expected
            first = there[best] * cells
            expected = center + first, neighbour + first, top, left, {first + cell for cell in inside}
        assert as_row(positions, row) == expected
        assert not positions.scores[row].view(-1, count, cells)[:, ~pictures[row]].any()


@settings(deadline=None, max_examples=200)
@given(
    rows=st.integers(1, 12),
    columns=st.integers(1, 12),
    window=st.integers(1, 14),
    seed=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
)
def test_the_window_holds_center_and_neighbour_and_fits_the_grid(rows, columns, window, seed, dtype):
    generator = torch.Generator().manual_seed(seed)
    entities = torch.randn(2, 3, 4, generator=generator).to(dtype)
    regions = torch.randn(2, rows * columns, 4, generator=generator).to(dtype)
    entity_mask = torch.ones(2, 3, dtype=torch.bool)
    positions = position_regions(entities, entity_mask, regions, grid=(rows, columns), window=window)
    assert positions.mask.gather(1, positions.center.unsqueeze(1)).all()
    assert positions.mask.gather(1, positions.neighbour.unsqueeze(1)).all()
    height, width = window_size((rows, columns), window)
    assert positions.mask.sum(dim=1).tolist() == [height * width] * 2
    assert (positions.top + height <= rows).all()
    assert (positions.left + width <= columns).all()
    has_neighbour = window > 1 and rows * columns > 1
    assert ((positions.neighbour != positions.center) == has_neighbour).all()
    torch.testing.assert_close(positions.scores.sum(dim=-1), torch.ones(2, 3))


def test_a_centered_window_lies_around_b_c():
    entities, entity_mask, regions = random_batch(3, (12, 12), tied=False)
    positions = position_regions(entities, entity_mask, regions, grid=(12, 12), window=5, placement="centered")
    row, column = positions.center // 12, positions.center % 12
    inner = (row >= 2) & (row < 10) & (column >= 2) & (column < 10) & entity_mask.any(dim=1)
    assert inner.sum() > 3
    assert torch.equal(positions.top[inner] + 2, row[inner])
    assert torch.equal(positions.left[inner] + 2, column[inner])


def test_masked_entities_have_no_score_and_no_say():
    entities, entity_mask, regions = random_batch(3, (4, 4), tied=False)
    loud = entities.masked_fill(~entity_mask.unsqueeze(-1), 1e4)
    quiet = position_regions(entities, entity_mask, regions, grid=(4, 4), window=2)
    positions = position_regions(loud, entity_mask, regions, grid=(4, 4), window=2)
    assert (positions.scores[~entity_mask] == 0).all()
    for name, value in vars(positions).items():
        assert torch.equal(value, getattr(quiet, name)), name


@pytest.mark.parametrize("window", [1, 3])
def test_all_regions_alike_choose_the_first(window):
    entities, entity_mask = torch.ones(1, 2, 5), torch.ones(1, 2, dtype=torch.bool)
    positions = position_regions(entities, entity_mask, torch.ones(1, 12, 5), grid=(3, 4), window=window)
    assert (positions.center.item(), positions.top.item(), positions.left.item()) == (0, 0, 0)
    assert positions.neighbour.item() == (0 if window == 1 else 1)


def test_half_precision_does_not_make_up_ties():
    regions = torch.tensor([[[1.0], [1.001]]])
    with torch.autocast("cpu", torch.bfloat16):
        positions = position_regions(
            torch.ones(1, 1, 1), torch.ones(1, 1, dtype=torch.bool), regions, grid=(1, 2), window=1
        )
    assert positions.center.item() == 1
    assert positions.scores.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_straight_through_weights_are_one_and_carry_a_gradient(dtype):
    torch.manual_seed(0)
    entities = torch.randn(4, 3, 8, dtype=dtype, requires_grad=True)
    regions = torch.randn(4, 20, 8, dtype=dtype, requires_grad=True)
    entity_mask = torch.tensor([[1, 1, 1], [1, 0, 0], [0, 1, 1], [0, 0, 0]], dtype=torch.bool)
    positions = position_regions(entities, entity_mask, regions, grid=(4, 5), window=2)
    weights = straight_through_weights(positions.scores, entity_mask)
    assert torch.equal(weights, torch.ones(4, 20, dtype=dtype))

    value = torch.randn(4, 20, dtype=dtype)
    (weights * value).sum().backward()
    # The gradient is that of s * p: the mean relevance, a tenth of R times over.
    again = entities.detach().requires_grad_()
    relevance = (again @ regions.detach().transpose(1, 2) / 8**0.5).softmax(dim=-1) * entity_mask.unsqueeze(-1)
    mean = relevance.sum(dim=1) / entity_mask.sum(dim=1, keepdim=True).clamp(min=1)
    (2.0 * mean * value).sum().backward()
    torch.testing.assert_close(entities.grad, again.grad)
    assert regions.grad[0].abs().sum() > 0
    assert (regions.grad[3] == 0).all()
    assert (entities.grad[~entity_mask] == 0).all()


def test_other_sentences_and_padding_do_not_matter():
    entities, entity_mask, regions = random_batch(4, (5, 6), tied=False)
    positions = position_regions(entities, entity_mask, regions, grid=(5, 6), window=3)
    for row in range(len(entities)):
        kept = entity_mask[row]
        alone = position_regions(
            entities[row, kept].unsqueeze(0), kept[kept].unsqueeze(0), regions[row : row + 1], grid=(5, 6), window=3
        )
        assert as_row(alone, 0) == as_row(positions, row)
        torch.testing.assert_close(alone.scores[0], positions.scores[row, kept])


@pytest.mark.parametrize(
    ("grid", "window", "message"), [((3, 4), 2, "needs 12 regions, but there are 10"), ((2, 5), 0, "not 0")]
)
@pytest.mark.parametrize("position", [position_regions, position_each_entity])
def test_sizes_that_do_not_fit_are_refused(position, grid, window, message):
    with pytest.raises(ValueError, match=message):
        position(
            torch.ones(1, 1, 2), torch.ones(1, 1, dtype=torch.bool), torch.ones(1, 10, 2), grid=grid, window=window
        )

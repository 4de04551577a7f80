"""InfoNCE against its formula, pair by pair, and swapped pairs against the published batches."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flair_espvr.nn.layers.contrast import info_nce, swapped_pairs

PRESENT = torch.tensor([True, False, True, True])


def test_info_nce_follows_the_formula() -> None:
    first, second = torch.randn(4, 3).double().requires_grad_(), torch.randn(4, 3).double().requires_grad_()
    result = info_nce(first, second, PRESENT, temperature=0.2, first_share=0.7)
    posts = [0, 2, 3]

    def similarity(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a @ b) / (a.square().sum().sqrt() * b.square().sum().sqrt()) / 0.2

    rows = []
    for post in range(4):
        row = torch.zeros(()).double()
        for share, asking, found in ((0.7, first, second), (0.3, second, first)):
            if post in posts:
                total = sum(similarity(asking[post], found[other]).exp() for other in posts)
                row = row - share * torch.log(similarity(asking[post], found[post]).exp() / total)
        rows.append(row)
    slow = torch.stack(rows)
    torch.testing.assert_close(result, slow)
    for mine, expected in zip(
        torch.autograd.grad(result.sum(), [first, second]),
        torch.autograd.grad(slow.sum(), [first, second]),
        strict=True,
    ):
        torch.testing.assert_close(mine, expected)


def test_a_post_alone_has_nothing_to_be_told_from() -> None:
    vectors = torch.randn(4, 3, requires_grad=True)
    for present in (torch.zeros(4, dtype=torch.bool), torch.eye(4, dtype=torch.bool)[1]):
        result = info_nce(vectors, vectors + 1, present, temperature=0.1, first_share=0.5)
        torch.testing.assert_close(result, torch.zeros(4), atol=1e-6, rtol=0)
        (gradient,) = torch.autograd.grad(result.sum(), [vectors])
        assert not gradient.isnan().any()


def test_identical_vectors_are_told_apart_by_chance() -> None:
    result = info_nce(torch.ones(4, 3), torch.ones(4, 3), PRESENT, temperature=0.1, first_share=0.5)
    torch.testing.assert_close(result, torch.tensor([1.0, 0.0, 1.0, 1.0]) * math.log(3))


@pytest.mark.parametrize("posts", [64, 70, 100])
def test_of_many_posts_the_last_sixteen_are_swapped_as_published(posts: int) -> None:
    shown, swapped = swapped_pairs(torch.ones(posts, dtype=torch.bool), count=posts, negatives=16)
    before = list(range(posts - 16))
    assert shown.tolist() == [*before, *range(posts - 8, posts), *range(posts - 16, posts - 8)]
    assert swapped.tolist() == [False] * len(before) + [True] * 16


@given(present=st.lists(st.booleans(), min_size=1, max_size=30), negatives=st.integers(0, 6).map(lambda n: 2 * n))
def test_posts_with_images_are_swapped_in_pairs_and_others_never(present: list[bool], negatives: int) -> None:
    shown, swapped = swapped_pairs(torch.tensor(present), count=sum(present), negatives=negatives)
    assert sorted(shown.tolist()) == list(range(len(present)))
    assert shown[shown].tolist() == list(range(len(present)))
    expected = min(negatives, sum(present) // 8 * 2)
    assert int(swapped.sum()) == expected
    places = [place for place, there in enumerate(present) if there]
    assert swapped.nonzero().flatten().tolist() == places[len(places) - expected :]

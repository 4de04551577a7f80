"""Batches against what their description says of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flair_espvr.errors import ConfigurationError
from flair_espvr.models.batching import LONG, batches_by_length

LENGTHS = st.lists(st.integers(1, 60), max_size=40)


@given(lengths=LENGTHS, size=st.integers(1, 12))
def test_a_fixed_number_of_items_longest_first(lengths: list[int], size: int) -> None:
    batches = list(batches_by_length(lengths, mini_batch_size=size))
    order = [place for batch in batches for place in batch]
    assert order == [place for _, place in sorted((-length, place) for place, length in enumerate(lengths))]
    assert all(len(batch) == size for batch in batches[:-1])
    assert all(1 <= len(batch) <= size for batch in batches[-1:])


@given(lengths=LENGTHS, budget=st.integers(1, 200))
def test_a_budget_is_kept_and_filled(lengths: list[int], budget: int) -> None:
    batches = list(batches_by_length(lengths, mini_batch_size=3, max_tokens=budget))
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for number, batch in enumerate(batches):
        longest = max(lengths[place] for place in batch)
        assert len(batch) == 1 or len(batch) * longest <= budget
        if number + 1 < len(batches):
            assert (len(batch) + 1) * longest > budget


@given(
    lengths=st.lists(st.one_of(st.integers(1, 60), st.integers(LONG - 2, 20 * LONG)), max_size=40),
    size=st.integers(1, 12),
)
def test_no_batch_is_larger_than_a_full_one_of_long_items_unless_one_item_is(lengths: list[int], size: int) -> None:
    batches = list(batches_by_length(lengths, mini_batch_size=size))
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[place] for place in batch)
        assert len(batch) <= size
        assert len(batch) == 1 or len(batch) * longest <= size * LONG


@given(items=st.lists(st.tuples(st.integers(1, 60), st.integers(1, 5)), max_size=40), size=st.integers(1, 12))
def test_posts_with_several_pictures_stay_among_themselves(items: list[tuple[int, int]], size: int) -> None:
    lengths, pictures = [length for length, _ in items], [count for _, count in items]
    batches = list(batches_by_length(lengths, mini_batch_size=size, pictures=pictures))
    assert sorted(place for batch in batches for place in batch) == list(range(len(items)))
    for batch in batches:
        (count,) = {pictures[place] for place in batch}
        assert len(batch) == 1 or len(batch) * count <= size


@pytest.mark.parametrize("sizes", [{"mini_batch_size": 0}, {"mini_batch_size": 3, "max_tokens": 0}])
def test_a_size_that_no_batch_has_is_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="0"):
        list(batches_by_length([3, 2], **sizes))

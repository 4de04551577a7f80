"""Whether one system is better than another on the same test posts, or only luckier.

Both tests take whole posts as their units, so that entities of one post stay together, and compare the micro-averaged
F1. A system that was trained with several seeds enters with its counts summed over them: what is swapped or drawn is a
post with all its seeds at once, and the F1 compared is that of all its seeds' predictions taken together. Swapping
seeds singly would treat three predictions of one post as three posts and find differences where there are none.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flair_espvr.data.bio import EntitySpan
from flair_espvr.errors import ConfigurationError

PostCounts = NDArray[np.int64]
"""Shape (N, 3), the gold, predicted and correct entities of each of N posts. The sum of two arrays is two seeds."""

_CHUNK_CELLS = 1 << 22
_CONFIDENCE = 0.95
_ROUNDING = 1e-12


class PairedTest(NamedTuple):
    """F1 of the first system minus that of the second, -1..1, and how often chance alone would differ as much."""

    difference_in_f1: float
    p_value: float


class PairedInterval(NamedTuple):
    """F1 of the first system minus that of the second, -1..1, and the ends of its 95 % interval."""

    difference_in_f1: float
    low: float
    high: float


def post_counts(gold: Sequence[Iterable[EntitySpan]], predicted: Sequence[Iterable[EntitySpan]]) -> PostCounts:
    """Count one run's entities post by post.

    Args:
        gold: for each of N posts its entities.
        predicted: the same posts' predicted entities; one that is there twice counts once.

    Returns:
        (N, 3), see `PostCounts`. The counts of several seeds are added.

    Raises:
        ValueError: the two are not of one length.
    """
    pairs = zip(map(set, gold), map(set, predicted), strict=True)
    counts = [(len(found), len(given), len(found & given)) for found, given in pairs]
    return np.array(counts, dtype=np.int64).reshape(-1, 3)


def approximate_randomization(
    first: PostCounts, second: PostCounts, *, rounds: int = 10_000, seed: int = 0
) -> PairedTest:
    """Test, two-sided, whether two systems differ in F1 (Noreen 1989; Yeh 2000).

    If they did not, it would not matter which system's name stands on which of a post's two outputs. In each round
    these are swapped for a random half of the posts; `p = (r + 1) / (rounds + 1)`, where r rounds differ in F1 at
    least as much as the systems do.

    Args:
        first: (N, 3), counts of one system, summed over its seeds.
        second: (N, 3), counts of the other, on the same posts and for as many seeds.
        rounds: how often to swap; no p-value below `1 / (rounds + 1)` can come out.
        seed: of the random swaps.

    Raises:
        ConfigurationError: the gold entities of a post differ in number: other posts, or more seeds.
    """
    _check_same_gold(first, second)
    observed = _f1(first.sum(0)) - _f1(second.sum(0))
    changes = (second - first)[np.any(first != second, axis=1)].astype(np.float64)
    generator = np.random.default_rng(seed)
    as_different = 0
    for size in _chunks(rounds, len(changes)):
        swapped = generator.integers(2, size=(size, len(changes)), dtype=np.int8) @ changes  # (size, 3)
        differences = _f1(first.sum(0) + swapped) - _f1(second.sum(0) - swapped)
        as_different += int(np.count_nonzero(np.abs(differences) >= abs(observed) - _ROUNDING))
    return PairedTest(float(observed), (as_different + 1) / (rounds + 1))


def paired_bootstrap(first: PostCounts, second: PostCounts, *, rounds: int = 10_000, seed: int = 0) -> PairedInterval:
    """Find how far a difference in F1 depends on the posts drawn (Koehn 2004; Berg-Kirkpatrick et al. 2012).

    In each round N posts are drawn with replacement, the same for both systems; the interval holds the middle 95 % of
    the differences found (the percentile interval).

    Args:
        first: (N, 3), counts of one system, summed over its seeds.
        second: (N, 3), counts of the other, on the same posts and for as many seeds.
        rounds: how often to draw.
        seed: of the random draws.

    Raises:
        ConfigurationError: the gold entities of a post differ in number: other posts, or more seeds; or there are
            no posts to draw from.
    """
    _check_same_gold(first, second)
    posts = len(first)
    if not posts:
        raise ConfigurationError("there are no posts to compare two systems on")
    # Posts with the same counts are one and the same to F1, and there are few kinds: draw how many there are of each.
    kinds, frequency = np.unique(np.hstack([first, second]), axis=0, return_counts=True)  # (K, 6), (K,)
    generator = np.random.default_rng(seed)
    differences = []
    for size in _chunks(rounds, len(kinds)):
        drawn = generator.multinomial(posts, frequency / posts, size=size) @ kinds  # (size, 6)
        differences.append(_f1(drawn[:, :3]) - _f1(drawn[:, 3:]))
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(np.concatenate(differences), [tail, 1 - tail])
    return PairedInterval(float(_f1(first.sum(0)) - _f1(second.sum(0))), float(low), float(high))


def _check_same_gold(first: PostCounts, second: PostCounts) -> None:
    if len(first) != len(second):
        raise ConfigurationError(
            f"two systems can be compared on the same posts only, but one has {len(first)} and the other {len(second)}"
        )
    if not np.array_equal(first[:, 0], second[:, 0]):
        post = int(np.argmax(first[:, 0] != second[:, 0]))
        raise ConfigurationError(
            f"two systems can be compared on the same posts and for as many seeds only, but post {post} has "
            f"{first[post, 0]} gold entities for one and {second[post, 0]} for the other, summed over its seeds"
        )


def _f1(counts: NDArray[np.integer] | NDArray[np.floating]) -> NDArray[np.float64]:
    """(..., 3) counts -> (...) F1, 0 where there is nothing to divide by, as `Score.f1`."""
    entities = counts[..., 0] + counts[..., 1]
    return 2 * counts[..., 2] / np.maximum(entities, 1)


def _chunks(rounds: int, width: int) -> Iterator[int]:
    """Sizes that sum to `rounds`, so that arrays of (size, width) stay small whatever the test set."""
    largest = max(1, _CHUNK_CELLS // max(width, 1))
    while rounds > 0:
        yield min(rounds, largest)
        rounds -= largest

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from seqeval.metrics import f1_score

from flair_espvr.data.bio import EntitySpan, bio_tags
from flair_espvr.errors import ConfigurationError
from flair_espvr.evaluation import significance
from flair_espvr.evaluation.significance import approximate_randomization, paired_bootstrap, post_counts

SOME = [EntitySpan(0, 1, "PER"), EntitySpan(2, 4, "LOC")]


def f1(counts):
    """From its definition, one post after the other."""
    gold, predicted, correct = (sum(int(post[column]) for post in counts) for column in range(3))
    return 2 * correct / (gold + predicted) if gold + predicted else 0.0


def outputs(posts, *, seed, skill=(0.7, 0.7)):
    """Counts of two systems on made-up posts, each of which finds an entity with a chance of its own."""
    generator = np.random.default_rng(seed)
    gold = generator.poisson(1.4, posts)
    systems = []
    for chance in skill:
        correct = generator.binomial(gold, chance)
        systems.append(np.stack([gold, correct + generator.poisson(0.3, posts), correct], axis=1))
    return systems


def all_swaps(first, second):
    """The exact p-value: every one of the 2^N swaps, the identity included."""
    observed = abs(f1(first) - f1(second))
    hits = 0
    for swaps in itertools.product([False, True], repeat=len(first)):
        one = [b if swap else a for a, b, swap in zip(first, second, swaps, strict=True)]
        other = [a if swap else b for a, b, swap in zip(first, second, swaps, strict=True)]
        hits += abs(f1(one) - f1(other)) >= observed - 1e-12
    return hits / 2 ** len(first)


def by_index(first, second):
    """Both systems as scipy takes paired samples, one number for a post of a system, and their difference in F1."""
    both = np.concatenate([first, second])
    posts = len(first)

    def difference(one, other, axis=-1):
        def score(drawn):
            gold, predicted, correct = np.moveaxis(both[drawn.astype(int)].sum(axis=-2), -1, 0)
            return 2 * correct / np.maximum(gold + predicted, 1)

        return score(np.moveaxis(one, axis, -1)) - score(np.moveaxis(other, axis, -1))

    return (np.arange(posts), np.arange(posts, 2 * posts)), difference


ENTITIES = st.lists(
    st.builds(
        lambda start, type: EntitySpan(start, start + 1, type), st.integers(0, 3), st.sampled_from(["PER", "LOC"])
    ),
    max_size=4,
    unique_by=lambda entity: entity.start,
)


@given(posts=st.lists(st.tuples(ENTITIES, ENTITIES), min_size=1, max_size=5))
def test_summed_counts_give_the_f1_of_seqeval(posts):
    gold, predicted = zip(*posts, strict=True)
    if not any(gold) and not any(predicted):
        return  # seqeval warns of nothing to score
    tags = ([bio_tags(4, post) for post in column] for column in (gold, predicted))
    assert f1(post_counts(gold, predicted)) == pytest.approx(f1_score(*tags, zero_division=0))


def test_counts_are_of_sets():
    assert post_counts([SOME, []], [[SOME[0], SOME[0], EntitySpan(2, 4, "PER")], SOME]).tolist() == [
        [2, 2, 1],
        [0, 2, 0],
    ]
    assert post_counts([], []).shape == (0, 3)


@pytest.mark.parametrize("seed", range(4))
def test_randomization_approaches_every_possible_swap(seed):
    first, second = outputs(9, seed=seed, skill=(0.8, 0.4))
    exact = all_swaps(first, second)
    found = approximate_randomization(first, second, rounds=20_000, seed=1)
    assert found.difference_in_f1 == pytest.approx(f1(first) - f1(second))
    assert found.p_value == pytest.approx(exact, abs=0.015)  # over four standard errors


@pytest.mark.parametrize("seed", range(3))
def test_randomization_agrees_with_scipy(seed):
    first, second = outputs(300, seed=seed, skill=(0.72, 0.68))
    samples, difference = by_index(first, second)
    reference = stats.permutation_test(
        samples, difference, permutation_type="samples", n_resamples=9999, batch=500, vectorized=True,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    found = approximate_randomization(first, second)
    assert found.difference_in_f1 == pytest.approx(float(reference.statistic))
    assert found.p_value == pytest.approx(float(reference.pvalue), abs=0.025)


@pytest.mark.parametrize("seed", range(3))
def test_bootstrap_agrees_with_scipy(seed):
    first, second = outputs(300, seed=seed, skill=(0.72, 0.6))
    samples, difference = by_index(first, second)
    reference = stats.bootstrap(
        samples, difference, paired=True, vectorized=True, method="percentile", n_resamples=9999, batch=500,
        rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    found = paired_bootstrap(first, second)
    assert found.difference_in_f1 == pytest.approx(f1(first) - f1(second))
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high), abs=0.004)
    assert found.low < found.difference_in_f1 < found.high


def test_p_values_of_equal_systems_are_uniform():
    p_values = [
        approximate_randomization(*outputs(200, seed=seed), rounds=500, seed=seed).p_value for seed in range(300)
    ]
    assert stats.kstest(p_values, "uniform").pvalue > 0.01
    assert np.mean(np.array(p_values) <= 0.05) == pytest.approx(0.05, abs=0.04)


def test_intervals_hold_the_true_difference_as_often_as_they_say():
    intervals = [paired_bootstrap(*outputs(200, seed=seed), rounds=500, seed=seed) for seed in range(300)]
    assert np.mean([low <= 0 <= high for _, low, high in intervals]) == pytest.approx(0.95, abs=0.04)


def test_a_system_does_not_differ_from_itself():
    first, _ = outputs(50, seed=0)
    assert approximate_randomization(first, first) == (0, 1)
    assert paired_bootstrap(first, first) == (0, 0, 0)


def test_a_large_difference_gets_the_smallest_p_value_that_can_be():
    first, second = outputs(500, seed=0, skill=(0.9, 0.3))
    assert approximate_randomization(first, second, rounds=99).p_value == 1 / 100


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_other_way_round_only_the_sign_changes(seed):
    first, second = outputs(20, seed=seed)
    there, back = (approximate_randomization(*pair, rounds=50, seed=3) for pair in [(first, second), (second, first)])
    assert back == (-there.difference_in_f1, there.p_value)


def test_the_interval_the_other_way_round_is_mirrored():
    first, second = outputs(200, seed=0)
    there, back = paired_bootstrap(first, second), paired_bootstrap(second, first)
    assert back == pytest.approx((-there.difference_in_f1, -there.high, -there.low), abs=0.004)


def test_chunks_change_nothing(monkeypatch):
    first, second = outputs(40, seed=5, skill=(0.8, 0.6))
    whole = approximate_randomization(first, second, rounds=1000), paired_bootstrap(first, second, rounds=1000)
    monkeypatch.setattr(significance, "_CHUNK_CELLS", 100)
    parts = approximate_randomization(first, second, rounds=1000), paired_bootstrap(first, second, rounds=1000)
    assert parts[0].p_value == pytest.approx(whole[0].p_value, abs=0.05)
    assert parts[1] == pytest.approx(whole[1], abs=0.02)


def test_seeds_of_a_post_are_swapped_together():
    """Three seeds with one output are one seed: a test that took them for three times the posts would be surer."""
    first, second = outputs(60, seed=2, skill=(0.75, 0.6))
    assert approximate_randomization(3 * first, 3 * second) == approximate_randomization(first, second)
    assert paired_bootstrap(3 * first, 3 * second) == pytest.approx(paired_bootstrap(first, second))


@pytest.mark.parametrize("test", [approximate_randomization, paired_bootstrap])
def test_other_posts_or_more_seeds_are_refused(test):
    first, second = outputs(10, seed=0)
    with pytest.raises(ConfigurationError, match="one has 10 and the other 9"):
        test(first, second[:9])
    with pytest.raises(ConfigurationError, match="as many seeds"):
        test(first, 2 * second)


def test_without_posts():
    nothing = post_counts([], [])
    assert approximate_randomization(nothing, nothing) == (0, 1)
    with pytest.raises(ConfigurationError, match="no posts"):
        paired_bootstrap(nothing, nothing)

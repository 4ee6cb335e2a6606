import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import evo_moo
from evo_moo.analysis.statistics.significance import (
    compare_samples,
    detectable_effect,
    holm,
    n_needed,
    paired_tests,
    power,
)
from evo_moo.errors import MetricError

SEEDS = (42, 43, 44)
VALUES = {
    "a": (0.91, 0.92, 0.93),
    "b": (0.95, 0.97, 0.96),
    "c": (0.91, 0.92, 0.93),
    "d": (0.90, 0.93, 0.94),
}


class Study(evo_moo.SearchProblem):
    variables = {"kind": evo_moo.Choice(list(VALUES))}
    objectives = {"accuracy": "max", "size": "min"}

    def evaluate(self, config):
        values = VALUES[config["kind"]]
        by_seed = {f"accuracy_seed_{seed}": value for seed, value in zip(SEEDS, values, strict=True)}
        return {"accuracy": math.fsum(values) / 3, "size": float(ord(config["kind"])), **by_seed}


@pytest.fixture(scope="module")
def result():
    return evo_moo.search(Study(), "grid", termination=("n_evals", 4), workers=1)


def kinds(result, ids):
    by_id = {e.id: e.configuration["kind"] for e in result.evaluations}
    return tuple(by_id[i] for i in ids)


def test_every_two_are_compared_seed_by_seed(result):
    tests = paired_tests(result.evaluations, "accuracy")
    assert len(tests) == 6
    for test in tests:
        one, other = (np.array(VALUES[kind]) for kind in kinds(result, test[:2]))
        assert test.difference == pytest.approx((one - other).mean())
        if (one == other).all():
            assert (test.t, test.p, test.p_holm) == (0.0, 1.0, 1.0)
        else:
            # Student's formula, and the distribution with two degrees of freedom.
            t = (one - other).mean() / ((one - other).std(ddof=1) / math.sqrt(3))
            assert test.t == pytest.approx(t) and test.p == pytest.approx(2 * stats.t.sf(abs(t), 2))
            assert test.p <= test.p_holm <= 1


def test_missing_values_by_seed_are_an_error_with_the_way_out(result):
    with pytest.raises(
        MetricError, match="share at least two seeds of size, recorded as size_seed_N, but 1 and 2 share 0"
    ):
        paired_tests(result.evaluations, "size")


def test_holm_on_the_numbers_of_a_textbook():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.sampled_from([0.01, 0.05, 0.5]))
@settings(max_examples=50)
def test_holm_rejects_what_the_steps_down_reject(p_values, alpha):
    rejected = set()
    for step, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[i] * (len(p_values) - step) > alpha:
            break
        rejected.add(i)
    assert {i for i, p in enumerate(holm(p_values)) if p <= alpha} == rejected


@pytest.mark.slow
def test_comparisons_without_a_difference_rarely_find_one():
    rng, n, found = np.random.default_rng(11), 500, {"t": 0, "ranks": 0}
    for i in range(n):
        paired = i % 2 == 0
        common = rng.normal(size=6) if paired else np.zeros(6)
        keys = [range(6) if paired else [f"{name}{i}" for i in range(6)] for name in "abc"]
        samples = {k: dict(zip(its, common + rng.normal(size=6), strict=True)) for k, its in enumerate(keys)}
        tests = compare_samples(samples, "m")
        assert all(test.paired is paired for test in tests)
        found["t"] += any(test.p_holm <= 0.05 for test in tests)
        found["ranks"] += any(p <= 0.05 for p in holm([test.p_ranks for test in tests]))
    # The chance of any false finding among the three is at most 5 %; more than this is seen once in a million.
    assert max(found.values()) <= stats.binom.isf(1e-6, n, 0.05)
    assert found["t"] >= stats.binom.ppf(1e-6, n, 0.02)


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("effect", [0.6, 1.0, 2.0])
def test_so_many_as_are_needed_find_an_effect_as_often_as_stated(effect, paired):
    n = n_needed(effect, paired=paired)
    assert power(effect, n - 1, paired=paired) < 0.8 <= power(effect, n, paired=paired)
    rng, times = np.random.default_rng(13), 20_000
    x, y = rng.normal(effect, 1.0, (times, n)), rng.normal(0.0, 1.0, (times, n))
    p = stats.ttest_1samp(x, 0, axis=1).pvalue if paired else stats.ttest_ind(x, y, axis=1).pvalue
    low, high = stats.binom.interval(1 - 1e-6, times, power(effect, n, paired=paired))
    assert low <= (p <= 0.05).sum() <= high
    assert detectable_effect(n, paired=paired) <= effect < detectable_effect(n - 1, paired=paired)


def test_the_power_of_tables():
    # Cohen 1988 and G*Power: d = 0.5 takes 34 pairs, or 64 of each; d = 0.8 26 of each.
    assert (n_needed(0.5), n_needed(0.5, paired=False), n_needed(0.8, paired=False)) == (34, 64, 26)
    assert power(0.0, 10) == pytest.approx(0.05, rel=1e-3) and power(1e6, 2) == pytest.approx(1.0)
    assert n_needed(0.0) is None and n_needed(1e-4) is None


def test_pairs_have_the_numbers_of_scipy():
    x, y = [0.91, 0.93, 0.96, 0.90, 0.95], [0.90, 0.95, 0.90, 0.88, 0.91]
    (test,) = compare_samples({"a": dict(enumerate(x)), "b": dict(enumerate(y))}, "acc")
    expected = stats.ttest_rel(x, y)
    assert (test.t, test.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert (test.low, test.high) == pytest.approx(tuple(expected.confidence_interval()))
    assert test.p_ranks == stats.wilcoxon(np.array(x) - np.array(y)).pvalue
    difference = np.array(x) - np.array(y)
    assert test.effect == pytest.approx(difference.mean() / difference.std(ddof=1))
    ranks = stats.rankdata(np.abs(difference))
    assert test.rank_effect == pytest.approx((ranks[difference > 0].sum() - ranks[difference < 0].sum()) / 15)
    assert "5 pairs cannot show an effect under 1.7" in test.note() and "too few for the test by ranks" in test.note()


def test_two_samples_have_the_numbers_of_scipy():
    x, y = [0.91, 0.93, 0.96, 0.90], [0.88, 0.95, 0.89, 0.80, 0.85]
    (test,) = compare_samples({"a": dict(zip("pqrs", x, strict=True)), "b": dict(enumerate(y))}, "acc")
    expected = stats.ttest_ind(x, y, equal_var=False)
    assert not test.paired and (test.t, test.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert test.p_ranks == stats.mannwhitneyu(x, y).pvalue
    assert test.rank_effect == pytest.approx(2 * stats.mannwhitneyu(x, y).statistic / 20 - 1)


def mid_ranks(values):
    return [sum(other < value for other in values) + (values.count(value) + 1) / 2 for value in values]


@given(st.lists(st.integers(0, 3), min_size=4, max_size=10), st.data())
@settings(max_examples=50, deadline=None)
def test_tied_samples_have_the_p_value_of_enumeration(values, data):
    """By hand: the share of all ways to choose the first sample whose rank sum is as far off its mean, two-sided."""
    n = data.draw(st.integers(2, len(values) - 2))
    if len(set(values)) == len(values):
        values[1] = values[0]
    samples = {"a": dict(zip("abcdefgh", map(float, values[:n]), strict=False)), "b": dict(enumerate(values[n:]))}
    (test,) = compare_samples(samples, "acc")
    ranks = mid_ranks(values)
    sums = [sum(ranks[i] for i in chosen) for chosen in itertools.combinations(range(len(values)), n)]
    seen = sum(ranks[:n])
    one_sided = min(np.mean([s <= seen for s in sums]), np.mean([s >= seen for s in sums]))
    assert test.p_ranks == pytest.approx(min(1.0, 2 * one_sided))


@given(st.lists(st.integers(-2, 3), min_size=2, max_size=8))
@settings(max_examples=30)
def test_tied_pairs_have_the_p_value_of_enumeration(differences):
    (test,) = compare_samples({"a": dict(enumerate(differences)), "b": dict.fromkeys(range(len(differences)), 0)}, "x")
    nonzero = [d for d in differences if d]
    ranks = mid_ranks([abs(d) for d in nonzero])
    sums = [
        sum(rank for rank, sign in zip(ranks, signs, strict=True) if sign)
        for signs in itertools.product([0, 1], repeat=len(ranks))
    ]
    seen = sum(rank for rank, d in zip(ranks, nonzero, strict=True) if d > 0)
    one_sided = min(np.mean([s <= seen for s in sums]), np.mean([s >= seen for s in sums]))
    assert test.p_ranks == pytest.approx(min(1.0, 2 * one_sided))


def test_three_constants_against_three_show_no_difference():
    (test,) = compare_samples({"a": dict.fromkeys("abc", 1.0), "b": dict.fromkeys("def", 2.0)}, "size")
    assert test.p == test.p_ranks == pytest.approx(0.1)


def test_constant_metric_is_no_proof():
    same = {"a": {1: 0.3, 2: 0.4}, "b": {1: 0.2, 2: 0.3}, "c": {1: 0.3, 2: 0.4}}
    ab, ac, _ = compare_samples(same, "acc")
    assert math.isinf(ab.t) and ab.p == 0.5 and ab.effect is None
    assert (ac.t, ac.p, ac.difference, ac.n_needed) == (0.0, 1.0, 0.0, None)
    (test,) = compare_samples({"a": {1: 5.0, 2: 5.0}, "b": {3: 4.0, 4: 4.0}}, "size")
    assert test.effect is None and test.p > 0.1
    assert "2 pairs cannot show an effect under 12 standard deviations" in ab.note()


def test_one_value_shows_no_spread():
    with pytest.raises(MetricError, match="at least two values, but b has 1 of acc: one seed shows no spread"):
        compare_samples({"a": {1: 0.3, 2: 0.4}, "b": {1: 0.2}}, "acc")

import numpy as np
import pytest
from scipy import stats

from evo_moo.analysis.statistics.intervals import nondominated_share, posterior_means, summary_of_rows, t_interval
from evo_moo.analysis.statistics.significance import compare_samples
from evo_moo.pareto import pareto_rows
from evo_moo.plugins import load_problem


def within(hits, n, level):
    """Whether so many hits are what a share of ``level`` gives, but for one time in a million."""
    low, high = stats.binom.interval(1 - 1e-6, n, level)
    return low <= hits <= high


def test_intervals_cover_the_truth_as_often_as_stated():
    problem = load_problem("synthetic", {"problem": "zdt1", "arguments": {"n_var": 2}, "noise": 0.2})
    config = dict.fromkeys(problem.variables, 0.3)
    truth = problem.plain.evaluate(config)
    n, n_seeds = 1000, 4
    drawn = [list(problem.evaluate(config, seed=seed).values()) for seed in range(n * n_seeds)]
    values = np.array(drawn).reshape(n, n_seeds, 2)
    low, high = t_interval(values.mean(axis=1), values.std(axis=1, ddof=1), np.array(n_seeds))
    hits = (low <= list(truth.values())) & (np.array(list(truth.values())) <= high)
    assert all(within(count, n, 0.95) for count in hits.sum(axis=0))
    # The usual normal interval is far too short for four replicates, and this test would notice.
    short = np.abs(values.mean(axis=1) - list(truth.values())) < 1.96 * values.std(axis=1, ddof=1) / 2
    assert not any(within(count, n, 0.95) for count in short.sum(axis=0))


def test_interval_of_one_replicate_is_none_of_equal_ones_a_point():
    low, high = t_interval(np.array([1.0, 2.0]), np.array([np.nan, 0.0]), np.array([1, 3]))
    assert np.isnan([low[0], high[0]]).all() and (low[1], high[1]) == (2.0, 2.0)


def test_drawn_means_are_students_alone_and_in_pairs():
    rng = np.random.default_rng(3)
    common = rng.normal(size=5)
    values = np.stack([common + rng.normal(0, 0.3, 5), common + rng.normal(0.4, 0.3, 5)])[:, None]
    drawn = posterior_means(values, 100_000, seed=1)[:, :, 0]
    means, errors = values[:, 0].mean(axis=1), values[:, 0].std(axis=1, ddof=1) / 5**0.5
    for i in range(2):
        assert stats.kstest(drawn[:, i], stats.t(4, means[i], errors[i]).cdf).pvalue > 1e-6
    difference = values[0, 0] - values[1, 0]
    paired = stats.t(4, difference.mean(), difference.std(ddof=1) / 5**0.5)
    assert stats.kstest(drawn[:, 0] - drawn[:, 1], paired.cdf).pvalue > 1e-6
    # So the chance to be the better of two is what the paired t-test's one-sided p-value says.
    share = nondominated_share(drawn[:, :, None], np.zeros(drawn.shape))
    p = stats.ttest_rel(*values[:, 0], alternative="less").pvalue
    assert share[0] == pytest.approx(1 - p, abs=0.01)


def test_a_member_that_failed_once_counts_with_what_it_has():
    values = np.array([[[1.0, 2.0, 3.0, 4.0]], [[1.0, np.nan, 3.0, np.nan]]])
    drawn = posterior_means(values, 100_000, seed=1)[:, :, 0]
    assert stats.kstest(drawn[:, 1], stats.t(1, 2.0, 1.0).cdf).pvalue > 1e-6


def test_shares_of_the_front_are_those_of_the_definition():
    rng = np.random.default_rng(5)
    F, violation = rng.integers(0, 4, (200, 6, 2)).astype(float), rng.integers(0, 2, (200, 6)).astype(float)
    counts = np.zeros(6)
    for points, its in zip(F, violation, strict=True):
        counts[pareto_rows(points, its)] += 1
    assert nondominated_share(F, violation) == pytest.approx(counts / 200)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_intervals_of_few_values_cover_or_it_is_said(n):
    rng, times = np.random.default_rng(7), 4000
    samples = {
        "normal": (rng.normal(1.0, 2.0, (times, n)), 1.0, 0.95),
        # What a comparison of runs says of skewed values: some 90 times in 100.
        "skewed": (rng.lognormal(0.0, 0.7, (times, n)), np.exp(0.245), 0.895),
    }
    for values, truth, level in samples.values():
        summary = summary_of_rows(values)
        share = ((summary["low"] <= truth) & (truth <= summary["high"])).mean()
        assert share == pytest.approx(level, abs=0.015 if level == 0.95 else 0.025)
    one, other = rng.normal(1.0, 1.0, (times // 8, n)), rng.normal(0.0, 2.0, (times // 8, n))
    tests = [
        compare_samples({"a": dict(zip("abcdefghij", x, strict=False)), "b": dict(enumerate(y))}, "m")[0]
        for x, y in zip(one, other, strict=True)
    ]
    assert np.mean([test.low <= 1.0 <= test.high for test in tests]) > 0.93


def members(rng, n, n_seeds, noise=0.05):
    """True objectives of members near a front, which a noisy search took for its front, and their replicates."""
    x = rng.random(60)
    F = np.column_stack([x, 1 - np.sqrt(x)]) + rng.gamma(1, 0.1, (60, 1))
    F = F[pareto_rows(F + rng.normal(0, noise, F.shape), np.zeros(60))][:n]
    own = noise * np.exp(rng.normal(0, 0.3, (len(F), 1, 1))) * rng.normal(size=(len(F), 2, n_seeds))
    return F, F[:, :, None] + own + rng.normal(0, 0.03, (1, 2, n_seeds))


@pytest.mark.slow
@pytest.mark.parametrize(("n_seeds", "off"), [(3, 0.07), (5, 0.06), (10, 0.05)])
def test_probabilities_of_the_front_come_true(n_seeds, off):
    """At three seeds they were 0.62 on average where 0.79 was true, by a flat prior."""
    rng, said, true = np.random.default_rng(5), [], []
    for i in range(120):
        F, values = members(rng, 20, n_seeds)
        drawn = posterior_means(values, 500, seed=i)
        said += nondominated_share(drawn, np.zeros(drawn.shape[:2])).tolist()
        on_front = pareto_rows(F, np.zeros(len(F)))
        true += np.isin(np.arange(len(F)), on_front).tolist()
    said, true = np.array(said), np.array(true)
    assert abs(said.mean() - true.mean()) < off
    sure = said > 0.9
    assert sure.sum() > 300 and true[sure].mean() > 0.93


@pytest.mark.parametrize("n_members", [3, 20])
def test_members_without_noise_have_one_mean(n_members):
    rows = np.linspace(0, 1, n_members)
    values = np.repeat(np.stack([rows**2, (rows - 1) ** 2], axis=1)[:, :, None], 2, axis=2)
    drawn = posterior_means(values, 100, 0)
    np.testing.assert_allclose(drawn, np.broadcast_to(values[None, :, :, 0], drawn.shape), atol=1e-6)

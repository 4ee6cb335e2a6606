"""Whether two samples differ: values by seed of two configurations, or hypervolumes of two groups of runs.

Values that share their seeds are compared in pairs: Student's paired t-test and Wilcoxon's signed ranks. Others by
Welch's t-test and the ranks of Mann and Whitney. Where values are tied and few, the p-values by ranks count all ways to
share the values out.
"""

import bisect
import functools
import itertools
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from evo_moo.analysis.statistics.intervals import LEVEL, Array, t_interval
from evo_moo.errors import MetricError
from evo_moo.storage.evaluation_row import Evaluation

ALPHA, POWER = 1 - LEVEL, 0.8
MOST_NEEDED = 100_000
ROUNDING = 1e-12
"""Relative size of what is no difference, but the rounding of one."""
MOST_ENUMERATED = 20_000
"""Ties are counted out over at most so many ways to share the values out, as two samples of 8 have; SciPy's normal
approximation holds beyond.
"""
FEW = 6
"""With fewer pairs than so many, Wilcoxon's p-value cannot be below 0.05."""

Sample = Mapping[Any, float]
"""Values by what they share with those of another sample, such as a seed."""


class Comparison(NamedTuple):
    """A two-sided comparison of one metric of two samples.

    Attributes:
        one: Id or name of the first sample.
        other: Id or name of the second sample.
        metric: Name of the compared metric.
        paired: Whether values were compared in pairs.
        n: Number of pairs; else the smaller of the numbers of values.
        difference: Mean of the first minus mean of the second.
        low: Lower end of Student's, or Welch's, interval of the difference at the level of 95 %; NaN where nothing
            varies: a few equal values say nothing of the spread.
        high: Upper end.
        t: The statistic of Student's, or Welch's, test.
        p: Its p-value; where nothing varies that of the test by ranks.
        p_holm: The same, adjusted for all tests that were made together.
        p_ranks: The p-value of the test by ranks.
        effect: Cohen's d: the difference by the standard deviation of the differences of pairs (``d_z``), or by the
            pooled one; None where nothing varies.
        rank_effect: From -1 to 1: the share of ranks for the first minus that against it (matched-pairs rank-biserial
            correlation, Kerby 2014; without pairs Cliff's delta).
        detectable: The smallest effect that a test of so many values finds with a power of 0.8.
        n_needed: Number of pairs, or of values of each, that finds the present effect with that power; None where there
            is no effect, or it takes more than 100,000.
    """

    one: Any
    other: Any
    metric: str
    paired: bool
    n: int
    difference: float
    low: float
    high: float
    t: float
    p: float
    p_holm: float
    p_ranks: float
    effect: float | None
    rank_effect: float
    detectable: float
    n_needed: int | None

    def note(self) -> str:
        """Return what so few values cannot show; empty where there are enough."""
        what = "pairs" if self.paired else "values of each"
        words = []
        if self.n < FEW and self.p_holm > ALPHA:
            words.append(
                f"{self.n} {what} cannot show an effect under {self.detectable:.2g} standard deviations (power {POWER})"
            )
        if self.n < (FEW if self.paired else 4):
            words.append(f"{self.n} {what} are too few for the test by ranks to reach p = {ALPHA:.2g}")
        return "; ".join(words)


def per_seed(evaluation: Evaluation, metric: str) -> dict[str, float]:
    """Return a metric's values by seed, recorded as ``METRIC_seed_N``."""
    prefix = f"{metric}_seed_"
    return {name.removeprefix(prefix): v for name, v in evaluation.metrics.items() if name.startswith(prefix)}


def paired_tests(evaluations: Sequence[Evaluation], metric: str) -> list[Comparison]:
    """Compare every two evaluations; three seeds leave two degrees of freedom, so only large differences show.

    Args:
        evaluations: At least two, such as ``result.front``.
        metric: Name of the metric, recorded for each seed as ``METRIC_seed_N``.

    Raises:
        MetricError: Two evaluations share fewer than two seeds.
    """
    samples = {evaluation.id: per_seed(evaluation, metric) for evaluation in evaluations}
    for one, other in itertools.combinations(samples, 2):
        if (n := len(samples[one].keys() & samples[other].keys())) < 2:
            raise MetricError(
                f"evaluations must share at least two seeds of {metric}, recorded as {metric}_seed_N, but {one} and "
                f"{other} share {n}"
            )
    return compare_samples(samples, metric)


def compare_samples(samples: Mapping[Any, Sample], metric: str) -> list[Comparison]:
    """Compare every two samples, in pairs where they share at least two keys and most of each.

    Holm's adjustment is over all of these.

    Raises:
        MetricError: A sample has fewer than two values.
    """
    for name, sample in samples.items():
        if len(sample) < 2:
            raise MetricError(
                f"a compared sample must have at least two values, but {name} has {len(sample)} of {metric}: one seed "
                "shows no spread"
            )
    return adjusted([_compared(metric, *two) for two in itertools.combinations(samples.items(), 2)])


def adjusted(tests: Sequence[Comparison]) -> list[Comparison]:
    """Return tests with their p-values adjusted by Holm for all of them."""
    p_values = holm([test.p for test in tests])
    return [test._replace(p_holm=p) for test, p in zip(tests, p_values, strict=True)]


def _compared(metric: str, first: tuple[Any, Sample], second: tuple[Any, Sample]) -> Comparison:
    (one, a), (other, b) = first, second
    shared = sorted(a.keys() & b.keys(), key=str)
    # Replicates that failed on one side only leave the others their pairs.
    paired = len(shared) >= 2 and 2 * len(shared) > max(len(a), len(b))
    if paired:
        x, y = (np.array([sample[key] for key in shared], dtype=float) for sample in (a, b))
        difference = x - y
        if np.ptp(difference) <= ROUNDING * max(np.abs(x).max(), np.abs(y).max()):
            difference = np.full(len(shared), difference.mean())
        outcome = _of_pairs(difference)
        n = len(shared)
    else:
        x, y = (np.array(list(sample.values()), dtype=float) for sample in (a, b))
        outcome = _of_two(x, y)
        n = min(len(x), len(y))
    mean, low, high, t, p, p_ranks, effect, rank_effect = outcome
    needed = n_needed(effect, paired=paired) if effect is not None else (2 if mean else None)
    return Comparison(
        *(one, other, metric, paired, n, mean, low, high, t, p, p, p_ranks, effect, rank_effect),
        detectable_effect(n, paired=paired),
        needed,
    )


def _of_pairs(difference: Array) -> tuple[Any, ...]:
    from scipy.special import stdtr
    from scipy.stats import rankdata, wilcoxon

    n, mean = len(difference), float(difference.mean())
    sd = float(difference.std(ddof=1)) if np.ptp(difference) else 0.0
    low, high = t_interval(np.array(mean), np.array(sd if sd else math.nan), np.array(n))
    ranks = rankdata(np.abs(difference[difference != 0]))
    signs = np.sign(difference[difference != 0])
    rank_effect = float(ranks @ signs / ranks.sum()) if len(ranks) else 0.0
    p_ranks = _p_of_ranks(wilcoxon, 2**n, np.abs(difference), difference) if len(ranks) else 1.0
    if sd:
        t = mean / sd * math.sqrt(n)
        p = float(2 * stdtr(n - 1, -abs(t)))
    else:  # two equal differences are no proof: what never varied is judged by ranks alone
        t, p = (math.copysign(math.inf, mean), p_ranks) if mean else (0.0, 1.0)
    return mean, float(low), float(high), t, p, p_ranks, mean / sd if sd else None, rank_effect


def _of_two(x: Array, y: Array) -> tuple[Any, ...]:
    from scipy.stats import mannwhitneyu, ttest_ind

    mean = float(x.mean() - y.mean())
    p_ranks = _p_of_ranks(mannwhitneyu, math.comb(len(x) + len(y), len(x)), np.concatenate([x, y]), x, y)
    if not np.ptp(x) and not np.ptp(y):
        p = p_ranks
        t = math.copysign(math.inf, mean) if mean else 0.0
        low, high, effect = math.nan, math.nan, None
    else:
        test = _quietly(lambda: ttest_ind(x, y, equal_var=False))
        t, p = float(test.statistic), float(test.pvalue)
        low, high = map(float, test.confidence_interval(LEVEL))
        pooled = ((len(x) - 1) * x.var(ddof=1) + (len(y) - 1) * y.var(ddof=1)) / (len(x) + len(y) - 2)
        effect = mean / math.sqrt(pooled)
    return mean, low, high, t, p, p_ranks, effect, float(np.sign(x[:, None] - y[None]).mean())


def _p_of_ranks(test: Callable[..., Any], n_ways: int, ranked: Array, *samples: Array) -> float:
    """Return the p-value of a test by ranks.

    Args:
        test: SciPy's.
        n_ways: In how many ways the values could have been shared out, or have got their signs.
        ranked: What gets the ranks.
        samples: What the test takes.
    """
    from scipy.stats import PermutationMethod

    # SciPy's tables hold without ties and zeros only.
    tied = len(np.unique(ranked)) < len(ranked) or (len(samples) == 1 and not ranked.all())
    exact = {"method": PermutationMethod(n_resamples=MOST_ENUMERATED)} if tied and n_ways <= MOST_ENUMERATED else {}
    return float(_quietly(lambda: test(*samples, **exact).pvalue))


def power(effect: float, n: int, *, paired: bool = True) -> float:
    """Return the chance that a two-sided t-test finds an effect, by the noncentral t distribution.

    The level of the test is ``ALPHA``.

    Cohen, "Statistical power analysis for the behavioral sciences", 2nd edition, 1988, chapter 2.

    Args:
        effect: Cohen's d: in standard deviations of the differences of pairs, or of one sample.
        n: Number of pairs, or of values of each of two samples of equal size; at least 2.
        paired: Whether there are pairs.
    """
    from scipy.special import ndtr, stdtrit

    df, shift = (n - 1, abs(effect) * math.sqrt(n)) if paired else (2 * n - 2, abs(effect) * math.sqrt(n / 2))
    # SciPy's own noncentral t gives NaN for large shifts. By its definition it is (Z + shift) / sqrt(chi2 / df): the
    # mean over chi2 of what Z then exceeds, over Legendre's points of chi2's quantiles.
    scales, weights = _scales(df)
    bound = stdtrit(df, 1 - ALPHA / 2) * scales
    return float(weights @ (ndtr(shift - bound) + ndtr(-shift - bound)))


_legendre = functools.cache(np.polynomial.legendre.leggauss)


@functools.lru_cache(maxsize=1024)
def _scales(df: int) -> tuple[Array, Array]:
    """Return ``sqrt(chi2 / df)`` at Legendre's points of its quantiles, and their weights."""
    from scipy.special import chdtri

    points, weights = _legendre(100)
    return np.sqrt(chdtri(df, (points + 1) / 2) / df), weights / 2


def n_needed(effect: float, *, paired: bool = True) -> int | None:
    """Return the least number of pairs, or of values of each of two samples, whose power for an effect is ``POWER``.

    Returns:
        None where it takes more than 100,000, or there is no effect.
    """
    most = 2
    while most < MOST_NEEDED and power(effect, most, paired=paired) < POWER:  # since powers of large samples take long
        most *= 2
    n = bisect.bisect_left(range(most + 1), POWER, lo=max(2, most // 2), key=lambda n: power(effect, n, paired=paired))
    return n if n <= MOST_NEEDED else None


@functools.lru_cache(maxsize=256)
def detectable_effect(n: int, *, paired: bool = True) -> float:
    """Return the smallest effect for which a test of so many pairs, or values of each, has the power ``POWER``."""
    from scipy.optimize import brentq

    return float(brentq(lambda effect: power(effect, n, paired=paired) - POWER, 1e-6, 1e3, rtol=1e-6))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values so that one threshold bounds the chance of any false finding.

    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6 (1979).
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return [float(value) for value in np.minimum(steps, 1.0)[np.argsort(order)]]


def _quietly(test: Callable[[], Any]) -> Any:
    """Run a test without SciPy's warnings of ties, and of values that are nearly the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return test()

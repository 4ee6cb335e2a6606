"""Whether configurations that were trained with the same seeds differ."""

import itertools
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from evo_moo.errors import MetricError
from evo_moo.evaluation_row import Evaluation


class PairedTest(NamedTuple):
    """A two-sided paired t-test of one metric of two evaluations, over the seeds that they share.

    Attributes:
        one: Id of the first evaluation.
        other: Id of the second.
        difference: Mean of the first minus mean of the second.
        t: The statistic, with as many degrees of freedom as there are seeds less one.
        p: Its p-value.
        p_holm: The same, adjusted for all tests that were made together.
    """

    one: int
    other: int
    difference: float
    t: float
    p: float
    p_holm: float


def per_seed(evaluation: Evaluation, metric: str) -> dict[str, float]:
    """Give a metric's values by seed, recorded as ``METRIC_seed_N``."""
    prefix = f"{metric}_seed_"
    return {name.removeprefix(prefix): v for name, v in evaluation.metrics.items() if name.startswith(prefix)}


def paired_tests(evaluations: Sequence[Evaluation], metric: str) -> list[PairedTest]:
    """Compare every two evaluations; three seeds leave two degrees of freedom, so only large differences show.

    Args:
        evaluations: At least two, such as ``result.front``.
        metric: Name of the metric, recorded for each seed as ``METRIC_seed_N``.

    Raises:
        MetricError: Two evaluations share fewer than two seeds.
    """
    found = []
    for one, other in itertools.combinations(evaluations, 2):
        values = [per_seed(evaluation, metric) for evaluation in (one, other)]
        seeds = sorted(values[0].keys() & values[1].keys())
        if len(seeds) < 2:
            raise MetricError(
                f"evaluations must share at least two seeds of {metric}, recorded as {metric}_seed_N, but {one.id} "
                f"and {other.id} share {len(seeds)}"
            )
        difference = np.array([values[0][seed] - values[1][seed] for seed in seeds])
        found.append((one.id, other.id, float(difference.mean()), *_t_test(difference)))
    adjusted = holm([test[-1] for test in found])
    return [PairedTest(*test, p_holm) for test, p_holm in zip(found, adjusted, strict=True)]


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values so that one threshold bounds the chance of any false finding.

    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6 (1979).
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(steps, 1.0)
    return [float(value) for value in adjusted]


def _t_test(difference: np.ndarray) -> tuple[float, float]:
    from scipy.stats import ttest_rel

    if not difference.any():
        return 0.0, 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of differences that are all the same
        test = ttest_rel(difference, np.zeros(len(difference)))
    return float(test.statistic), float(test.pvalue)

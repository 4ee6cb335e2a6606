"""Metrics that a problem computes at once, which a search need not predict."""

import contextlib

import numpy as np

from evo_moo.problem.metrics import Metrics
from evo_moo.problem.search_problem import Configuration, SearchProblem
from evo_moo.surrogate.features import Features
from evo_moo.surrogate.posterior import MetricModel
from evo_moo.surrogate.protocol import Array
from evo_moo.surrogate.targets import Target

MOST_KEPT = 100_000


class ComputedMetrics:
    """Metrics of encoded rows by a problem's ``compute``; each architecture is computed once.

    Args:
        problem: The problem; it may fail on a row, whose metrics are then not known.
    """

    def __init__(self, problem: SearchProblem) -> None:
        self._problem = problem
        self._names = problem.point_space.names if problem.is_profiled_by_point else problem.space.names
        self._kept: dict[str, Metrics] = {}

    def values(self, name: str, X: Array) -> Array:
        """Return a metric of ``(n, n_var)`` encoded rows, ``(n,)``; NaN where it is not known."""
        return np.array([self._of(config).get(name, np.nan) for config in self._problem.point_space.decode(X)])

    def table(self, X: Array) -> dict[str, Array]:
        """Return every metric that is known of any of ``(n, n_var)`` encoded rows; see ``values``."""
        rows = [self._of(config) for config in self._problem.point_space.decode(X)]
        names = list(dict.fromkeys(name for metrics in rows for name in metrics))
        return {name: np.array([metrics.get(name, np.nan) for metrics in rows]) for name in names}

    def agree(self, name: str, X: Array, measured: Array) -> bool:
        """Return whether a metric is computed as it was measured, ``(n,)``, at all ``(n, n_var)`` encoded rows."""
        return self._problem.computes and bool(np.allclose(self.values(name, X), measured, rtol=1e-9, atol=0.0))

    def model_of(self, name: str, sign: int, values: Array, features: Features) -> MetricModel:
        """Return a metric as something to minimise; it needs no data, and is certain.

        Args:
            name: The metric.
            sign: -1 where more of it is better, else 1.
            values: ``(n,)`` values so far. Targets are linear in them and small, so that none is cut off.
            features: Of the search space.
        """
        low, high = sorted((sign * float(values.min()), sign * float(values.max())))
        target = Target(location=low, scale=high - low or 1.0)
        return MetricModel(sign, target, formula=lambda Z: target.transform(sign * self.values(name, features.rows(Z))))

    def _of(self, config: Configuration) -> Metrics:
        key = self._problem.architecture_key(config)
        if key not in self._kept:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[key] = {}
            with contextlib.suppress(Exception):  # the evaluation shows whether it fails, too
                known = {name: value for name, value in config.items() if name in self._names}
                self._kept[key] = self._problem.call_compute(known).metrics
        return self._kept[key]

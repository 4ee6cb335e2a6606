"""What a search has seen, configuration by configuration, as its models and criteria are to take it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np

from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metric, Metrics, mean_metrics
from evo_moo.surrogate.posterior import Belief
from evo_moo.surrogate.protocol import Array

Told = Mapping[int, tuple[Array, Metrics | None]]
"""Evaluation id to its row and its metrics, or None where it failed."""


@dataclass(frozen=True)
class Observed:
    """Configurations that have objectives, each once.

    Attributes:
        X: ``(n, n_var)`` encoded rows.
        F: ``(n, n_obj)`` their objectives, minimised; where they are noisy, as the models expect them.
        violation: ``(n,)`` sums of broken limits.
        n_repetitions: Number of evaluations of these rows beyond the first of each.
    """

    X: Array
    F: Array
    violation: Array
    n_repetitions: int = 0

    @classmethod
    def of(cls, archive: Told, goals: Goals, belief: Belief, known: Mapping[str, Metric]) -> "Observed":
        """Take in what was told; repetitions count by their mean."""
        names = [objective.metric for objective in goals.objectives]
        found: dict[bytes, list[Metrics]] = {}
        for x, metrics in (archive[key] for key in sorted(archive)):
            if _has_objectives(metrics, goals):
                found.setdefault(x.tobytes(), []).append(metrics)
        X, means = np.array([np.frombuffer(x) for x in found]), [mean_metrics(its) for its in found.values()]
        F = np.array([goals.objective_values(metrics) for metrics in means])
        log = [k for k, name in enumerate(names) if belief.models[name].log]
        F[:, log] = np.log(F[:, log])
        declared = [known.get(name, Metric()).noisy for name in names]
        noisy = [k for k, name in enumerate(names) if belief.models[name].is_noisy(declared=declared[k])]
        if noisy:
            F[:, noisy] = belief.objectives(X)[0][:, noisy]
        violation = np.array([goals.violation(metrics) for metrics in means])
        return cls(X, F, violation, sum(len(its) - 1 for its in found.values()))


def mean_of_row(archive: Told, goals: Goals, x: Array) -> Metrics:
    """Return the mean metrics of a row's evaluations that have objectives; there must be one."""
    return mean_metrics([m for its_x, m in archive.values() if np.array_equal(its_x, x) and _has_objectives(m, goals)])


def _has_objectives(metrics: Metrics | None, goals: Goals) -> TypeGuard[Metrics]:
    return metrics is not None and all(objective.metric in metrics for objective in goals.objectives)

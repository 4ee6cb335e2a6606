"""Which configurations do not work at all: those with values far out on the poor side.

An accuracy no better than chance, or a stress beyond all bounds, is of another kind than the values that a search
is about. A model that learns both bends between them, and a search with it wastes evaluations beside the cliff; so
where no model ranks a metric well, such evaluations are learnt as failures: as places to keep away from.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metric, Metrics

N_FIRST = 20
"""Number of evaluations that decide where values are usual; later ones crowd where a search looks."""
FAR_OUT = 3.0
"""Distances between the quartiles beyond them where values are far out (Tukey 1977, Exploratory Data Analysis)."""


@dataclass(frozen=True)
class Fences:
    """How poor values may be.

    Attributes:
        worst: Metric to the worst value within its fence.
        signs: Metric to -1 where more of it is better, else 1.
    """

    worst: Mapping[str, float]
    signs: Mapping[str, int]

    @classmethod
    def around(cls, names: Iterable[str], seen: Sequence[Metrics], goals: Goals, metrics: Mapping[str, Metric]) -> Self:
        """Return fences around the first values of some objectives; too few, or equal values, have none.

        Args:
            names: Objectives whose values may be far out.
            seen: What was measured, in the order of asking.
            goals: Objectives; their signs decide which side is the poor one.
            metrics: What is known of each metric; of some, logarithms count.
        """
        signs = {o.metric: o.sign for o in goals.objectives if o.metric in set(names)}
        worst = {}
        for name, sign in signs.items():
            values = np.array([m[name] for m in seen if name in m][:N_FIRST])
            if len(values) < N_FIRST:
                continue
            log = name in metrics and metrics[name].log and bool(values.min() > 0)
            low, high = np.quantile(sign * (np.log(values) if log else values), [0.25, 0.75])
            if high > low:
                end = sign * float(high + FAR_OUT * (high - low))
                worst[name] = float(np.exp(end)) if log else end
        return cls(worst, signs)

    def hold(self, metrics: Metrics, name: str) -> bool:
        """Return whether a metric's value is not far out; one that was not measured is not."""
        sign = self.signs.get(name, 1)
        return name not in metrics or name not in self.worst or sign * metrics[name] <= sign * self.worst[name]

    def hold_all(self, metrics: Metrics) -> bool:
        """Return whether no value is far out."""
        return all(self.hold(metrics, name) for name in self.worst)

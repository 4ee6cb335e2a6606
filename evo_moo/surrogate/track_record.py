"""How well the models of a search predicted the candidates that they proposed lately."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metrics

RECENT = 20
"""Number of outcomes that count; half of them are needed for a judgement."""
HARMLESS, USELESS = 0.3, 0.8
"""Mean standard deviations by which outcomes were worse than predicted: explore as usual below, not at all above."""
_LARGEST = 5.0

Expected = dict[str, tuple[float, float]]


class TrackRecord:
    """Predictions beside the outcomes.

    Args:
        goals: The objectives.
    """

    def __init__(self, goals: Goals) -> None:
        self._signs = {o.metric: o.sign for o in goals.objectives}
        self._recent: list[tuple[Expected, Metrics]] = []
        self._expected: dict[int, Expected] = {}

    def expect(self, evaluation_id: int, prediction: Mapping[str, tuple[float, float]]) -> None:
        """Note the mean and standard deviation that each metric of an evaluation is expected to have."""
        if prediction:
            self._expected[evaluation_id] = dict(prediction)

    def record(self, evaluation_id: int, metrics: Metrics | None) -> None:
        """Record an outcome; None: the evaluation failed."""
        expected = self._expected.pop(evaluation_id, None)
        if expected and metrics is not None:
            measured = {name: metrics[name] for name in expected if name in metrics}
            self._recent = [*self._recent, (expected, measured)][-RECENT:]

    def rank_correlation(self) -> float | None:
        """Return Kendall's tau between predictions and outcomes, averaged over the objectives; None: too few."""
        from scipy.stats import kendalltau

        correlations = []
        for name in self._signs:
            pairs = [(a[name][0], b[name]) for a, b in self._recent if name in a and name in b]
            if len(pairs) >= RECENT // 2:
                tau = float(kendalltau(*zip(*pairs, strict=True)).statistic)
                correlations.append(0.0 if math.isnan(tau) else tau)
        return sum(correlations) / len(correlations) if correlations else None

    def exploration(self) -> float:
        """Return how much of the models' uncertainty should count as a chance, from 0 to 1.

        Candidates that promise the most disappoint by standard deviations where the models are sure of something
        wrong; then the less certain a place, the worse it is.
        """
        surprises = [
            min(max(sign * (b[name] - a[name][0]) / max(a[name][1], 1e-12), -_LARGEST), _LARGEST)
            for a, b in self._recent
            for name, sign in self._signs.items()
            if name in a and name in b
        ]
        if len(self._recent) < RECENT // 2 or not surprises:
            return 1.0
        return float(np.clip((USELESS - np.mean(surprises)) / (USELESS - HARMLESS), 0.0, 1.0))

    def dump(self) -> dict[str, Any]:
        """Return the state as plain data."""
        return {
            "recent": [list(pair) for pair in self._recent],
            "expected": {str(key): value for key, value in self._expected.items()},
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over a dumped state."""
        self._recent = [(_pairs(expected), dict(measured)) for expected, measured in state["recent"]]
        self._expected = {int(key): _pairs(value) for key, value in state["expected"].items()}


def _pairs(expected: Mapping[str, Any]) -> Expected:
    return {name: (mean, std) for name, (mean, std) in expected.items()}

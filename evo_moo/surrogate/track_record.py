"""How well the models of a search predicted the candidates that they proposed lately."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metrics
from evo_moo.surrogate.protocol import Array

RECENT = 20
"""Number of outcomes that count; half of them are needed for a judgement."""
HARMLESS, USELESS = 0.3, 0.8
"""Mean standard deviations by which outcomes were worse than predicted: explore as usual below, not at all above."""
_LARGEST = 5.0


class TrackRecord:
    """Predictions beside the outcomes.

    Args:
        goals: The objectives.
    """

    def __init__(self, goals: Goals) -> None:
        self._signs = {o.metric: o.sign for o in goals.objectives}
        self._recent: list[dict[str, list[float]]] = []  # mean, standard deviation, outcome
        self._expected: dict[int, dict[str, list[float]]] = {}

    def expect(self, evaluation_id: int, prediction: Mapping[str, tuple[float, float]]) -> None:
        """Note the mean and standard deviation that each metric of an evaluation is expected to have."""
        if prediction:
            self._expected[evaluation_id] = {name: list(pair) for name, pair in prediction.items()}

    def record(self, evaluation_id: int, metrics: Metrics | None) -> None:
        """Record an outcome; None: the evaluation failed."""
        expected = self._expected.pop(evaluation_id, None)
        if expected and metrics is not None:
            known = {name: [*pair, metrics[name]] for name, pair in expected.items() if name in metrics}
            self._recent = [*self._recent, known][-RECENT:]

    def rank_correlation(self) -> float | None:
        """Return Kendall's tau between predictions and outcomes, averaged over the objectives; None: too few."""
        from scipy.stats import kendalltau

        correlations = []
        for name in self._signs:
            known = [outcome[name] for outcome in self._recent if name in outcome]
            if len(known) >= RECENT // 2:
                means, _, measured = zip(*known, strict=True)
                tau = float(kendalltau(means, measured).statistic)
                correlations.append(0.0 if math.isnan(tau) else tau)
        return sum(correlations) / len(correlations) if correlations else None

    def exploration(self) -> float:
        """Return how much of the models' uncertainty should count as a chance, from 0 to 1.

        Candidates that promise the most disappoint by standard deviations where the models are sure of something
        wrong; then the less certain a place, the worse it is.
        """
        surprises = np.concatenate(list(self._surprises().values()))
        if len(self._recent) < RECENT // 2 or not len(surprises):
            return 1.0
        return float(np.clip((USELESS - surprises.mean()) / (USELESS - HARMLESS), 0.0, 1.0))

    def caution(self) -> Array:
        """Return by how many standard deviations predictions are to be taken as worse, ``(n_obj,)``, at least 0.

        What is proposed was chosen for what was predicted, and so the predictions disappoint the more, the less is
        known (Smith & Winkler 2006, "The optimizer's curse"): on average by as much as they did lately.
        """
        if len(self._recent) < RECENT // 2:
            return np.zeros(len(self._signs))
        means = [each.mean() if len(each) else 0.0 for each in self._surprises().values()]
        return np.maximum(np.array(means) - HARMLESS, 0.0)

    def _surprises(self) -> dict[str, Array]:
        """Return by how many standard deviations the outcomes of each objective were worse than predicted."""
        surprises = {}
        for name, sign in self._signs.items():
            known = [outcome[name] for outcome in self._recent if name in outcome]
            worse = [sign * (measured - mean) / max(std, 1e-12) for mean, std, measured in known]
            surprises[name] = np.clip(np.array(worse), -_LARGEST, _LARGEST)
        return surprises

    def dump(self) -> dict[str, Any]:
        """Return the state as plain data."""
        return {"recent": self._recent, "expected": {str(key): value for key, value in self._expected.items()}}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over a dumped state."""
        self._recent = state["recent"]
        self._expected = {int(key): value for key, value in state["expected"].items()}

"""What was evaluated on a ladder so far: who stands on which rung, in which order, and how well rungs rank."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from evo_moo.optimizer.algorithms import Array
from evo_moo.optimizer.rungs import MIN_PAIRS, promotion_order, rank_correlations
from evo_moo.pareto import pareto_rows
from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metrics, mean_metrics


class Step(NamedTuple):
    """One evaluation on the ladder.

    Attributes:
        candidate: Id of the inner optimizer's candidate.
        rung: Number of the rung, 0 for the lowest.
        replicate: Number of the repetition with another seed.
        source: Id of the evaluation that it rises from, 0 on the lowest rung.
    """

    candidate: int
    rung: int
    replicate: int
    source: int


class Climbs:
    """The evaluations on a ladder and their outcomes.

    Args:
        goals: Objectives and limits.
        rungs: Growing fidelities, the last one full.
        cheap: Names of metrics that do not depend on the fidelity: who breaks a limit on one never rises.
        continues: Whether an evaluation goes on from what the rung below saved.

    Attributes:
        steps: Every evaluation in the order of asking; ids count from 1.
        results: Id of each evaluation that ended to its metrics, None where it failed.
        last: Id of the inner optimizer's candidate to that of its evaluation on its highest rung.
        repeats: Id of a candidate to those of its repetitions with other seeds.
        seen: For each rung, the evaluations that are compared on it.
        risen: For each rung, the evaluations that rose from it.
        stopped: Id of each evaluation that was stopped early to what it would have shown, and the share of it that
            was done.
        units: What was asked for, in steps of the fidelity, without what was spared by stopping.
    """

    def __init__(self, goals: Goals, rungs: Sequence[int], cheap: Collection[str], continues: bool) -> None:
        self.goals, self.rungs, self._cheap, self._continues = goals, list(rungs), set(cheap), continues
        self.top = len(self.rungs) - 1
        self.units = 0.0
        self.steps: list[Step] = []
        self.results: dict[int, Metrics | None] = {}
        self.last: dict[int, int] = {}
        self.repeats: dict[int, list[int]] = {}
        self.seen: list[list[int]] = [[] for _ in self.rungs]
        self.risen: list[set[int]] = [set() for _ in self.rungs]
        self.stopped: dict[int, tuple[Metrics, float]] = {}
        self._taus: dict[tuple[int, int], float | None] = {}
        self._known_lines: dict[tuple[int, int], dict[str, tuple[float, float]]] = {}

    def units_of(self, step: Step) -> int:
        """Return the cost of an evaluation in steps of the fidelity."""
        spared = self.rungs[step.rung - 1] if self._continues and step.rung and not step.replicate else 0
        return self.rungs[step.rung] - spared

    def enter(self, step: Step) -> None:
        """Note an evaluation that begins."""
        self.steps.append(step)
        self.units += self.units_of(step)
        if step.replicate:
            self.repeats.setdefault(step.candidate, []).append(len(self.steps))
        else:
            self.last[step.candidate] = len(self.steps)
            self.note_rise(step)

    def note_rise(self, step: Step) -> None:
        """Note who rises for an evaluation, before it is asked for."""
        if step.rung and not step.replicate:
            self.risen[step.rung - 1].add(step.source)

    def take(self, key: int, metrics: Metrics | None) -> None:
        """Note an evaluation that ended, unless it was stopped."""
        if key in self.stopped:
            return
        self.results[key] = metrics
        step = self.steps[key - 1]
        if not step.replicate and not self.is_barred(metrics):
            self.seen[step.rung].append(key)
            self.seen[step.rung].sort()

    def stop(self, key: int, expected: Metrics, share: float) -> None:
        """Note an evaluation that was stopped early after this share of it."""
        self.stopped[key], self.results[key] = (expected, share), None
        self.units -= (1 - share) * self.units_of(self.steps[key - 1])

    def stopped_on(self, rung: int) -> list[int]:
        """Return the evaluations on a rung that were stopped early."""
        return sorted(key for key in self.stopped if self.steps[key - 1].rung == rung)

    def awaited(self) -> list[int]:
        """Return the evaluations that have not ended."""
        return [key for key in range(1, len(self.steps) + 1) if key not in self.results]

    def is_top(self, key: int) -> bool:
        """Return whether an evaluation is a full one."""
        return self.steps[key - 1].rung == self.top

    def dump(self, with_results: bool) -> dict[str, Any]:
        """Return the state as plain data and arrays; without results those are to be taken again after ``load``."""
        return {
            "steps": np.array(self.steps, dtype="<i8").reshape(-1, len(Step._fields)),
            "stopped": [[key, *how] for key, how in self.stopped.items()],
            "results": [[key, metrics] for key, metrics in self.results.items()] if with_results else [],
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take a dumped state over, into climbs that are new."""
        for step in state["steps"].tolist():
            self.enter(Step(*step))
        for key, expected, share in state.get("stopped", []):  # older states have none
            self.stop(key, expected, share)
        for key, metrics in state["results"]:
            self.take(key, metrics)

    def waiting(self, rung: int, candidates: Iterable[int]) -> set[int]:
        """Return the evaluations on a rung of those of these candidates that have not risen from it."""
        return {self.last[candidate] for candidate in candidates} & set(self.seen[rung]) - self.risen[rung]

    def restartable(self, queue: Sequence[Step], candidates: Collection[int]) -> tuple[list[int], list[int]]:
        """Return the evaluations whose weights are needed now, and those that may be, the likeliest first.

        Args:
            queue: What is to be asked for next.
            candidates: Those that may still rise.
        """
        running = self.awaited()
        sources = [self.steps[key - 1].source for key in running] + [step.source for step in queue]
        downwards = reversed(range(self.top))
        waiting = [key for rung in downwards for key in self.in_order(rung, self.waiting(rung, candidates))]
        return [*running, *(key for key in sources if key)], waiting

    def is_barred(self, metrics: Metrics | None) -> bool:
        """Return whether an outcome lets its candidate rise no further: it failed, or breaks a limit for good."""
        if metrics is None or any(o.metric not in metrics for o in self.goals.objectives):
            return True
        return bool(self.goals.broken_limits({name: metrics[name] for name in self._cheap & metrics.keys()}))

    def in_order(self, rung: int, wanted: Iterable[int]) -> list[int]:
        """Put evaluations on a rung in the order of promotion, as it is among all that were seen there."""
        chosen, seen = set(wanted), self.seen[rung]
        if not chosen:
            return []
        violation = np.array([self.goals.violation(self.results[key] or {}) for key in seen])
        return [seen[i] for i in promotion_order(self.F(seen), violation) if seen[i] in chosen]

    def F(self, keys: Sequence[int]) -> Array:
        """Return the objectives of evaluations that ended well, ``(n, n_obj)`` array."""
        rows = [self.goals.objective_values(self.results[key] or {}) for key in keys]
        return np.array(rows, dtype=float).reshape(len(keys), len(self.goals.objectives))

    def correlation(self, rung: int) -> float | None:
        """Return the least rank correlation, over objectives, of a rung with the next; None while too few are known."""
        known = rung, len(self.seen[rung + 1])
        if known not in self._taus:
            self._taus[known] = self._computed_correlation(rung)
        return self._taus[known]

    def _computed_correlation(self, rung: int) -> float | None:
        above = {self.steps[key - 1].source: key for key in self.seen[rung + 1]}
        pairs = [(key, above[key]) for key in self.seen[rung] if key in above]
        if len(pairs) < MIN_PAIRS:
            return None
        low, high = zip(*pairs, strict=True)
        return float(rank_correlations(self.F(low), self.F(high)).min())

    def mean(self, candidate: int) -> Metrics:
        """Return the mean metrics of a candidate's evaluations on the top rung that ended well."""
        keys = [self.last[candidate], *self.repeats.get(candidate, [])]
        ended = [metrics for key in keys if (metrics := self.results.get(key)) and not self.is_barred(metrics)]
        return mean_metrics(ended)

    def is_on_front(self, candidate: int) -> bool:
        """Return whether a candidate's full evaluation is on the front of all of them, as means over repetitions."""
        key, keys = self.last[candidate], self.seen[self.top]
        if key not in keys:
            return False
        means = [self.mean(self.steps[k - 1].candidate) for k in keys]
        F = np.array([self.goals.objective_values(metrics) for metrics in means])
        violation = np.array([self.goals.violation(metrics) for metrics in means])
        return keys.index(key) in pareto_rows(F, violation)

    def without_objectives(self, metrics: Metrics) -> Metrics:
        """Return what the population may know of a training that was to go on: no objectives but those with limits."""
        objectives = {objective.metric for objective in self.goals.objectives}
        limits = {limit.metric for limit in self.goals.limits}
        return {name: value for name, value in metrics.items() if name in limits or name not in objectives}

    def estimate(self, key: int) -> Metrics:
        """Guess what a full evaluation would show from what its rung did, or its learning curve if it was stopped.

        What reached the top gives a line from the rung to there for each metric: the autoregressive model of Kennedy
        and O'Hagan, "Predicting the output from a complex computer code when fast approximations are available",
        Biometrika 2000, equation 1, without its second process; the line is Theil's and Sen's. While few are known it
        is the median change.
        """
        if key in self.stopped:
            return self.stopped[key][0]
        metrics = self.results[key] or {}
        lines = self._lines(self.steps[key - 1].rung)
        return {name: slope * metrics[name] + intercept for name, (slope, intercept) in lines.items()}

    def _lines(self, rung: int) -> dict[str, tuple[float, float]]:
        """Return slope and intercept of each metric from a rung to the top."""
        known = rung, len(self.seen[self.top])
        if known not in self._known_lines:
            pairs = [(self.results[self._below(top, rung)] or {}, self.results[top] or {}) for top in self.seen[-1]]
            self._known_lines[known] = {
                name: _line(np.array([low[name] for low, _ in pairs]), np.array([high[name] for _, high in pairs]))
                for name in self.goals.metric_names
            }
        return self._known_lines[known]

    def _below(self, key: int, rung: int) -> int:
        while self.steps[key - 1].rung > rung:
            key = self.steps[key - 1].source
        return key


def _line(low: Array, high: Array) -> tuple[float, float]:
    if len(low) < MIN_PAIRS or np.ptp(low) == 0:
        return 1.0, float(np.median(high - low)) if len(low) else 0.0
    from scipy.stats import theilslopes

    slope, intercept, *_ = theilslopes(high, low)
    return float(slope), float(intercept)

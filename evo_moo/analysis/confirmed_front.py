"""A front whose members were trained again with other seeds: means, intervals, and the shift from the search.

Where a problem declares for a metric another one on test data (``Metric(held_out=True, test_of=…)``), that is what is
confirmed. The shift from what the search recorded then has two parts: the luck of the search's seed (the same
validation data with new seeds), and the selection on the validation data (test data instead). Where there is none, only
the first is seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from evo_moo.analysis.statistics.intervals import (
    LEVEL,
    Array,
    nondominated_share,
    posterior_means,
    summary_of_rows,
)
from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metric
from evo_moo.problem.objectives import total_violation
from evo_moo.problem.points import Key
from evo_moo.seeding import seed_for
from evo_moo.storage.evaluation_row import Evaluation

DRAWS = 10_000


class InContext(NamedTuple):
    """What was confirmed in one context.

    Attributes:
        members: Ids of those on the front that the search had there.
        p_nondominated: As in ``Confirmation``.
    """

    members: frozenset[Key]
    p_nondominated: list[float | None]


@dataclass(frozen=True)
class Confirmation:
    """The replicates of a run's members.

    Attributes:
        run: Name of the run.
        goals: Objectives and limits.
        known_metrics: Every metric that the problem declares.
        members: The run's evaluations that were repeated, with the metrics that the search recorded.
        seeds: The seeds, ``(n_seeds,)``.
        values: Name of a metric to its confirmed values, on test data where there are some: ``(n_members, n_seeds)``
            array, NaN where a repetition gave nothing.
        again: Name of a metric with test data to its values on validation data, as in ``values``.
        p_nondominated: For each member the probability that it is on the Pareto front of the true means of all of
            them; None where it has fewer than two replicates. With contexts the largest of those in each.
        notes: What limits the conclusions.
        in_contexts: With contexts, by name, such probabilities in each, and which members the search had there.
    """

    run: str
    goals: Goals
    known_metrics: dict[str, Metric]
    members: list[Evaluation]
    seeds: list[int]
    values: dict[str, Array]
    again: dict[str, Array]
    p_nondominated: list[float | None]
    notes: list[str]
    in_contexts: dict[str, "InContext"] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Names of the confirmed metrics, those of the goals first."""
        return list(self.values)

    def test_metric(self, name: str) -> str:
        """Name the metric that stands for one on test data; empty if there is none."""
        return test_metric_of(self.known_metrics, name)

    def searched(self, name: str) -> Array:
        """What the search recorded of a metric, ``(n_members,)``, NaN where it recorded nothing."""
        return np.array([member.metrics.get(name, np.nan) for member in self.members], dtype=float)

    def summary(self, name: str) -> dict[str, Array]:
        """Return number, mean, standard deviation and interval of a metric, each ``(n_members,)``."""
        return summary_of_rows(self.values[name])

    def shift(self, name: str) -> dict[str, dict[str, float] | None]:
        """Return how far a metric moved from the search to the confirmation, on average over the members.

        The average over the members is taken seed by seed; the interval is Student's over the seeds, so that members
        may share what a seed does to them. The values of the search are taken as they are. Where replicates are
        missing, either the members count that have all, or the seeds that all members have, whichever leaves more.

        Returns:
            ``total``; where there are test data also ``seed`` and ``split``, which add up to it: ``mean``, ``low`` and
            ``high``, or None where it is not known.
        """
        searched = self.searched(name)[:, None]
        parts = {"total": self.values[name] - searched}
        if name in self.again:
            parts |= {"seed": self.again[name] - searched, "split": self.values[name] - self.again[name]}
        return {part: _average(rows) for part, rows in parts.items()}

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain data; a number that is not known is None."""
        summaries = {name: self.summary(name) for name in self.names}
        return {
            "run": self.run,
            "level": LEVEL,
            "seeds": self.seeds,
            "objectives": {o.metric: o.direction for o in self.goals.objectives},
            "test_metrics": {name: test for name in self.names if (test := self.test_metric(name))},
            "members": [
                {
                    "id": member.id,
                    "configuration": member.configuration,
                    "p_nondominated": self.p_nondominated[i],
                    **self._of_contexts(i),
                    "metrics": {
                        name: {
                            "search": _number(self.searched(name)[i]),
                            **{key: _number(column[i]) for key, column in summaries[name].items()},
                            "values": [_number(value) for value in self.values[name][i]],
                        }
                        for name in self.names
                    },
                }
                for i, member in enumerate(self.members)
            ],
            "shift": {name: self.shift(name) for name in self.names},
            "notes": self.notes,
            **({"contexts": self._objectives_of_contexts()} if self.in_contexts else {}),
        }

    def _of_contexts(self, member: int) -> dict[str, Any]:
        """Return on whose fronts the search had a member, and how probable each of them is."""
        if not self.in_contexts:
            return {}
        had = [name for name, each in self.in_contexts.items() if self.members[member].id in each.members]
        return {
            "contexts": had,
            "p_by_context": {n: each.p_nondominated[member] for n, each in self.in_contexts.items()},
        }

    def _objectives_of_contexts(self) -> dict[str, list[str]]:
        return {name: [o.metric for o in self.goals.within(name).objectives] for name in self.in_contexts}


def test_metric_of(known: Mapping[str, Metric], name: str) -> str:
    """Return the name of the metric that stands for one on test data; empty if there is none."""
    return next((test for test, metric in known.items() if metric.test_of == name), "")


def p_nondominated(goals: Goals, values: Mapping[str, Array]) -> list[float | None]:
    """Return for each member the probability that it is on the Pareto front of the true means.

    Args:
        goals: Objectives and limits.
        values: Name of a metric to the values of the replicates, ``(n_members, n_seeds)`` array, NaN where unknown.

    Returns:
        None for a member that has fewer than two replicates.
    """
    names = goals.metric_names
    stacked = np.stack([values[name] for name in names], axis=1)
    enough = (~np.isnan(stacked).any(axis=1)).sum(axis=1) >= 2
    shares: list[float | None] = [None] * len(stacked)
    if not enough.any():
        return shares
    n_draws = max(DRAWS // 10, min(DRAWS, 100 * DRAWS // int(enough.sum())))  # fewer for a front of hundreds
    drawn = posterior_means(stacked[enough], n_draws, seed_for("confirmed front", 0))
    columns = {name: drawn[:, :, i] for i, name in enumerate(names)}
    F = goals.F_of_columns(columns)
    excess = np.zeros((*F.shape[:2], len(goals.limits)))
    for k, limit in enumerate(goals.limits):
        excess[:, :, k] = limit.excess(columns[limit.metric])
    violation = total_violation(goals.limits, excess)
    for i, share in zip(np.flatnonzero(enough), nondominated_share(F, violation).tolist(), strict=True):
        shares[i] = share
    return shares


def largest_p(of_contexts: Sequence[Sequence[float | None]]) -> list[float | None]:
    """Return the largest probability of each member over contexts."""
    known = ([p for p in each if p is not None] for each in zip(*of_contexts, strict=True))
    return [max(values, default=None) for values in known]


def _average(rows: Array) -> dict[str, float] | None:
    """Return mean and interval over the seeds of the members' mean, from the largest part without a NaN."""
    known = ~np.isnan(rows)
    some = known.any(axis=1)
    complete = max(rows[known.all(axis=1)], rows[some][:, known[some].all(axis=0)], key=np.size)
    if complete.size == 0:
        return None
    summary = summary_of_rows(complete.mean(axis=0)[None])
    values = {key: float(summary[key][0]) for key in ("mean", "low", "high")}
    return {key: value for key, value in values.items() if not np.isnan(value)}


def _number(value: Any) -> float | int | None:
    plain = value.item() if isinstance(value, np.generic) else value
    return None if plain is None or plain != plain else plain

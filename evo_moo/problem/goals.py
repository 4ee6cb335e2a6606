"""Objectives and limits over named metrics, and their translation into pymoo's F, G and H."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from evo_moo.errors import MetricError
from evo_moo.pareto import drawn_in, pareto_rows
from evo_moo.problem.goal_faults import objective_table
from evo_moo.problem.metrics import with_unit

Array = npt.NDArray[np.float64]
Limits = Mapping[str, Mapping[str, float]]
ROWS_AT_A_TIME = 1000
"""Evaluations whose metrics lie in memory at once, where only columns of them are needed."""
EQUALITY_TOLERANCE, RELATIVE_TOLERANCE = 1e-4, 1e-6
"""How far off an equality still counts as kept: by as much as in pymoo, or by a millionth of the bound."""


@dataclass(frozen=True)
class Objective:
    """A metric to minimise or to maximise.

    Attributes:
        metric: Name of the metric.
        direction: ``"min"`` or ``"max"``.
        goal: The value that would be good enough. It is shown, and changes nothing in the search.
    """

    metric: str
    direction: Literal["min", "max"]
    goal: float | None = None

    @property
    def sign(self) -> int:
        """Factor that makes the metric one to minimise: -1 where it is maximised, else 1."""
        return -1 if self.direction == "max" else 1

    def best(self, values: Iterable[float]) -> float:
        """Return the best of some values of the metric."""
        return min(values, key=lambda value: self.sign * value)

    def in_words(self, unit: str = "") -> str:
        """Name it with its unit and its direction, as axes show it."""
        return f"{with_unit(self.metric, unit)}, {'more' if self.direction == 'max' else 'less'} is better"

    def reached(self, value: float) -> bool:
        """Return whether a value is good enough; without a goal every value is."""
        return self.goal is None or self.sign * value <= self.sign * self.goal


@dataclass(frozen=True)
class Limit:
    """A hard limit on a metric: one inequality or one equality."""

    metric: str
    relation: Literal["at_most", "at_least", "equals"]
    bound: float

    def violation(self, value: float) -> float:
        """Return the constraint's value: feasible when at most 0 (equality: when 0)."""
        return self.bound - value if self.relation == "at_least" else value - self.bound

    @property
    def tolerance(self) -> float:
        """How far off an equality's bound still counts as kept."""
        return max(EQUALITY_TOLERANCE, RELATIVE_TOLERANCE * abs(self.bound))

    def is_kept(self, value: float) -> bool:
        """Return whether a value keeps the limit."""
        return bool(self._over(value) <= 0)

    @property
    def ends(self) -> tuple[float, ...]:
        """The values at which the limit begins or ends to be kept: one, and of an equality two."""
        if self.relation == "equals":
            return self.bound - self.tolerance, self.bound + self.tolerance
        return (self.bound,)

    def excess(self, value: Any) -> Any:
        """Return how far a value, or each of an array, is beyond the limit, in the metric's own unit; else 0."""
        return np.maximum(self._over(value), 0.0)

    def _over(self, value: Any) -> Any:
        off = self.violation(value)
        return abs(off) - self.tolerance if self.relation == "equals" else off


@dataclass(frozen=True)
class Goals:
    """What a search is after: the objectives and the limits, in the order of F, G and H."""

    objectives: tuple[Objective, ...]
    limits: tuple[Limit, ...] = ()

    @classmethod
    def declared(cls, objectives: Mapping[str, Any], constraints: Limits) -> Self:
        """Build goals from a problem's or a job's declaration; ``find_faults`` says if it is sound."""
        return cls(
            tuple(Objective(name, **objective_table(spec)) for name, spec in objectives.items()),
            tuple(
                Limit(name, relation, float(bound))  # type: ignore[arg-type]
                for name, bounds in constraints.items()
                for relation, bound in bounds.items()
            ),
        )

    @property
    def inequalities(self) -> tuple[Limit, ...]:
        """Limits that make a column of G."""
        return tuple(limit for limit in self.limits if limit.relation != "equals")

    @property
    def equalities(self) -> tuple[Limit, ...]:
        """Limits that make a column of H."""
        return tuple(limit for limit in self.limits if limit.relation == "equals")

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Names of the metrics that every evaluation must return, each once."""
        names = [objective.metric for objective in self.objectives] + [limit.metric for limit in self.limits]
        return tuple(dict.fromkeys(names))

    @property
    def signs(self) -> Array:
        """Signs of the objectives, ``(n_obj,)`` array: F is the metrics' values times these."""
        return np.array([objective.sign for objective in self.objectives], dtype=float)

    def sign(self, metric: str) -> int:
        """Return the sign of a metric: -1 where it is an objective that is maximised, else 1."""
        return next((o.sign for o in self.objectives if o.metric == metric), 1)

    def has_objectives(self, metrics: Mapping[str, float]) -> bool:
        """Return whether metrics hold every objective."""
        return all(objective.metric in metrics for objective in self.objectives)

    def seek_the_same_as(self, other: "Goals") -> bool:
        """Return whether objectives and limits agree, in their order; what counts as good enough may differ."""
        aims = [[(o.metric, o.direction) for o in goals.objectives] for goals in (self, other)]
        return aims[0] == aims[1] and self.limits == other.limits

    def front_of(self, columns: Mapping[str, Array]) -> Array | None:
        """Return the Pareto front of a table of all configurations there are, ``(m, n_obj)`` array, minimised.

        Equal points are one.

        Args:
            columns: Metric names to ``(n,)`` values.

        Returns:
            None where a metric is not in the table, or nothing keeps the limits.
        """
        if not columns.keys() >= set(self.metric_names):
            return None
        F = self.F_of_columns(columns)
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        F = np.unique(F[[self.violation(metrics) == 0 for metrics in rows]], axis=0)
        return F[pareto_rows(F, np.zeros(len(F)))] if len(F) else None

    def reference(self, given: Mapping[str, float] | Sequence[float]) -> Array:
        """Return a reference point, ``(n_obj,)`` minimised, of one that was given.

        Raises:
            MetricError: It lacks an objective, or has another number of values.
        """
        names = [objective.metric for objective in self.objectives]
        if isinstance(given, Mapping) and set(names) - set(given):
            raise MetricError(f"`ref_point` must hold {', '.join(names)}, but holds {', '.join(given)}")
        ref = np.atleast_1d(np.asarray(self.F([given])[0] if isinstance(given, Mapping) else given, dtype=float))
        if ref.shape != (len(names),):
            raise MetricError(f"`ref_point` must hold {len(names)} values, but holds {ref.size}")
        return ref

    def best(self, rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
        """Return the best value of each objective that any of some rows has."""
        known = {o: [row[o.metric] for row in rows if o.metric in row] for o in self.objectives}
        return {o.metric: o.best(values) for o, values in known.items() if values}

    def F(self, rows: Sequence[Mapping[str, float]]) -> Array:
        """Return the objectives of evaluations, ``(n, n_obj)`` array, minimised; beyond ±1e70 drawn in.

        Args:
            rows: The metrics of each of the n evaluations.

        Raises:
            KeyError: An evaluation lacks an objective.
        """
        values = [[o.sign * metrics[o.metric] for o in self.objectives] for metrics in rows]
        return drawn_in(np.array(values, dtype=float).reshape(len(rows), len(self.objectives)))

    def F_of_columns(self, columns: Mapping[str, Array]) -> Array:
        """Return F of metrics that stand in columns of one shape: an array of that shape and one axis of objectives."""
        return drawn_in(self.signs * np.stack([columns[o.metric] for o in self.objectives], axis=-1))

    def matrices(self, rows: Sequence[Mapping[str, float]]) -> tuple[Array, Array, Array]:
        """Return F, G and H of evaluations; a row of F is infinite where an objective is not known."""
        F = np.full((len(rows), len(self.objectives)), np.inf)
        F[[self.has_objectives(metrics) for metrics in rows]] = self.F(list(filter(self.has_objectives, rows)))
        G = np.array([self.inequality_values(metrics) for metrics in rows], dtype=float)
        H = np.array([self.equality_values(metrics) for metrics in rows], dtype=float)
        return F, G.reshape(len(rows), len(self.inequalities)), H.reshape(len(rows), len(self.equalities))

    def inequality_values(self, metrics: Mapping[str, float]) -> list[float]:
        """Return the row of G, ``(n_ieq_constr,)``; a metric that is not known yet counts as feasible."""
        return [limit.violation(metrics.get(limit.metric, limit.bound)) for limit in self.inequalities]

    def equality_values(self, metrics: Mapping[str, float]) -> list[float]:
        """Return the row of H, ``(n_eq_constr,)``, kept up to ``EQUALITY_TOLERANCE``; what is not known is feasible.

        Where a limit's own tolerance is larger, the value is smaller in that proportion: pymoo has one for all.
        """
        return [
            limit.violation(metrics.get(limit.metric, limit.bound)) * (EQUALITY_TOLERANCE / limit.tolerance)
            for limit in self.equalities
        ]

    def violation(self, metrics: Mapping[str, float]) -> float:
        """Return the total constraint violation, 0 when feasible; a metric that is not known yet counts as feasible."""
        known = [limit for limit in self.limits if limit.metric in metrics]
        if all(limit.is_kept(metrics[limit.metric]) for limit in known):
            return 0.0
        return float(total_violation(known, np.array([limit.excess(metrics[limit.metric]) for limit in known])))

    def violations(self, G: Array, H: Array) -> Array:
        """Return the total constraint violations of evaluations, ``(n,)`` array, of what ``matrices`` returns."""
        tolerance = np.array([limit.tolerance for limit in self.equalities])
        off = (np.abs(H) - EQUALITY_TOLERANCE) * (tolerance / EQUALITY_TOLERANCE)
        return total_violation((*self.inequalities, *self.equalities), np.maximum(np.hstack([G, off]), 0.0))

    def broken_limits(self, metrics: Mapping[str, float]) -> list[str]:
        """Describe each limit that the metrics exceed."""
        known = [(limit, metrics[limit.metric]) for limit in self.inequalities if limit.metric in metrics]
        return [
            f"`{limit.metric}` must be {limit.relation.replace('_', ' ')} {limit.bound:g}, but is {value:g}"
            for limit, value in known
            if limit.violation(value) > 0
        ]

    def __str__(self) -> str:
        """Return the goals in words: ``error min, speed max; size at most 7``."""
        aims = [
            f"{o.metric} {o.direction}" + ("" if o.goal is None else f" (goal {o.goal:g})") for o in self.objectives
        ]
        limits = [f"{limit.metric} {limit.relation.replace('_', ' ')} {limit.bound:g}" for limit in self.limits]
        return "; ".join(", ".join(each) for each in (aims, limits) if each)

    def to_json(self) -> dict[str, Any]:
        """Return plain data, for the ledger."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` gave."""
        return cls(
            tuple(Objective(**objective) for objective in data["objectives"]),
            tuple(Limit(**limit) for limit in data["limits"]),
        )


class Objectives(NamedTuple):
    """What evaluations came to, as columns in their order.

    Attributes:
        keys: ``(n,)`` keys, of evaluations or of their points.
        F: ``(n, n_obj)`` objectives, minimised.
        violation: ``(n,)`` total constraint violations, 0 when feasible.
    """

    keys: npt.NDArray[np.object_]
    F: Array
    violation: Array

    def front(self) -> "Objectives":
        """Return the Pareto front of what is feasible, sorted by the first objective."""
        kept = np.flatnonzero(self.violation == 0)
        rows = kept[pareto_rows(self.F[kept], np.zeros(len(kept)))]
        return Objectives(self.keys[rows], self.F[rows], self.violation[rows])

    @classmethod
    def of(cls, rows: Iterable[tuple[int | str, Mapping[str, float]]], goals: Goals) -> Self:
        """Return the columns of keys and metrics, which are read some at a time.

        Raises:
            KeyError: An evaluation lacks an objective.
        """
        rest, parts = iter(rows), [cls(np.empty(0, dtype=object), goals.F([]), np.empty(0))]
        while part := list(itertools.islice(rest, ROWS_AT_A_TIME)):
            metrics = [each for _, each in part]
            violation = np.array([goals.violation(each) for each in metrics])
            parts.append(cls(np.array([key for key, _ in part], dtype=object), goals.F(metrics), violation))
        return cls(*map(np.concatenate, zip(*parts, strict=True)))


def total_violation(limits: Sequence[Limit], excess: Array) -> Array:
    """Return by how much limits are missed in all, 0 where each is kept.

    Limits are in different units, so each counts by its own size: missed by ``excess`` it counts
    ``excess / (excess + |bound|)``, which is a half where it is missed by as much as its bound, and never more than 1.
    So however far off one limit is, the others count too. A bound of 0 has no size; 1 is taken. Where all bounds are 0,
    as in pymoo's problems, the excesses are added up as pymoo does.

    Args:
        limits: The limits.
        excess: ``(…, n_limits)`` array, by how much each is exceeded, at least 0.

    Returns:
        Array of the shape of ``excess`` without its last axis.
    """
    sizes = np.array([abs(limit.bound) for limit in limits])
    if sizes.any() and excess.any():
        with np.errstate(divide="ignore", over="ignore"):
            share = 1 / (1 + np.where(sizes > 0, sizes, 1.0) / excess)  # neither overflows nor is NaN
        excess = np.where(excess > 0, np.maximum(share, np.finfo(float).tiny), 0.0)
    return np.asarray(excess.sum(axis=-1))

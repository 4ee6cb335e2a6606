"""Objectives and limits over named metrics, and their translation into pymoo's F, G and H."""

import functools
import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from evo_moo.errors import MetricError
from evo_moo.pareto import drawn_in, pareto_rows
from evo_moo.problem.contexts import Context, at, recorded_names
from evo_moo.problem.goal_faults import objective_table
from evo_moo.problem.objectives import EQUALITY_TOLERANCE, Limit, Objective, total_violation

Array = npt.NDArray[np.float64]
Limits = Mapping[str, Mapping[str, float]]
ROWS_AT_A_TIME = 1000
"""Evaluations whose metrics lie in memory at once, where only columns of them are needed."""


@dataclass(frozen=True)
class Goals:
    """What a search is after: the objectives and the limits, in the order of F, G and H.

    With contexts they are those of all of them together: a metric that differs between contexts is an objective for
    each, and what counts is the front of each context, see ``within``.
    """

    objectives: tuple[Objective, ...]
    limits: tuple[Limit, ...] = ()
    contexts: tuple[Context, ...] = ()

    @classmethod
    def declared(
        cls,
        objectives: Mapping[str, Any],
        constraints: Limits,
        contexts: Sequence[Context] = (),
        by_context: Collection[str] = (),
    ) -> Self:
        """Build goals from a problem's or a job's declaration; ``find_faults`` says if it is sound.

        Args:
            objectives: Metrics to directions.
            constraints: Metrics to limits.
            contexts: Where the metrics of ``by_context`` differ.
            by_context: Names of metrics.
        """
        return cls(
            tuple(
                Objective(name, **objective_table(spec))
                for metric, spec in objectives.items()
                for name in recorded_names(metric, [context.name for context in contexts], by_context)
            ),
            tuple(
                Limit(name, relation, float(bound))  # type: ignore[arg-type]
                for metric, bounds in constraints.items()
                for name in recorded_names(metric, [context.name for context in contexts], by_context)
                for relation, bound in bounds.items()
            ),
            tuple(contexts),
        )

    @functools.cached_property
    def views(self) -> tuple["Goals", ...]:
        """The goals in each context, whose front counts by itself; without contexts these goals alone."""
        return tuple(self.within(context.name) for context in self.contexts) or (self,)

    @property
    def weights(self) -> Array:
        """How much the front of each of ``views`` counts, ``(n_views,)`` array with the sum 1."""
        weights: Array = np.array([context.weight for context in self.contexts] or [1.0])
        return np.asarray(weights / weights.sum())

    def within(self, context: str) -> "Goals":
        """Return the goals in one context: those of its own metrics, and those that hold everywhere.

        Raises:
            MetricError: There is no such context.
        """
        names = [each.name for each in self.contexts]
        if context not in names:
            if not names:
                raise MetricError(f"a context must go with a search that has contexts, but this has none: {context!r}")
            raise MetricError(f"a context must be one of {', '.join(names)}, but is {context!r}")
        others = tuple(at("", name) for name in names if name != context)
        return Goals(
            tuple(o for o in self.objectives if not o.metric.endswith(others)),
            tuple(limit for limit in self.limits if not limit.metric.endswith(others)),
        )

    @functools.cached_property
    def columns_of_views(self) -> tuple[npt.NDArray[np.int64], ...]:
        """The columns of F that each of ``views`` has."""
        column = {objective: k for k, objective in enumerate(self.objectives)}
        return tuple(np.array([column[o] for o in view.objectives], dtype=np.int64) for view in self.views)

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
        return aims[0] == aims[1] and self.limits == other.limits and self.contexts == other.contexts

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

    def best_kept(self, rows: Sequence[Mapping[str, float]], known: Mapping[str, float]) -> dict[str, float]:
        """Return the best value of each objective that any row has in a context whose limits it keeps.

        Args:
            rows: The metrics of evaluations.
            known: Such values, of rows before.
        """
        kept = [[row for row in rows if not view.violation(row)] for view in self.views]
        bests = [known, *(view.best(of_view) for view, of_view in zip(self.views, kept, strict=True))]
        return self.best(bests)

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
        """Return the total constraint violation, 0 when feasible; a metric that is not known yet counts as feasible.

        With contexts it is that of the context where it is least.
        """
        if self.contexts:
            return min(view.violation(metrics) for view in self.views)
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
        """Describe each limit that the metrics exceed; none while they keep those of one context."""
        if self.contexts:
            of_views = [view.broken_limits(metrics) for view in self.views]
            return list(dict.fromkeys(itertools.chain(*of_views))) if all(of_views) else []
        known = [(limit, metrics[limit.metric]) for limit in self.inequalities if limit.metric in metrics]
        return [
            f"`{limit.metric}` must be {limit.relation.replace('_', ' ')} {limit.bound:g}, but is {value:g}"
            for limit, value in known
            if limit.violation(value) > 0
        ]

    def front_rows(self, rows: Sequence[Mapping[str, float]]) -> npt.NDArray[np.int64]:
        """Return which evaluations are on the front, sorted by the first objective.

        With contexts they are those on the front of any in which something keeps the limits, or of all if none is so.
        """
        of_views = [np.array([view.violation(row) for row in rows]) for view in self.views]
        fronts = [pareto_rows(view.F(rows), off) for view, off in zip(self.views, of_views, strict=True)]
        if len(fronts) == 1:
            return fronts[0]
        kept = [front for front, off in zip(fronts, of_views, strict=True) if (off == 0).any()]
        union = np.unique(np.concatenate(kept or fronts))
        sorted_rows: npt.NDArray[np.int64] = union[np.lexsort(self.F([rows[i] for i in union]).T[::-1])]
        return sorted_rows

    def __str__(self) -> str:
        """Return the goals in words: ``error min, speed max; size at most 7``."""
        aims = [
            f"{o.metric} {o.direction}" + ("" if o.goal is None else f" (goal {o.goal:g})") for o in self.objectives
        ]
        limits = [f"{limit.metric} {limit.relation.replace('_', ' ')} {limit.bound:g}" for limit in self.limits]
        return "; ".join(", ".join(each) for each in (aims, limits) if each)

    def to_json(self) -> dict[str, Any]:
        """Return plain data, for the ledger."""
        data = {"objectives": list(map(asdict, self.objectives)), "limits": list(map(asdict, self.limits))}
        return data | ({"contexts": list(map(list, self.contexts))} if self.contexts else {})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` gave."""
        return cls(
            tuple(Objective(**objective) for objective in data["objectives"]),
            tuple(Limit(**limit) for limit in data["limits"]),
            tuple(Context(*context) for context in data.get("contexts", ())),
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

"""Objectives and limits over named metrics, and their translation into pymoo's F, G and H."""

import contextlib
import difflib
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from evo_moo.errors import MetricError
from evo_moo.pareto import pareto_rows

Metrics = dict[str, float]
Limits = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Metric:
    """What is known of a metric besides its value.

    Attributes:
        unit: Unit of the value, such as ``"ms"``; empty for a pure number.
        description: One line for tables.
        log: Whether ratios count, not differences: plots show it on a logarithmic axis, and where it is minimised,
            models weigh trade-offs by its logarithm.
        timed: Whether it is a measured time, which no seed makes reproducible.
        noisy: Whether it depends on the evaluation's seed.
        cheap: Whether it needs no training.
        held_out: Whether it may only be reported: a search must not see it.
        test_of: The metric that this one is on held-out test data; ``evo-moo confirm`` reports it in that one's place.
    """

    unit: str = ""
    description: str = ""
    log: bool = False
    timed: bool = False
    noisy: bool = False
    cheap: bool = False
    held_out: bool = False
    test_of: str = ""


def with_unit(name: str, unit: str) -> str:
    """Name a metric with its unit, unless the name tells it already."""
    return f"{name} ({unit})" if unit and not name.endswith(f"_{unit}") else name


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

    def in_words(self, unit: str = "") -> str:
        """Name it with its unit and its direction, as axes show it."""
        return f"{with_unit(self.metric, unit)}, {'more' if self.direction == 'max' else 'less'} is better"

    def reached(self, value: float) -> bool:
        """Tell whether a value is good enough; without a goal every value is."""
        if self.goal is None:
            return True
        return value <= self.goal if self.direction == "min" else value >= self.goal


@dataclass(frozen=True)
class Limit:
    """A hard limit on a metric: one inequality or one equality."""

    metric: str
    relation: Literal["at_most", "at_least", "equals"]
    bound: float

    def violation(self, value: float) -> float:
        """Give the constraint's value: feasible when at most 0 (equality: when 0)."""
        return self.bound - value if self.relation == "at_least" else value - self.bound


@dataclass(frozen=True)
class Goals:
    """What a search is after: the objectives and the limits, in the order of F, G and H."""

    objectives: tuple[Objective, ...]
    limits: tuple[Limit, ...] = ()

    @classmethod
    def declared(cls, objectives: Mapping[str, Any], constraints: Limits) -> Self:
        """Build goals from a problem's or a job's declaration; ``find_faults`` says if it is sound."""
        return cls(
            tuple(Objective(name, **_objective_table(spec)) for name, spec in objectives.items()),
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

    def seek_the_same_as(self, other: "Goals") -> bool:
        """Tell whether objectives and limits agree, in their order; what counts as good enough may differ."""
        aims = [[(o.metric, o.direction) for o in goals.objectives] for goals in (self, other)]
        return aims[0] == aims[1] and self.limits == other.limits

    def front_of(self, columns: Mapping[str, npt.NDArray[np.float64]]) -> npt.NDArray[np.float64] | None:
        """Give the Pareto front of a table of all configurations there are, ``(m, n_obj)`` array, minimised.

        Equal points are one.

        Args:
            columns: Metric names to ``(n,)`` values.

        Returns:
            None where a metric is not in the table, or nothing keeps the limits.
        """
        if not columns.keys() >= set(self.metric_names):
            return None
        F = np.column_stack([columns[o.metric] * (1 if o.direction == "min" else -1) for o in self.objectives])
        kept = np.ones(len(F), dtype=bool)
        for limit in self.limits:
            excess = np.array([limit.violation(value) for value in columns[limit.metric].tolist()])
            kept &= np.abs(excess) <= 1e-4 if limit.relation == "equals" else excess <= 0
        F = np.unique(F[kept], axis=0)
        return F[pareto_rows(F, np.zeros(len(F)))] if len(F) else None

    def objective_values(self, metrics: Mapping[str, float]) -> list[float]:
        """Give the row of F, ``(n_obj,)``, minimised."""
        return [metrics[o.metric] if o.direction == "min" else -metrics[o.metric] for o in self.objectives]

    def matrices(self, rows: Sequence[Mapping[str, float]]) -> tuple[list[list[float]], ...]:
        """Give the rows of F, G and H for evaluations; F is infinite where the objectives are not known."""
        names = [objective.metric for objective in self.objectives]
        unknown = [math.inf] * len(names)
        F = [self.objective_values(m) if all(name in m for name in names) else unknown for m in rows]
        if not self.limits:
            return F, [[]] * len(rows), [[]] * len(rows)
        return F, [self.inequality_values(m) for m in rows], [self.equality_values(m) for m in rows]

    def inequality_values(self, metrics: Mapping[str, float]) -> list[float]:
        """Give the row of G, ``(n_ieq_constr,)``; a metric that is not known yet counts as feasible."""
        return [limit.violation(metrics.get(limit.metric, limit.bound)) for limit in self.inequalities]

    def equality_values(self, metrics: Mapping[str, float]) -> list[float]:
        """Give the row of H, ``(n_eq_constr,)``; a metric that is not known yet counts as feasible."""
        return [limit.violation(metrics.get(limit.metric, limit.bound)) for limit in self.equalities]

    def violation(self, metrics: Mapping[str, float]) -> float:
        """Give the total constraint violation: 0 when feasible, with pymoo's 1e-4 tolerance on equalities."""
        if not self.limits:
            return 0.0
        excess = sum(max(g, 0.0) for g in self.inequality_values(metrics))
        return excess + sum(max(abs(h) - 1e-4, 0.0) for h in self.equality_values(metrics))

    def broken_limits(self, metrics: Mapping[str, float]) -> list[str]:
        """Describe each limit that the metrics exceed."""
        return [
            f"`{limit.metric}` must be {limit.relation.replace('_', ' ')} {limit.bound:g}, "
            f"but is {metrics[limit.metric]:g}"
            for limit in self.inequalities
            if limit.metric in metrics and limit.violation(metrics[limit.metric]) > 0
        ]

    def to_json(self) -> dict[str, Any]:
        """Give plain data, for the ledger."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` gave."""
        return cls(
            tuple(Objective(**objective) for objective in data["objectives"]),
            tuple(Limit(**limit) for limit in data["limits"]),
        )


def find_faults(
    objectives: Mapping[str, Any], constraints: Mapping[str, Any], known: Mapping[str, Metric]
) -> list[str]:
    """List every fault of declared goals, each beginning with its key.

    Args:
        objectives: Metric name to ``"min"``, ``"max"`` or ``{"direction": "max", "goal": 0.99}``.
        constraints: Metric name to a mapping of ``at_most``, ``at_least`` or ``equals`` to a number.
        known: The metrics that the problem returns.
    """
    faults = [] if objectives else ['`objectives`: name at least one metric, as in accuracy = "max"']
    for name, spec in objectives.items():
        key = f"objectives.{name}"
        faults += _name_faults(key, name, known)
        table = _objective_table(spec)
        if table.get("direction") not in ("min", "max"):
            faults.append(f"`{key}` must be 'min' or 'max', but is {table.get('direction', spec)!r}")
        if "goal" in table and not is_finite_number(table["goal"]):
            faults.append(f"`{key}.goal` must be a finite number, but is {table['goal']!r}")
        if unknown := table.keys() - {"direction", "goal"}:
            faults.append(f"`{key}` takes direction and goal, but has {', '.join(sorted(unknown))}")
    return faults + limit_faults("constraints", constraints, known)


def limit_faults(section: str, limits: Mapping[str, Any], known: Mapping[str, Metric]) -> list[str]:
    """List every fault of declared limits, each beginning with its key below a section; else as ``find_faults``."""
    faults: list[str] = []
    for name, bounds in limits.items():
        key, before = f"{section}.{name}", len(faults)
        faults += _name_faults(key, name, known)
        if not isinstance(bounds, Mapping) or not bounds:
            faults.append(f"`{key}` must be a limit such as {{at_most = 20}}, but is {bounds!r}")
            continue
        for relation, bound in bounds.items():
            if relation not in ("at_most", "at_least", "equals"):
                faults.append(f"`{key}.{relation}`: a limit is at_most, at_least or equals")
            elif not is_finite_number(bound):
                faults.append(f"`{key}.{relation}` must be a finite number, but is {bound!r}")
        low, high = bounds.get("at_least", 0), bounds.get("at_most", math.inf)
        if "at_least" in bounds and len(faults) == before and low > high:
            faults.append(f"`{key}`: at_least must not exceed at_most, but {low} exceeds {high}")
    return faults


def _objective_table(spec: Any) -> dict[str, Any]:
    return dict(spec) if isinstance(spec, Mapping) else {"direction": spec}


def is_finite_number(value: Any) -> bool:
    """Tell whether a value is a finite number, and no truth value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max


def _name_faults(key: str, name: str, known: Mapping[str, Metric]) -> list[str]:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean `{near[0]}`? " if near else ""
        return [f"`{key}`: the problem has no metric `{name}`; {hint}it has {', '.join(known)}"]
    if known[name].held_out:
        return [f"`{key}`: `{name}` is held out for the final report, a search must not see it"]
    return []


def mean_metrics(repetitions: Sequence[Metrics]) -> Metrics:
    """Give the means of the metrics that all repetitions of an evaluation gave; there must be one at least."""
    common = [name for name in repetitions[0] if all(name in metrics for metrics in repetitions)]
    return {name: sum(metrics[name] for metrics in repetitions) / len(repetitions) for name in common}


def checked_metrics(returned: Any, required: Iterable[str] = ()) -> Metrics:
    """Check what an evaluation returned and give it as plain numbers.

    Args:
        returned: What ``evaluate`` or ``profile`` returned: a mapping of names to finite numbers. NumPy
            scalars and one-element tensors count as numbers.
        required: Names that must be there.

    Raises:
        MetricError: It is no mapping, a value is no finite number, or a required name is missing.
    """
    if not isinstance(returned, Mapping):
        raise MetricError(f"an evaluation must return a dict of metrics, but it returned {_shown(returned)}")
    metrics = {name: _number(name, value) for name, value in returned.items()}
    missing = [name for name in required if name not in metrics]
    if missing:
        raise MetricError(
            f"an evaluation must return {', '.join(f'`{name}`' for name in missing)}, "
            f"but it returned only {', '.join(f'`{name}`' for name in metrics) or 'an empty dict'}"
        )
    return metrics


def _number(name: Any, value: Any) -> float:
    if type(value) is float and type(name) is str and math.isfinite(value):
        return value
    if not isinstance(name, str):
        raise MetricError(f"a metric's name must be a string, but is {_shown(name)}")
    with contextlib.suppress(AttributeError, ValueError, RuntimeError):
        value = value.item()
    if isinstance(value, bool):
        value = int(value)
    if not isinstance(value, int | float):
        raise MetricError(f"metric `{name}` must be a number, but is {_shown(value)}")
    if not is_finite_number(value):
        raise MetricError(f"metric `{name}` must be finite, but is {str(value)[:80]}")
    return value if isinstance(value, float) or -(2**63) <= value < 2**63 else float(value)


def _shown(value: Any) -> str:
    return f"{type(value).__name__} {str(value)[:80]!r}"

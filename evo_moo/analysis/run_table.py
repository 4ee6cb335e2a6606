"""What a run measured, as the rows and values that models learn from; none of the run's code is needed."""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evo_moo.analysis.run_record import RunRecord
from evo_moo.errors import EvoMooError, MetricError, RunFolderError
from evo_moo.problem.goals import ROWS_AT_A_TIME, Goals
from evo_moo.problem.metrics import Metric
from evo_moo.problem.points import Key
from evo_moo.space.kinds.known import variable_of
from evo_moo.space.search_space import SearchSpace
from evo_moo.space.variables import Mask
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.reading import guarded_reads
from evo_moo.surrogate.protocol import Array

FEWEST_NEAR_FRONT = 20
SHARE_NEAR_FRONT = 0.25


@dataclass(frozen=True, eq=False)
class RunTable:
    """The configurations of a run, each once, and their metrics.

    Short evaluations of a refinement count for metrics that need no training only; repetitions count by their mean.

    Attributes:
        space: The search space; rules that forbid combinations are functions, and are not known here.
        goals: Objectives and limits.
        metrics: What is known of each metric.
        X: ``(n, n_var)`` canonical rows, all different.
        values: Metric to its ``(n,)`` values, NaN where an evaluation did not give it.
        rank: ``(n,)`` numbers of the non-dominated front that a row is on, 0 the Pareto front; infinite where it was
            not evaluated fully, or breaks a limit. With contexts it is the best of those in each.
        ids: Id of an evaluation, or of its point, to its row.
        left_out: Status to the number of evaluations that gave none of the metrics.
        seed: The run's seed.
        n_trained: Number of columns, the first ones, that decide a training; None: all. The others are of choices.
        ranks: For each of the ``views`` of the goals such a rank; by default ``rank`` alone.
    """

    space: SearchSpace
    goals: Goals
    metrics: dict[str, Metric]
    X: Array
    values: dict[str, Array]
    rank: Array
    ids: dict[Key, int]
    left_out: dict[str, int]
    seed: int
    n_trained: int | None = None
    ranks: Sequence[Array] = ()

    def within(self, context: str) -> "RunTable":
        """Return the table by the goals of one context.

        Raises:
            MetricError: There is no such context.
        """
        goals = self.goals.within(context)
        (rank,) = (rank for rank, view in zip(self.ranks, self.goals.contexts, strict=True) if view.name == context)
        return replace(self, goals=goals, rank=rank, ranks=(rank,))

    @classmethod
    def of(cls, run: "str | Path | RunTable") -> "RunTable":
        """Return a table as it is, or read that of a run folder; see ``read``."""
        return run if isinstance(run, RunTable) else cls.read(run)

    @classmethod
    def read(cls, run_dir: str | Path) -> "RunTable":
        """Read a run folder; the run may still go on.

        Raises:
            RunFolderError: It is no run folder, or is damaged.
        """
        return cls.of_record(RunRecord.read(run_dir))

    @classmethod
    def of_record(cls, record: RunRecord) -> "RunTable":
        """Return the table of a run that is read; errors as for ``read``."""
        with guarded_reads(record.path):
            try:
                space = SearchSpace({name: variable_of(facts) for name, facts in record.space.items()})
                return cls._of(record, space)
            except RunFolderError:
                raise
            except EvoMooError as error:
                raise ValueError(str(error)) from error

    @classmethod
    def _of(cls, record: RunRecord, space: SearchSpace) -> "RunTable":
        names, left_out = record.metric_names, Counter[str]()
        n_views = len(record.goals.views)
        keys, parts = (
            list[Key](),
            [(np.empty((0, space.n_var)), np.empty((0, len(names))), np.empty((0, n_views), dtype=bool))],
        )
        has_choices = bool(record.choice_names)  # what offers no point then is no row of this space
        left_out.update(e.status for e in record.evaluations if has_choices and not e.choices)
        rest = iter(e for e in record.evaluations if e.choices or not has_choices)
        while part := list(itertools.islice(rest, ROWS_AT_A_TIME)):
            known = [_known_metrics(e, record.metrics) for e in part]
            left_out.update(e.status for e, metrics in zip(part, known, strict=True) if not metrics)
            values = np.array([[metrics.get(name, np.nan) for name in names] for metrics in known], dtype=float)
            parts.append((_rows(part, space), values, np.array([_kept(e, record.goals) for e in part], dtype=bool)))
            keys += [e.id for e in part]
        X, columns, feasible = map(np.concatenate, zip(*parts, strict=True))
        X, row_of = np.unique(X, axis=0, return_inverse=True)
        row_of = row_of.reshape(-1)
        means = {name: _means(columns[:, i], row_of, len(X)) for i, name in enumerate(names)}
        ok = np.zeros((n_views, len(X)), dtype=bool)
        for k in range(n_views):
            ok[k, row_of[feasible[:, k]]] = True
        ranks = [_ranks(view, means, of_view) for view, of_view in zip(record.goals.views, ok, strict=True)]
        rank, ids = np.min(ranks, axis=0), dict(zip(keys, row_of.tolist(), strict=True))
        n_trained = min((space.layout.places[name].start for name in record.choice_names), default=None)
        more = ids, dict(left_out), record.seed, n_trained, ranks
        return cls(space, record.goals, record.metrics, X, means, rank, *more)

    @property
    def n_measured(self) -> int:
        """Number of rows that have any metric."""
        return int(np.any([np.isfinite(values) for values in self.values.values()], axis=0).sum())

    def known(self, metric: str) -> npt.NDArray[np.intp]:
        """Return the rows that have a metric."""
        return np.flatnonzero(np.isfinite(self.values[metric]))

    def near_front(self) -> Mask:
        """Return which rows are the best: the Pareto front, and next fronts up to a quarter of the ranked, at least 20.

        Raises:
            MetricError: Nothing keeps the limits, so there is no front.
        """
        ranked = np.sort(self.rank[np.isfinite(self.rank)])
        if not ranked.size:
            raise MetricError("a run must have evaluations that keep the limits to have a front, but has none yet")
        n = max(FEWEST_NEAR_FRONT, int(np.ceil(SHARE_NEAR_FRONT * len(ranked))))
        return np.asarray(self.rank <= ranked[min(n, len(ranked)) - 1])

    def checked_metrics(self, names: Sequence[str] | None) -> list[str]:
        """Return the metrics that are asked about, by default the objectives.

        Raises:
            MetricError: One of them is not known.
        """
        if names is None:
            return [objective.metric for objective in self.goals.objectives]
        for name in names:
            if name not in self.values:
                raise MetricError(f"`metric` must be one of {', '.join(self.values)}, but is {name}")
        return list(dict.fromkeys(names))


def columns_of(rows: Sequence[Mapping[str, Any]], *names: str) -> dict[str, list[Any]]:
    """Return the columns of these names of a table that is given by rows."""
    return {name: [row[name] for row in rows] for name in names}


def _known_metrics(e: Evaluation, declared: dict[str, Metric]) -> dict[str, float]:
    """Return the metrics of an evaluation that a full one would have, too."""
    if e.status == "ok":
        return e.metrics
    return {name: value for name, value in e.metrics.items() if name in declared and declared[name].cheap}


def _kept(e: Evaluation, goals: Goals) -> list[bool]:
    """Return for each of the ``views`` of the goals whether an evaluation keeps its limits."""
    if not goals.contexts:
        return [e.feasible]
    return [e.feasible and not view.violation(e.metrics) for view in goals.views]


def _rows(evaluations: Sequence[Evaluation], space: SearchSpace) -> Array:
    """Return the encoded rows of evaluations, ``(n, n_var)``: as recorded, where these are the configurations'."""
    recorded, configurations = b"".join(e.x for e in evaluations), [e.configuration for e in evaluations]
    if len(recorded) == 8 * len(evaluations) * space.n_var:
        X = np.frombuffer(recorded, dtype="<f8").reshape(-1, space.n_var)
        if not np.isnan(X).any() and np.array_equal(space.canonical(X), X) and space.decode(X) == configurations:
            return X
    return space.encode(configurations)


def _means(values: Array, row_of: npt.NDArray[np.intp], n: int) -> Array:
    """Return the mean for each of ``n`` rows of the known ones among its values, NaN where there is none."""
    known, means = np.flatnonzero(~np.isnan(values)), np.full(n, np.nan)
    known = known[np.argsort(row_of[known], kind="stable")]
    rows, starts, counts = np.unique(row_of[known], return_index=True, return_counts=True)
    means[rows] = values[known[starts]]
    for i in np.flatnonzero(counts > 1):
        means[rows[i]] = np.mean(values[known[starts[i] : starts[i] + counts[i]]])
    return means


def _ranks(goals: Goals, values: dict[str, Array], ok: Mask) -> Array:
    import moocore

    rank, F = np.full(len(ok), np.inf), goals.F_of_columns(values)
    ok = ok & np.isfinite(F).all(axis=1)
    if ok.any():
        rank[ok] = moocore.pareto_rank(F[ok])
    return rank

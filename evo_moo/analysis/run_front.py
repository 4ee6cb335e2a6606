"""The Pareto front of a run, read from the ledger without the evaluations behind it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from evo_moo.analysis.statistics.replicates import means_and_spread
from evo_moo.pareto import Array, Box, hypervolume, pareto_rows, share_of_front
from evo_moo.problem.goals import Goals, Objectives
from evo_moo.problem.measurements import Interval, Pooled, front_rows
from evo_moo.problem.metrics import Metric, Metrics
from evo_moo.problem.points import Key, parts_of_key
from evo_moo.storage.evaluation_row import FAILED, STATUSES, Evaluation
from evo_moo.storage.facts import RunBox
from evo_moo.storage.ledger import Ledger
from evo_moo.storage.reading import reading
from evo_moo.values import METRIC, OPTION

NO_POINT = "points not made"
"""Stands for the status of points that could not be made."""


@dataclass(frozen=True)
class Failure:
    """A way in which evaluations did not end well: the status, the reason without values, and how many there were.

    Points that could not be made are counted by their faults, with ``NO_POINT`` as the status.
    """

    status: str
    reason: str
    n: int


def code_changes(ledger: Ledger) -> tuple[str, ...]:
    """Return in words how the code that was evaluated changed while a run went on."""
    events = ledger.events("code changed")
    return tuple(f"after {detail['n_asked']} evaluations: {'; '.join(detail['changed'])}" for _, _, detail in events)


@dataclass(frozen=True, repr=False)
class RunFront:
    """The Pareto front of a search.

    The front is drawn from all evaluations, since each of them cost a training, and sorted by the first
    objective. On a plain pymoo problem it is instead, row for row, what ``pymoo.optimize.minimize`` reports: the
    optimum of the last population.

    Attributes:
        goals: Objectives and limits.
        known_metrics: Every metric that the problem declares.
        front: The evaluations of the Pareto front, with the means of their metrics where they were repeated. If nothing
            keeps the limits, those that exceed them least; ``feasible`` then is False.
        endings: Numbers of evaluations by status and reason; what was told with its metrics is none.
        run_dir: The run folder, if there is one.
        true_front: The exact Pareto front where the problem knows it, ``(n, n_obj)`` array minimised like ``F``.
        means: Mean metrics of the configurations that were evaluated in full, by the id of the first evaluation, or of
            its point; empty where nothing was repeated with another seed.
        spread: Standard deviations of the metrics of the configurations that were repeated, by the same ids.
        doubts: Of evaluations whose measured times are in doubt, the 95 % confidence intervals of these metrics, by id.
        archive: Front of everything feasible that was measured in full, ``(n, n_obj)`` array, minimised: the objectives
            of ``front``, or better ones where that is the last population's.
        box: What hypervolumes are shares of: of the first generation, and before its end of what was measured so far;
            None where nothing keeps the limits.
        box_of: The box in words; empty where there is none.
        code_changes: In words, how the code that was evaluated changed while the run went on, as the user accepted.
        n_told: Number of configurations that were measured elsewhere, and told with their metrics.
        has_points: Whether trainings offer points, so that these are on the front.
        point_faults: Numbers of points that could not be made, by why.
    """

    goals: Goals
    known_metrics: dict[str, Metric]
    front: list[Evaluation]
    endings: dict[tuple[str, str], int]
    run_dir: Path | None = None
    true_front: Array | None = None
    means: dict[Key, Metrics] = field(default_factory=dict)
    spread: dict[Key, Metrics] = field(default_factory=dict)
    doubts: dict[Key, dict[str, Interval]] = field(default_factory=dict)
    archive: Array = field(default_factory=lambda: np.empty((0, 0)))
    box: Box | None = None
    box_of: str = ""
    code_changes: tuple[str, ...] = ()
    n_told: int = 0
    has_points: bool = False
    point_faults: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, run_dir: str | Path) -> Self:
        """Read a run folder; the run may still go on.

        Raises:
            RunFolderError: It is no run folder.
        """
        with reading(Path(run_dir)) as ledger:
            return cls.of_ledger(ledger, Path(run_dir))

    @classmethod
    def of_ledger(cls, ledger: Ledger, run_dir: Path | None = None) -> Self:
        """Read an open ledger; where it is a run folder's, ``run_dir`` is that folder."""
        facts = ledger.facts()
        goals, known = facts.goals, facts.metrics
        endings, n_told = ledger.endings(), ledger.n_told()
        if unknown := {status for status, _ in endings} - set(STATUSES):
            raise ValueError(f"the unknown status {unknown.pop()!r}")
        means, spread = dict[Key, Metrics](), dict[Key, Metrics]()
        if ledger.has_replicates():
            means, spread = means_and_spread(ledger.ok())
        said = _doubts(ledger)
        keys, F, violation = Objectives.of(means.items() if means else ledger.best_by_limits(), goals)
        best = pareto_rows(F, violation)
        last = ledger.last_generation()
        n_rows = sum(endings.values()) + n_told
        is_populations = facts.front == "population" and last is not None and last.n_asked == n_rows
        rows_of_front = front_rows(goals, list(means.items() or ledger.best_by_limits()), said) if said else best
        ids = last.optimum if last and is_populations else keys[rows_of_front].tolist()
        front = [e._replace(metrics=means.get(e.id, e.metrics)) for e in ledger.of_ids(ids)]
        box, box_of = None, ""
        if (feasible := violation == 0).any():
            fixed = fixed_box(ledger, goals)
            box = fixed.box if fixed else Box.around(F[feasible])
            box_of = box_in_words(fixed)
        archive = F[best[feasible[best]]]
        doubts = {key: pooled.intervals for key, pooled in said.items()}
        more = doubts, archive, box, box_of, code_changes(ledger), n_told, ledger.has_points(), ledger.point_faults()
        return cls(goals, known, front, endings, run_dir, facts.true_front, means, spread, *more)

    @property
    def n_evaluations(self) -> int:
        """Number of all evaluations, those that have not ended included."""
        return sum(self.endings.values())

    def in_words(self) -> str:
        """Say how many are on the front, of how many evaluations, and how many of these failed."""
        n_failed = sum(n for (status, _), n in self.endings.items() if status in FAILED)
        failed = f", {n_failed} of them failed" if n_failed else ""
        kept = "front" if self.feasible or not self.front else "nothing keeps the limits; nearest"
        objectives = ", ".join(f"{o.direction} {o.metric}" for o in self.goals.objectives)
        points = " points" if self.has_points else ""
        return f"{kept} of {len(self.front)}{points} among {self.n_evaluations} evaluations{failed}; {objectives}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.in_words()}>"

    @property
    def members(self) -> str:
        """What is on the front, in a word: ``evaluations`` or ``points``."""
        return "points" if self.has_points else "evaluations"

    @property
    def X(self) -> Array:
        """Encoded configurations of the front, ``(n, n_var)`` array, without choices; ``configurations`` has all."""
        return np.array([np.frombuffer(e.x, dtype="<f8") for e in self.front])

    @property
    def F(self) -> Array:
        """Objectives of the front, minimised, ``(n, n_obj)`` array."""
        return self.goals.F(self.metrics)

    @property
    def G(self) -> Array:
        """Inequality constraints of the front, feasible when at most 0, ``(n, n_ieq_constr)`` array."""
        rows = [self.goals.inequality_values(metrics) for metrics in self.metrics]
        return np.array(rows, dtype=float).reshape(len(rows), len(self.goals.inequalities))

    @property
    def configurations(self) -> list[dict[str, Any]]:
        """Configurations of the front, with the choices made after the training."""
        return [e.configuration for e in self.front]

    @property
    def metrics(self) -> list[Metrics]:
        """Metrics of the front, a list of flat dicts as ``pandas.DataFrame`` takes it."""
        return [e.metrics for e in self.front]

    @property
    def feasible(self) -> bool:
        """Whether the front keeps every limit."""
        return bool(self.front) and all(e.feasible for e in self.front)

    def failures(self) -> list[Failure]:
        """Count what did not end well, and points not made, by status and reason, most frequent first."""
        failed = {k: n for k, n in self.endings.items() if k[0] not in ("ok", "partial", "asked")}
        failed |= {(NO_POINT, fault): n for fault, n in self.point_faults.items()}
        return _counted((status, reason.partition(", but is ")[0], n) for (status, reason), n in failed.items())

    def hypervolume(self, ref_point: Mapping[str, float] | Sequence[float] | None = None) -> float:
        """Return the hypervolume of the front.

        By default it is the one that a search logs, and that ``list``, ``show`` and the report have: of everything
        feasible that was measured, as a share of ``box``, above 1 where the front lies beyond it.

        Args:
            ref_point: Reference point: metric names to values in their own direction, or ``(n_obj,)`` values
                minimised like ``F``. With it, the volume of the front up to there, in the objectives' own units.

        Raises:
            MetricError: The reference point lacks an objective, or has another number of values.
        """
        if ref_point is None:
            return self.box.share(self.archive) if self.box else 0.0
        ref = self.goals.reference(ref_point)
        return hypervolume(self.F, ref) if self.feasible else 0.0

    @property
    def hypervolume_box(self) -> dict[str, tuple[float, float]]:
        """Objectives to the best value and the reference value of the box, in their own direction."""
        if self.box is None:
            return {}
        corners = zip(*(self.goals.signs * corner for corner in self.box), strict=True)
        return {
            o.metric: (float(best), float(ref)) for o, (best, ref) in zip(self.goals.objectives, corners, strict=True)
        }

    def hypervolume_in_words(self) -> str:
        """Return the hypervolume and what it is a share of; empty of a single objective, and without a box."""
        if self.box is None or len(self.goals.objectives) < 2:
            return ""
        ends = ", ".join(f"{name} {best:.4g} to {ref:.4g}" for name, (best, ref) in self.hypervolume_box.items())
        return f"{self.hypervolume():.4g} of {self.box_of} ({ends})"

    def notes(self) -> list[Failure]:
        """Count the evaluations that ended well without a number for some metric, by status and what is missing."""
        well = {
            k: n for k, n in self.endings.items() if k[0] in ("ok", "partial") and k[1].startswith(("no `", "point "))
        }
        return _counted((*ending, n) for ending, n in well.items())

    def doubts_in_words(self, evaluations: Sequence[Evaluation] | None = None) -> str:
        """Say which evaluations, by default of the front, have times that are in doubt; empty where none has."""
        seen = self.front if evaluations is None else evaluations
        if not (ids := list(dict.fromkeys(str(e.training_id) for e in seen if e.id in self.doubts))):
            return ""
        way_out = f"; `evo-moo resume {self.run_dir}` measures them again" if self.run_dir else ""
        of = f"evaluation{'s' if len(ids) > 1 else ''} {', '.join(ids)}"
        return f"the machine was busy at every measurement of {of}, or the times differ much{way_out}"

    def share_of_true_hypervolume(self) -> float | None:
        """Return how much of the true front's hypervolume the front has reached; see ``pareto.share_of_front``.

        Returns:
            None where the true front is not known.
        """
        if self.true_front is None:
            return None
        return share_of_front(self.F if self.feasible else self.true_front[:0], self.true_front)

    def rows(self) -> list[dict[str, Any]]:
        """Return the front as flat rows with the columns of ``front.csv``, named as in ``export``.

        ``id``, of a point also ``evaluation`` and ``point``; ``metrics.NAME``, the objectives first; ``sd.NAME``, the
        standard deviation of what was repeated; ``low.NAME`` and ``high.NAME``, the 95 % confidence interval of a
        measured time that is in doubt; and ``config.NAME`` for each variable that is active.
        """
        objectives = [objective.metric for objective in self.goals.objectives]
        return [_row(e, objectives, self.spread.get(e.id, {}), self.doubts.get(e.id, {})) for e in self.front]


def _doubts(ledger: Ledger) -> dict[Key, Pooled]:
    """Return what the measurements say of evaluations that are in doubt, or of each point that these offer."""
    said = {key: pooled for key, pooled in ledger.said().items() if pooled.in_doubt}
    told = (each for e in ledger.of_ids([*said]) for each in e.offers())
    return {each.id: said[each.id] if each.id in said else said[each.training_id] for each in told}


def _row(e: Evaluation, first: Sequence[str], spread: Metrics, doubts: Mapping[str, Interval]) -> dict[str, Any]:
    """Return an evaluation as a flat row, some of its metrics first."""
    ends = {f"{end}.{name}": interval[i] for name, interval in doubts.items() for i, end in enumerate(("low", "high"))}
    return {
        **parts_of_key(e.id),
        **{METRIC + name: e.metrics[name] for name in dict.fromkeys([*first, *e.metrics])},
        **{f"sd.{name}": sd for name, sd in spread.items()},
        **ends,
        **{OPTION + name: value for name, value in e.configuration.items()},
    }


def _counted(endings: Iterable[tuple[str, str, int]]) -> list[Failure]:
    """Add up endings by status and reason, most frequent first."""
    counts: Counter[tuple[str, str]] = Counter()
    for status, reason, n in endings:
        counts[status, reason] += n
    return [Failure(status, reason, n) for (status, reason), n in counts.most_common()]


def fixed_box(ledger: Ledger, goals: Goals) -> RunBox | None:
    """Return what a run's hypervolumes are shares of, once that is fixed.

    The box is around the feasible full evaluations of the first generations by whose end two of them differ. It is
    recorded at that moment; of a ledger that lacks it, it is the same by its generations.
    """
    if (recorded := ledger.facts().box) is not None:
        return recorded
    last = ledger.last_generation()
    if last is None:
        return None
    seen = [e for e in ledger.feasible() if e.generation <= last.number]
    F, generations = goals.F([e.metrics for e in seen]), np.array([e.generation for e in seen])
    differ = [int(g) for g in np.unique(generations) if np.ptp(F[generations <= g], axis=0).any()]
    return RunBox(differ[0], *Box.around(F[generations <= differ[0]])) if differ else None


def box_in_words(fixed: RunBox | None) -> str:
    """Name the box of a run."""
    if fixed is None:
        return "the box of all evaluations so far"
    return (
        "the first generation's box"
        if fixed.generation == 1
        else f"the box of the first {fixed.generation} generations"
    )

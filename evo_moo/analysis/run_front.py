"""The Pareto front of a run, read from the ledger without the evaluations behind it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from evo_moo.analysis.fronts.endings import Failure, code_changes, failures_of, notes_of, why_no_front
from evo_moo.analysis.fronts.names import ContextNames
from evo_moo.analysis.fronts.rows import flat_row
from evo_moo.analysis.fronts.view_front import ViewFront, doubts_of, served_by, union_of
from evo_moo.analysis.statistics.replicates import means_and_spread
from evo_moo.errors import UsageError
from evo_moo.pareto import Array, Box, hypervolume, share_of_front
from evo_moo.problem.fronts import mean_share
from evo_moo.problem.goals import Goals
from evo_moo.problem.measurements import Interval
from evo_moo.problem.metrics import Metric, Metrics
from evo_moo.problem.points import Key
from evo_moo.storage.evaluation_row import FAILED, STATUSES, Evaluation
from evo_moo.storage.ledger import Ledger
from evo_moo.storage.reading import reading
from evo_moo.storage.run_boxes import boxes_in_words


@dataclass(frozen=True, repr=False)
class RunFront:
    """The Pareto front of a search.

    The front is drawn from all evaluations, since each of them cost a training, and sorted by the first
    objective. On a plain pymoo problem it is instead, row for row, what ``pymoo.optimize.minimize`` reports: the
    optimum of the last population. With contexts there is a front for each, ``within``, and this is their union.

    Attributes:
        goals: Objectives and limits.
        known_metrics: Every metric that the problem declares.
        front: The evaluations of the Pareto front, with the means of their metrics where they were repeated. If nothing
            keeps the limits, those that exceed them least; ``feasible`` then is False.
        endings: Numbers of evaluations by status and reason; what was told with its metrics is none.
        run_dir: The run folder, if there is one.
        means: Mean metrics of the configurations that were evaluated in full, by the id of the first evaluation, or of
            its point; empty where nothing was repeated with another seed.
        spread: Standard deviations of the metrics of the configurations that were repeated, by the same ids.
        doubts: Of evaluations whose measured times are in doubt, the 95 % confidence intervals of these metrics, by id.
        code_changes: In words, how the code that was evaluated changed while the run went on, as the user accepted.
        n_told: Number of configurations that were measured elsewhere, and told with their metrics.
        has_points: Whether trainings offer points, so that these are on the front.
        point_faults: Numbers of points that could not be made, by why.
        views: For each of the ``views`` of the goals its front.
        serves: With contexts, on whose fronts a member stands, by id; those aside where nothing keeps the limits.
        context: Which of the contexts this is the front of; empty for all, and without contexts.
    """

    goals: Goals
    known_metrics: dict[str, Metric]
    front: list[Evaluation]
    endings: dict[tuple[str, str], int]
    run_dir: Path | None = None
    means: dict[Key, Metrics] = field(default_factory=dict)
    spread: dict[Key, Metrics] = field(default_factory=dict)
    doubts: dict[Key, dict[str, Interval]] = field(default_factory=dict)
    code_changes: tuple[str, ...] = ()
    n_told: int = 0
    has_points: bool = False
    point_faults: dict[str, int] = field(default_factory=dict)
    views: tuple[ViewFront, ...] = ()
    serves: dict[Key, tuple[str, ...]] = field(default_factory=dict)
    context: str = ""

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
        said = doubts_of(ledger)
        last = ledger.last_generation()
        n_rows = sum(endings.values()) + n_told
        is_populations = facts.front == "population" and last is not None and last.n_asked == n_rows
        views = ViewFront.each(ledger, means, said, last.optimum if last and is_populations else None)
        front = union_of(goals, views) if goals.contexts else views[0].members
        serves = served_by(goals, views) if goals.contexts else {}
        doubts = {key: pooled.intervals for key, pooled in said.items()}
        counts = code_changes(ledger), n_told, ledger.has_points(), ledger.point_faults()
        return cls(goals, known, front, endings, run_dir, means, spread, doubts, *counts, views, serves)

    @property
    def contexts(self) -> tuple[str, ...]:
        """Names of the contexts, each with a front of its own; empty without any, and within one."""
        return tuple(context.name for context in self.goals.contexts)

    def within(self, context: str) -> Self:
        """Return the front in one context, made once: its goals, members, box, hypervolume, true front.

        Raises:
            MetricError: There is no such context, or there are none.
        """
        if context not in self._made:
            self._made[context] = self._within(context)
        return self._made[context]

    @cached_property
    def _made(self) -> dict[str, Self]:
        return {}

    def _within(self, context: str) -> Self:
        goals = self.goals.within(context)
        view = self.views[self.contexts.index(context)]
        return replace(self, goals=goals, front=view.members, views=(view,), context=context)

    def in_one(self, context: str | None) -> Self:
        """Return the front in the context that is named; of a run without contexts none is, and this is it.

        Raises:
            MetricError: There is no such context, or there are none.
            UsageError: There are contexts, and none is named.
        """
        if context:
            return self.within(context)
        if self.contexts:
            rule = f"`context` must be one of {', '.join(self.contexts)}, each with its own front, but is missing"
            raise UsageError(f"{rule}; name one, on the command line by --context")
        return self

    @property
    def names(self) -> ContextNames:
        """How the metrics of this context are named."""
        return ContextNames(self.context, self.known_metrics)

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
        kept = "fronts" if self.feasible and self.contexts else kept
        points = " points" if self.has_points else ""
        points += f" in {self.context}" if self.context else ""
        points += f" in {len(self.contexts)} contexts" if self.contexts else ""
        among = f"among {self.n_evaluations} evaluations{failed}; {objectives}"
        return f"{kept} of {len(self.front)}{points} {among}{'' if self.front else f'; {why_no_front(self.endings)}'}"

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
        """Whether the front keeps every limit; with contexts whether that of any does."""
        if self.contexts:
            return any(view.feasible for view in self.views)
        return bool(self.front) and all(e.feasible for e in self.front)

    def failures(self) -> list[Failure]:
        """Count what did not end well, and points not made, by status and reason, most frequent first."""
        return failures_of(self.endings, self.point_faults)

    def notes(self) -> list[Failure]:
        """Count the evaluations that ended well without a number for some metric, by status and what is missing."""
        return notes_of(self.endings)

    @property
    def archive(self) -> Array:
        """Front of everything feasible that was measured in full, ``(n, n_obj)`` array, minimised, as of ``views``."""
        if self.contexts:
            return self.F if self.feasible else self.F[:0]
        return self.views[0].archive if self.views else np.empty((0, 0))

    @property
    def box(self) -> Box | None:
        """What hypervolumes are shares of: of the first generation, and before its end of what was measured so far.

        Returns:
            None where nothing keeps the limits; and of all contexts, each of which has a box of its own.
        """
        return self.views[0].box if len(self.views) == 1 else None

    @property
    def box_of(self) -> str:
        """The box in words; empty where there is none."""
        if self.contexts:
            return boxes_in_words([view.box_of for view in self.views])
        return self.views[0].box_of if self.views else ""

    @property
    def true_front(self) -> Array | None:
        """The exact Pareto front, ``(n, n_obj)`` array, minimised; None where not known, and of all contexts."""
        return self.views[0].true_front if len(self.views) == 1 else None

    def hypervolume(self, ref_point: Mapping[str, float] | Sequence[float] | None = None) -> float:
        """Return the hypervolume of the front; with contexts the mean over those of all, by their weights.

        By default it is the one that a search logs, and that ``list``, ``show`` and the report have: of everything
        feasible that was measured, as a share of ``box``, above 1 where the front lies beyond it.

        Args:
            ref_point: Reference point: metric names to values in their own direction, or ``(n_obj,)`` values
                minimised like ``F``. With it, the volume of the front up to there, in the objectives' own units.

        Raises:
            MetricError: The reference point lacks an objective, or has another number of values.
        """
        if ref_point is None:
            each = [view.box for view in self.views], [view.archive for view in self.views]
            return mean_share(self.goals, *each) if self.views else 0.0
        ref = self.goals.reference(ref_point)
        fronts = [self.within(name) for name in self.contexts] or [self]
        each_ref = [ref[columns] for columns in self.goals.columns_of_views]
        volumes = [hypervolume(f.F, own) if f.feasible else 0.0 for f, own in zip(fronts, each_ref, strict=True)]
        return float(self.goals.weights @ volumes)

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
        if len(self.goals.views[0].objectives) < 2 or not any(view.box for view in self.views):
            return ""
        ends = ", ".join(f"{name} {best:.4g} to {ref:.4g}" for name, (best, ref) in self.hypervolume_box.items())
        ends = ", ".join(f"{name} {self.within(name).hypervolume():.4g}" for name in self.contexts) or ends
        return f"{self.hypervolume():.4g} of {self.box_of} ({ends})"

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
            With contexts the mean over those of all, by their weights. None where a true front is not known.
        """
        if self.contexts:
            shares = [self.within(name).share_of_true_hypervolume() for name in self.contexts]
            known = [share for share in shares if share is not None]
            return float(self.goals.weights @ known) if len(known) == len(shares) else None
        if self.true_front is None:
            return None
        return share_of_front(self.F if self.feasible else self.true_front[:0], self.true_front)

    def rows(self) -> list[dict[str, Any]]:
        """Return the front as flat rows with the columns of ``front.csv``, named as in ``export``.

        ``id``, of a point also ``evaluation`` and ``point``; with contexts ``contexts``, the names of those on whose
        fronts it is, with commas between; ``metrics.NAME``, the objectives first; ``sd.NAME``, the
        standard deviation of what was repeated; ``low.NAME`` and ``high.NAME``, the 95 % confidence interval of a
        measured time that is in doubt; and ``config.NAME`` for each variable that is active.
        """
        objectives = [objective.metric for objective in self.goals.objectives]
        of_contexts = {key: {"contexts": ", ".join(names)} for key, names in self.serves.items()}
        return [
            flat_row(e, objectives, of_contexts.get(e.id, {}), self.spread.get(e.id, {}), self.doubts.get(e.id, {}))
            for e in self.front
        ]

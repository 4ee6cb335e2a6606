"""What a search found, read from its ledger."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from evo_moo.errors import JobError, MetricError
from evo_moo.files import save_figure
from evo_moo.pareto import hypervolume, pareto_rows, reference_point, share_of_front
from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metric, Metrics, mean_metrics
from evo_moo.storage.evaluation_row import STATUSES, Evaluation
from evo_moo.storage.ledger import Ledger
from evo_moo.storage.reading import reading

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class Result:
    """The Pareto front of a search, and everything that was evaluated for it.

    The front is drawn from all evaluations, since each of them cost a training, and sorted by the first
    objective. On a plain pymoo problem it is instead, row for row, what ``pymoo.optimize.minimize`` reports: the
    optimum of the last population.

    Attributes:
        goals: Objectives and limits.
        known_metrics: Every metric that the problem declares.
        front: The evaluations of the Pareto front, with the means of their metrics where they were repeated. If nothing
            keeps the limits, those that exceed them least; ``feasible`` then is False.
        endings: Numbers of evaluations by status and reason.
        ledger_rows: Rows of the ledger, from which ``evaluations`` is made when it is first needed; None where
            they are to be read from the run folder then.
        run_dir: The run folder, if there is one.
        true_front: The exact Pareto front where the problem knows it, ``(n, n_obj)`` array minimised like ``F``.
        spread: Of members that were repeated with other seeds: id to the standard deviation of each metric.
    """

    goals: Goals
    known_metrics: dict[str, Metric]
    front: list[Evaluation]
    endings: dict[tuple[str, str], int]
    ledger_rows: list[tuple[Any, ...]] | None = field(repr=False)
    run_dir: Path | None = None
    true_front: Array | None = field(default=None, repr=False)
    spread: dict[int, dict[str, float]] = field(default_factory=dict)

    @classmethod
    def read(cls, run_dir: str | Path, *, whole: bool = True) -> "Result":
        """Read the result of a run folder; the run may still go on.

        Args:
            run_dir: The run folder.
            whole: Whether to keep every evaluation in memory, not those of the front alone.

        Raises:
            RunFolderError: It is no run folder.
        """
        with reading(Path(run_dir)) as ledger:
            return cls.of_ledger(ledger, Path(run_dir), whole=whole)

    @classmethod
    def of_ledger(cls, ledger: Ledger, run_dir: Path | None = None, *, whole: bool = True) -> "Result":
        """Read the result of an open ledger; arguments as for ``read``."""
        meta = ledger.meta()
        goals = Goals.from_json(meta["goals"])
        known = {name: Metric(**facts) for name, facts in meta["metrics"].items()}
        endings = ledger.endings()
        if unknown := {status for status, _ in endings} - set(STATUSES):
            raise ValueError(f"the unknown status {unknown.pop()!r}")
        last, means, spread = ledger.last_generation(), dict[int, Metrics](), dict[int, Metrics]()
        if meta["front"] == "population" and last is not None and last["n_asked"] == sum(endings.values()):
            ids = last["optimum"]
        else:
            # Dominance is among those of least violation, 0 where anything is feasible.
            candidates = ledger.least_violating()
            if ledger.has_replicates():
                means, spread = means_and_spread(ledger.evaluations("status = 'ok'"))
                violation = {key: goals.violation(metrics) for key, metrics in means.items()}
                least = min(violation.values(), default=0.0)
                candidates = [(key, metrics) for key, metrics in means.items() if violation[key] == least]
            F = goals.F([metrics for _, metrics in candidates])
            ids = [candidates[i][0] for i in pareto_rows(F, np.zeros(len(F)))]
        rows = ledger.rows() if whole or run_dir is None else None
        true_front = np.array(known_front) if (known_front := meta.get("true_front")) else None
        front = [e._replace(metrics=means.get(e.id, e.metrics)) for e in ledger.of_ids(ids)]
        its_spread = {key: spread[key] for key in ids if key in spread}
        return cls(goals, known, front, endings, rows, run_dir, true_front, its_spread)

    @cached_property
    def evaluations(self) -> list[Evaluation]:
        """Every evaluation in the order of asking, whatever its status."""
        if self.ledger_rows is None and self.run_dir is not None:
            with reading(self.run_dir) as ledger:
                return list(ledger.evaluations("id <= ?", (self.n_evaluations,)))
        return [Evaluation.of_row(row) for row in self.ledger_rows or ()]

    @cached_property
    def measured(self) -> list[Evaluation]:
        """Every configuration that was evaluated in full, with the means of its metrics where it was repeated."""
        ended = [e for e in self.evaluations if e.status == "ok"]
        means, _ = means_and_spread(ended)
        return [e._replace(metrics=means[e.id]) for e in ended if e.id in means]

    @property
    def n_evaluations(self) -> int:
        """Number of all evaluations, those that have not ended included."""
        return sum(self.endings.values())

    def __repr__(self) -> str:
        objectives = ", ".join(f"{o.direction} {o.metric}" for o in self.goals.objectives)
        return f"<Result: front of {len(self.front)} among {self.n_evaluations} evaluations; {objectives}>"

    @property
    def X(self) -> Array:
        """Encoded configurations of the front, ``(n, n_var)`` array; ``configurations`` has them in plain."""
        return np.array([np.frombuffer(e.x, dtype="<f8") for e in self.front])

    @property
    def F(self) -> Array:
        """Objectives of the front, minimised, ``(n, n_obj)`` array."""
        return self.goals.F([e.metrics for e in self.front])

    @property
    def G(self) -> Array:
        """Inequality constraints of the front, feasible when at most 0, ``(n, n_ieq_constr)`` array."""
        rows = [self.goals.inequality_values(e.metrics) for e in self.front]
        return np.array(rows, dtype=float).reshape(len(rows), len(self.goals.inequalities))

    @property
    def configurations(self) -> list[dict[str, Any]]:
        """Configurations of the front."""
        return [e.configuration for e in self.front]

    @property
    def metrics(self) -> list[dict[str, float]]:
        """Metrics of the front, a list of flat dicts as ``pandas.DataFrame`` takes it."""
        return [e.metrics for e in self.front]

    @property
    def feasible(self) -> bool:
        """Whether the front keeps every limit."""
        return bool(self.front) and all(e.feasible for e in self.front)

    @property
    def all_F(self) -> Array:
        """Objectives of every feasible evaluation in the order of asking, ``(n, n_obj)`` array."""
        return self.goals.F([e.metrics for e in self.evaluations if e.feasible])

    def hypervolume(self, ref_point: Mapping[str, float] | Sequence[float] | None = None) -> float:
        """Return the hypervolume of the front.

        Args:
            ref_point: Reference point: metric names to values in their own direction, or ``(n_obj,)`` values
                minimised like ``F``. By default a tenth of the range beyond the worst feasible evaluation, which
                differs from run to run.

        Raises:
            MetricError: The reference point lacks an objective, or has another number of values.
        """
        names = [objective.metric for objective in self.goals.objectives]
        if isinstance(ref_point, Mapping) and set(names) - set(ref_point):
            raise MetricError(f"`ref_point` must hold {', '.join(names)}, but holds {', '.join(ref_point)}")
        if not self.feasible:
            return 0.0
        if isinstance(ref_point, Mapping):
            ref_point = self.goals.F([ref_point])[0]
        ref = reference_point(self.all_F) if ref_point is None else np.atleast_1d(np.asarray(ref_point, dtype=float))
        if ref.shape != (len(names),):
            raise MetricError(f"`ref_point` must hold {len(names)} values, but holds {ref.size}")
        return hypervolume(self.F, ref)

    def share_of_true_hypervolume(self) -> float | None:
        """Return how much of the true front's hypervolume the front has reached; see ``pareto.share_of_front``.

        Returns:
            None where the true front is not known.
        """
        if self.true_front is None:
            return None
        return share_of_front(self.F if self.feasible else self.true_front[:0], self.true_front)

    def rows(self) -> list[dict[str, Any]]:
        """Return the front as flat rows: id, metrics with the objectives first, then the configuration."""
        names = [objective.metric for objective in self.goals.objectives]
        return [
            {
                "id": e.id,
                **{name: e.metrics[name] for name in names},
                **e.metrics,
                **{f"{name}_sd": sd for name, sd in self.spread.get(e.id, {}).items()},
                **e.configuration,
            }
            for e in self.front
        ]

    def best_under(self, *order: str, at_least: Mapping[str, float] | None = None, **at_most: float) -> Evaluation:
        """Return the best evaluation within limits: ``result.best_under(latency_ms=20)``, ``("accuracy", size_mb=5)``.

        For a service that adapts to its load: each call reads what is in memory. ``decisions.pick`` gives reasons,
        and knows other rules.

        Args:
            order: Names of objectives, the most important first. By default those without a limit here count alike.
            at_least: Names of metrics to their lowest values.
            at_most: Names of metrics to their highest values.

        Raises:
            JobError: A name or a value is wrong, or a highest value is given for what is maximised.
            NoChoiceError: Nothing keeps the limits; ``error.nearest`` is the evaluation that comes nearest.
        """
        from evo_moo.analysis.choice import pick

        if upside_down := [o.metric for o in self.goals.objectives if o.direction == "max" and o.metric in at_most]:
            name = upside_down[0]
            raise JobError(f"`{name}` must have a lowest value, as it is maximised: at_least={{{name!r}: ...}}")
        limits: dict[str, dict[str, float]] = {name: {"at_most": bound} for name, bound in at_most.items()}
        for name, bound in (at_least or {}).items():
            limits.setdefault(name, {})["at_least"] = bound
        return pick(self, limits=limits, order=order).chosen

    def plot(self, path: str | Path | None = None) -> "Figure":
        """Draw the front with all evaluations, and the hypervolume over them.

        Args:
            path: File to write, such as ``front.png``.
        """
        from evo_moo.analysis.plots import result_figure

        figure = result_figure(self)
        if path is not None:
            save_figure(figure, Path(path))
        return figure


def means_and_spread(evaluations: Iterable[Evaluation]) -> tuple[dict[int, Metrics], dict[int, Metrics]]:
    """Return means and standard deviations over the repetitions of each full evaluation, by its id."""
    groups: dict[int, list[Metrics]] = {}
    for e in evaluations:
        groups.setdefault(e.continues if e.replicate and e.continues else e.id, []).append(e.metrics)
    means, spread = {}, {}
    for key, members in groups.items():
        means[key] = mean_metrics(members)
        if len(members) > 1:
            spread[key] = {name: float(np.std([m[name] for m in members], ddof=1)) for name in means[key]}
    return means, spread

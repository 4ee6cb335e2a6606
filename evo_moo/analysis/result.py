"""What a search measured, read from the ledger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from evo_moo.analysis.run_front import RunFront
from evo_moo.errors import MetricError, UsageError
from evo_moo.files import save_figure
from evo_moo.pareto import Array, hypervolume, reference_point
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.ledger import Ledger

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class Result(RunFront):
    """The Pareto front of a search, and everything that was evaluated for it.

    Attributes:
        ledger_rows: Rows of the ledger, of which ``evaluations`` makes objects when it is first used.
    """

    ledger_rows: list[tuple[Any, ...]] = field(default_factory=list)

    @classmethod
    def of_ledger(cls, ledger: Ledger, run_dir: Path | None = None) -> Self:
        """Read an open ledger; where it is a run folder's, ``run_dir`` is that folder."""
        front = RunFront.of_ledger(ledger, run_dir)
        return cls(**vars(front), ledger_rows=ledger.rows())

    @cached_property
    def evaluations(self) -> list[Evaluation]:
        """Every evaluation in the order of asking, whatever its status."""
        return [Evaluation.of_row(row) for row in self.ledger_rows]

    @cached_property
    def measured(self) -> list[Evaluation]:
        """Every configuration that was evaluated in full, with the means of its metrics where it was repeated."""
        ended = [e for e in self.evaluations if e.status == "ok"]
        if not self.means:
            return ended
        return [e._replace(metrics=self.means[e.id]) for e in ended if e.id in self.means]

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

    def best_under(self, *order: str, at_least: Mapping[str, float] | None = None, **at_most: float) -> Evaluation:
        """Return the best evaluation within limits: ``result.best_under(latency_ms=20)``, ``("accuracy", size_mb=5)``.

        For a service that adapts to its load: each call reads what is in memory. ``choice.pick`` gives reasons,
        and knows other rules.

        Args:
            order: Names of objectives, the most important first. By default those without a limit here count alike.
            at_least: Names of metrics to their lowest values.
            at_most: Names of metrics to their highest values.

        Raises:
            UsageError: A name or a value is wrong, or a highest value is given for what is maximised.
            NoChoiceError: Nothing keeps the limits; ``error.nearest`` is the evaluation that comes nearest.
        """
        from evo_moo.analysis.choice import pick

        if upside_down := [o.metric for o in self.goals.objectives if o.direction == "max" and o.metric in at_most]:
            name = upside_down[0]
            raise UsageError(f"`{name}` must have a lowest value, as it is maximised: at_least={{{name!r}: ...}}")
        limits: dict[str, dict[str, float]] = {name: {"at_most": bound} for name, bound in at_most.items()}
        for name, bound in (at_least or {}).items():
            limits.setdefault(name, {})["at_least"] = bound
        return pick(self, limits=limits, order=order).chosen

    def plot(self, path: str | Path | None = None) -> "Figure":
        """Draw the front with all evaluations, and the hypervolume over them.

        Args:
            path: File to write, such as ``front.png``.
        """
        from evo_moo.analysis.figures import result_figure

        figure = result_figure(self)
        if path is not None:
            save_figure(figure, Path(path))
        return figure

"""The Pareto front of a run, with every evaluation behind it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from evo_moo.analysis.run_front import RunFront
from evo_moo.errors import MetricError
from evo_moo.pareto import Array, hypervolume, reference_point
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.ledger import Ledger


@dataclass(frozen=True, repr=False)
class EvaluatedFront(RunFront):
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

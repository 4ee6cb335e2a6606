"""The Pareto front of a run, with every evaluation behind it."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from evo_moo.analysis.run_front import RunFront
from evo_moo.pareto import Array
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
        """Objectives of every feasible configuration in the order of asking, means where it was repeated.

        Returns:
            ``(n, n_obj)`` array, minimised.
        """
        return self.goals.F([e.metrics for e in self.measured if not self.goals.violation(e.metrics)])

"""The Pareto front of a run, with every evaluation behind it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

from evo_moo.analysis.fronts.view_front import SeenBy
from evo_moo.analysis.run_front import RunFront
from evo_moo.pareto import Array
from evo_moo.problem.goals import Objectives
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.ledger import Ledger
from evo_moo.storage.reading import StoredEvaluations

MOST_HELD = 1000
"""Evaluations of a run folder that lie in memory; more are read from it whenever they are looked at."""


@dataclass(frozen=True, repr=False)
class EvaluatedFront(RunFront):
    """The Pareto front of a search, and everything that was evaluated for it.

    Attributes:
        evaluations: Every evaluation in the order of asking, whatever its status, or each of the points that it offers;
            of a run folder with more than 1,000 and without points each look reads them from there.
    """

    evaluations: Sequence[Evaluation] = ()

    @classmethod
    def of_ledger(cls, ledger: Ledger, run_dir: Path | None = None) -> Self:
        """Read an open ledger; where it is a run folder's, ``run_dir`` is that folder."""
        front = RunFront.of_ledger(ledger, run_dir)
        if run_dir is None or front.n_evaluations + front.n_told <= MOST_HELD or ledger.has_points():
            return cls(**vars(front), evaluations=[each for e in ledger.evaluations() for each in e.offers()])
        return cls(**vars(front), evaluations=StoredEvaluations(run_dir, ledger))

    def _within(self, context: str) -> Self:
        front = super()._within(context)
        return replace(front, evaluations=SeenBy(front.goals, self.evaluations))

    @property
    def measured(self) -> Iterator[Evaluation]:
        """Every configuration that was evaluated in full, with the means of its metrics where it was repeated."""
        ended = (e for e in self.evaluations if e.status == "ok")
        if not self.means:
            return ended
        return (e._replace(metrics=self.means[e.id]) for e in ended if e.id in self.means)

    @cached_property
    def objectives(self) -> Objectives:
        """The objectives of ``measured``."""
        return Objectives.of(((e.id, e.metrics) for e in self.measured), self.goals)

    @cached_property
    def objectives_of_each(self) -> Objectives:
        """The objectives of every full evaluation, repetitions by themselves."""
        if not self.means:
            return self.objectives
        return Objectives.of(((e.id, e.metrics) for e in self.evaluations if e.status == "ok"), self.goals)

    @property
    def all_F(self) -> Array:
        """Objectives of every feasible configuration in the order of asking, means where it was repeated.

        Returns:
            ``(n, n_obj)`` array, minimised.
        """
        F: Array = self.objectives.F[self.objectives.violation == 0]
        return F

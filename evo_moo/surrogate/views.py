"""What a search has measured, as acquisition functions take it: with contexts, a front of its own in each."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from evo_moo.pareto import pareto_rows
from evo_moo.problem.metrics import mean_metrics
from evo_moo.surrogate.archive import Archive
from evo_moo.surrogate.front import Front, worst_of_usual
from evo_moo.surrogate.posterior import Expected, Posterior
from evo_moo.surrogate.protocol import Array

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Evaluated:
    """Configurations that have objectives, each once.

    Attributes:
        X: ``(n, n_var)`` encoded rows, of points with their choices.
        F: ``(n, n_obj)`` objectives of the rows, minimised; where they are noisy, as the models expect them.
        violation: ``(n,)`` sums of broken limits.
        n_replicates: Number of evaluations of these rows beyond the first of each, also of those that failed.
    """

    X: Array
    F: Array
    violation: Array
    n_replicates: int = 0

    @property
    def scaled(self) -> Array:
        """``(n, n_obj)`` objectives from 0, the best value, to 1, the worst that is not far out."""
        ideal = self.F.min(axis=0) / 2  # halves never overflow
        return np.asarray((self.F / 2 - ideal) / np.maximum(worst_of_usual(self.F) / 2 - ideal, 1e-12))

    @classmethod
    def of(cls, archive: Archive, posterior: Posterior) -> Self:
        """Return what was measured; replicates count by their mean."""
        X, replicates = archive.with_objectives()
        means = [mean_metrics(metrics) for metrics in replicates]
        F = posterior.goals.F(means)
        log = [model.log for model in posterior.objective_models]
        F[:, log] = np.log(F[:, log])
        noisy = [model.is_noisy for model in posterior.objective_models]
        if any(noisy):
            F[:, noisy] = posterior.objectives(X)[0][:, noisy]
        violation = np.array([posterior.goals.violation(metrics) for metrics in means])
        return cls(X, F, violation, archive.n_replicates())


@dataclass(frozen=True)
class View:
    """One context; without contexts a search has one view of all.

    Attributes:
        number: Which of the views it is.
        columns: The columns of all objectives that are its own.
        posterior: What the models expect here.
        evaluated: What was measured here.
        best: Rows of ``evaluated`` on the front.
        front: The front, and what was added to it.
    """

    number: int
    columns: Rows
    posterior: Posterior
    evaluated: Evaluated
    best: Rows
    front: Front

    @classmethod
    def each(cls, posterior: Posterior, archive: Archive) -> list[Self]:
        """Return the views of what all models expect, and of what was measured."""
        goals, views = posterior.goals, list[Self]()
        for number, columns in enumerate(goals.columns_of_views):
            own = posterior.view(number)
            evaluated = Evaluated.of(archive, own)
            F, feasible = evaluated.F, evaluated.violation <= 0
            best = pareto_rows(F, evaluated.violation)
            # While nothing is feasible, the best rows are the nearest to it.
            front = Front.of(F[best], F[feasible]) if feasible.any() else Front.of(F[:0], F)
            views.append(cls(number, columns, own, evaluated, best, front))
        return views

    def of(self, rows: Expected) -> Expected:
        """Return what is expected of rows in this context."""
        return rows.in_view(self.number, self.columns)

    def expecting(self, rows: Expected) -> Self:
        """Return the view with the scales that likely rows would give the front."""
        own = self.of(rows)
        return replace(self, front=self.front.expecting(own.cautious[own.are_likely]))

    def with_points(self, rows: Expected) -> Self:
        """Return the view with likely rows as if they had been measured."""
        own = self.of(rows)
        return replace(self, front=self.front.with_points(own.cautious[own.are_likely]))

    def believing(self, posterior: Posterior) -> Self:
        """Return the view by what all models expect now."""
        return replace(self, posterior=posterior.view(self.number))


def turn_of(weights: Array, turn: int) -> tuple[int, int]:
    """Return the view whose turn it is, and how many turns it had before: as many of a hundred as its weight says.

    Gains averaged over all views are no better a choice: they favour what is middling everywhere.
    """
    counts = np.maximum(np.round(100 * weights).astype(int), 1)
    owner = np.repeat(np.arange(len(counts)), counts)
    place = np.concatenate([(np.arange(n) + 0.5) / n for n in counts])
    schedule = owner[np.lexsort((owner, place))]
    rounds, now = divmod(turn, len(schedule))
    view = int(schedule[now])
    return view, rounds * int(counts[view]) + int((schedule[:now] == view).sum())

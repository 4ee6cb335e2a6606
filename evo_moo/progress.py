"""Progress of a search: a bar on a terminal, plain lines elsewhere."""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from evo_moo.engine import Budget
from evo_moo.evaluation import Outcome
from evo_moo.goals import Goals
from evo_moo.ledger import Evaluation
from evo_moo.pareto import Array, hypervolume, pareto_rows, reference_point

LOGGER = logging.getLogger("evo_moo")
MOST_OBJECTIVES = 4
"""Beyond so many, the hypervolume takes too long to be shown after every generation."""


class Progress:
    """Counts outcomes, and keeps the best value of each objective.

    Args:
        goals: Objectives and limits.
        before: Evaluations that ended before, in a run that goes on.
    """

    def __init__(self, goals: Goals, before: Sequence[Evaluation] = ()) -> None:
        self.goals = goals
        self.n_submitted = self.n_done = len(before)
        self.n_failed = 0
        self.best: dict[str, float] = {}
        self._count(before)

    def submitted(self, n: int) -> None:
        """Count evaluations that have begun."""
        self.n_submitted += n

    def evaluated(self, outcomes: Sequence[Outcome]) -> None:
        """Count outcomes."""
        self.n_done += len(outcomes)
        self._count(outcomes)

    def generation_ended(self, generation: int, n_asked: int) -> None:
        """Log a line."""
        LOGGER.info("generation %d: %s", generation, self.summary())

    def summary(self) -> str:
        """Say in a few words how many evaluations ended and failed, and the best values."""
        failed = [f"{self.n_failed} failed"] if self.n_failed else []
        best = [f"best {name} {value:.4g}" for name, value in self.best.items()]
        return ", ".join([f"{self.n_done} evaluated", *failed, *best])

    def _count(self, outcomes: Sequence[Outcome | Evaluation]) -> None:
        self.n_failed += sum(o.status in ("failed", "timeout", "crashed") for o in outcomes)
        feasible = [o.metrics for o in outcomes if o.status == "ok" and not self.goals.violation(o.metrics)]
        if not feasible:
            return
        for objective in self.goals.objectives:
            name, better = objective.metric, min if objective.direction == "min" else max
            value = better(metrics[name] for metrics in feasible)
            self.best[name] = better(self.best.get(name, value), value)
        self._see(np.array([self.goals.objective_values(metrics) for metrics in feasible]))

    def _see(self, F: Array) -> None:
        """Take note of feasible objective values, ``(n, n_obj)``."""


class ShownProgress(Progress):
    """Also follows the hypervolume, against the worst values of the first generation."""

    def __init__(self, goals: Goals, before: Sequence[Evaluation] = ()) -> None:
        self._front = np.empty((0, len(goals.objectives)))
        self._ref: Array | None = None
        super().__init__(goals, before)

    def generation_ended(self, generation: int, n_asked: int) -> None:
        """Fix the reference point, and log a line."""
        if self._ref is None and len(self._front):
            self._ref = self._worst
        super().generation_ended(generation, n_asked)

    def summary(self) -> str:
        """Add the hypervolume so far."""
        if self._ref is None or self._front.shape[1] not in range(2, MOST_OBJECTIVES + 1):
            return super().summary()
        return f"{super().summary()}, hypervolume {hypervolume(self._front, self._ref):.4g}"

    def _see(self, F: Array) -> None:
        seen = np.vstack([self._front, F])
        if self._ref is None:
            self._worst = reference_point(seen)
        self._front = seen[pareto_rows(seen, np.zeros(len(seen)))]


class _Bar(ShownProgress):
    """Draws a bar after every outcome."""

    def __init__(self, goals: Goals, before: Sequence[Evaluation], total: int | None) -> None:
        super().__init__(goals, before)
        from rich import progress

        columns = (
            progress.SpinnerColumn(),
            progress.BarColumn(bar_width=30),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.description}"),
        )
        self.bar = progress.Progress(*columns, transient=True)
        self._task = self.bar.add_task("", total=total, completed=self.n_done)

    def submitted(self, n: int) -> None:
        """Count evaluations that have begun and redraw."""
        super().submitted(n)
        self._draw()

    def evaluated(self, outcomes: Sequence[Outcome]) -> None:
        """Count outcomes and redraw."""
        super().evaluated(outcomes)
        self._draw()

    def _draw(self) -> None:
        words = f"{self.n_submitted - self.n_done} running, {self.summary()}"
        self.bar.update(self._task, completed=self.n_done, description=words)


@contextmanager
def shown_progress(goals: Goals, budget: Budget, before: Sequence[Evaluation], verbose: bool) -> Iterator[Progress]:
    """Show progress while the block runs: a bar on a terminal, else a line per generation on standard error.

    Args:
        goals: Objectives and limits.
        budget: The budget, for the expected end.
        before: Evaluations that ended before.
        verbose: Whether to show anything; the run's log file is written in any case.
    """
    if not verbose:
        yield Progress(goals, before)
    elif sys.stderr.isatty():
        bar = _Bar(goals, before, budget.n_evals)
        with bar.bar:
            yield bar
    else:
        handler = logging.StreamHandler()
        LOGGER.addHandler(handler)
        try:
            yield ShownProgress(goals, before)
        finally:
            LOGGER.removeHandler(handler)

"""Progress of a search: a bar on a terminal, plain lines elsewhere."""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from evo_moo.engine import Budget
from evo_moo.evaluation import Outcome
from evo_moo.goals import Goals

LOGGER = logging.getLogger("evo_moo")


class Progress:
    """Counts outcomes, and keeps the best value of each objective.

    Args:
        goals: Objectives and limits.
        budget: The budget, for the expected end.
        n_done: Evaluations that ended before.
    """

    def __init__(self, goals: Goals, budget: Budget, n_done: int = 0) -> None:
        self.goals, self.budget = goals, budget
        self.n_done, self.n_failed = n_done, 0
        self.best: dict[str, float] = {}

    def evaluated(self, outcomes: Sequence[Outcome]) -> None:
        """Count outcomes."""
        self.n_done += len(outcomes)
        self.n_failed += sum(o.status in ("failed", "timeout", "crashed") for o in outcomes)
        feasible = [o.metrics for o in outcomes if o.status == "ok" and not self.goals.violation(o.metrics)]
        for objective in self.goals.objectives if feasible else ():
            name, better = objective.metric, min if objective.direction == "min" else max
            value = better(metrics[name] for metrics in feasible)
            self.best[name] = better(self.best.get(name, value), value)

    def generation_ended(self, generation: int, n_asked: int) -> None:
        """Log a line."""
        LOGGER.info("generation %d, %d evaluated%s", generation, n_asked, self.summary())

    def summary(self) -> str:
        """Give failures and best values in a few words."""
        failed = f", {self.n_failed} failed" if self.n_failed else ""
        return failed + "".join(f", best {name} {value:.4g}" for name, value in self.best.items())


class _Bar(Progress):
    """Draws a bar after every outcome."""

    def __init__(self, goals: Goals, budget: Budget, n_done: int) -> None:
        super().__init__(goals, budget, n_done)
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
        self._task = self.bar.add_task("", total=budget.n_evals, completed=n_done)

    def evaluated(self, outcomes: Sequence[Outcome]) -> None:
        """Count outcomes and redraw."""
        super().evaluated(outcomes)
        self.bar.update(self._task, completed=self.n_done, description=self.summary().removeprefix(", "))


@contextmanager
def shown_progress(goals: Goals, budget: Budget, n_done: int, verbose: bool) -> Iterator[Progress]:
    """Show progress while the block runs: a bar on a terminal, else a line per generation on standard error.

    Args:
        goals: Objectives and limits.
        budget: The budget.
        n_done: Evaluations that ended before.
        verbose: Whether to show anything; the run's log file is written in any case.
    """
    if verbose and sys.stderr.isatty():
        bar = _Bar(goals, budget, n_done)
        with bar.bar:
            yield bar
        return
    handler = logging.StreamHandler() if verbose else logging.NullHandler()
    LOGGER.addHandler(handler)
    try:
        yield Progress(goals, budget, n_done)
    finally:
        LOGGER.removeHandler(handler)

"""How much of a budget is left."""

import time

from evo_moo.job.budget import Budget
from evo_moo.optimizer.protocol import AskTell
from evo_moo.run.termination import StopWatch
from evo_moo.storage.ledger import Ledger


class BudgetWatch:
    """Follows a search until one limit of its budget is reached.

    Args:
        budget: The limits.
        optimizer: The search.
    """

    def __init__(self, budget: Budget, optimizer: AskTell) -> None:
        self.budget, self._optimizer = budget, optimizer
        self._stop_watch = StopWatch(budget.stop_when, optimizer.goals, optimizer.space)
        self._clock = time.monotonic()

    def resume(self, ledger: Ledger) -> None:
        """Count on from what the ledger says was spent before."""
        self._clock = time.monotonic() - ledger.facts().elapsed_s
        self.generation_ended(ledger)

    def generation_ended(self, ledger: Ledger) -> None:
        """See the generations that are new in the ledger."""
        self._stop_watch.follow(ledger)

    @property
    def elapsed_s(self) -> float:
        """Seconds of searching, summed over resumes."""
        return time.monotonic() - self._clock

    def left(self, most: int) -> int:
        """Return how many more evaluations may be asked for, at most ``most``."""
        n_evals = self.budget.n_evals
        if self.spent():
            return 0
        return most if n_evals is None else min(most, self._optimizer.n_within(n_evals))

    def spent(self) -> str:
        """Return in words which limit is reached; empty if none is."""
        budget = self.budget
        if budget.n_evals is not None and not self._optimizer.n_within(budget.n_evals):
            return f"n_evals = {budget.n_evals} is reached"
        if budget.n_gen is not None and self._optimizer.generation >= budget.n_gen:
            return f"n_gen = {budget.n_gen} is reached"
        if budget.time_s is not None and self.elapsed_s >= budget.time_s:
            return f"time = {budget.time_s:g} s is spent"
        return self._stop_watch.reason

    def why_finished(self) -> str:
        """Return in words why nothing is left to do."""
        where = "grid" if self._optimizer.name == "grid" else "space"
        return self.spent() or f"the {where} has no new configuration left"

"""What the main loop reports to progress and callbacks."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from evo_moo.evaluation.task import Outcome
from evo_moo.storage.evaluation_row import Evaluation


class Observer(Protocol):
    """Receives the events of a search, to show progress or to react."""

    def submitted(self, n: int) -> None:
        """``n`` evaluations have begun."""

    def evaluated(self, outcomes: Sequence[Outcome]) -> None:
        """Evaluations ended."""

    def generation_ended(self, generation: int, n_asked: int) -> None:
        """Selection took place."""

    def recorded(self) -> str:
        """All events so far are committed to the ledger; return a reason to stop, or nothing."""


def n_evaluated(outcomes: Iterable[Outcome | Evaluation]) -> int:
    """Count what was evaluated; what was told with its metrics cost nothing."""
    return sum(outcome.cost > 0 for outcome in outcomes)

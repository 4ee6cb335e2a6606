"""What the main loop reports to progress and callbacks."""

from collections.abc import Sequence
from typing import Protocol

from evo_moo.evaluation.task import Outcome


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

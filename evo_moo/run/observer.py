"""What the main loop reports to whoever shows progress."""

from collections.abc import Sequence
from typing import Protocol

from evo_moo.evaluation.task import Outcome


class Observer(Protocol):
    """Is told what happens, to show progress."""

    def submitted(self, n: int) -> None:
        """Evaluations have begun."""

    def evaluated(self, outcomes: Sequence[Outcome]) -> None:
        """Evaluations ended."""

    def generation_ended(self, generation: int, n_asked: int) -> None:
        """Selection took place."""

    def recorded(self) -> str:
        """All that it was told is committed to the ledger; a reason to stop is given back, or nothing."""

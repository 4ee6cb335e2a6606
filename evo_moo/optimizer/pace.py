"""When candidates are made and selected: a generation at a time, or one as soon as a worker is free."""

from dataclasses import dataclass
from typing import Literal

Mode = Literal["generational", "steady-state"]


@dataclass(frozen=True)
class Pace:
    """When an optimizer makes and selects candidates.

    Attributes:
        mode: ``"generational"``: a population is made at a time, and selected once every outcome of it is known.
            ``"steady-state"``: after the first population, single candidates are made, and each outcome is selected
            upon.
        pop_size: Size of the population.
        one_by_one: Whether generational candidates come singly, and a generation ends with every ``pop_size`` of them.
    """

    mode: Mode
    pop_size: int
    one_by_one: bool = False

    @property
    def is_steady(self) -> bool:
        """Whether no candidate waits for the others of a generation."""
        return self.mode == "steady-state"

    def n_wanted(self, n_asked: int, n_known: int = 0) -> int:
        """Return how many candidates to make next.

        Args:
            n_asked: Number of candidates so far.
            n_known: Number of those that were told; they take places of the first population.
        """
        if n_asked == n_known and n_known < self.pop_size:
            return self.pop_size - n_known
        return 1 if self.is_steady else self.pop_size

    def may_make(self, n_open: int) -> bool:
        """Return whether new candidates may be made while ``n_open`` have not been selected upon."""
        return self.is_steady or not n_open

    def is_complete(self, n_ended: int, n_open: int) -> bool:
        """Return whether the outcomes of ``n_ended`` of ``n_open`` candidates are enough to select."""
        return self.is_steady or n_ended == n_open

    def is_settled(self, n_ended: int, n_open: int) -> bool:
        """Return whether every outcome has been selected upon."""
        return not (n_ended if self.is_steady else n_open)

    def generation(self, n_done: int, n_selected: int) -> int:
        """Return the number of generations that ended.

        Args:
            n_done: Number of candidates that are done with.
            n_selected: Number of generations that were selected.
        """
        return n_done // self.pop_size if self.is_steady or self.one_by_one else n_selected

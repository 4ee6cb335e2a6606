"""What the main loop asks of every optimizer."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, Protocol

from evo_moo.optimizer.algorithms import Array
from evo_moo.optimizer.candidate import Candidate, Outcome
from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metrics
from evo_moo.problem.points import Key, Offered
from evo_moo.space.search_space import SearchSpace

EndedRow = tuple[int, Array, Offered | None]
"""Id of an evaluation, its ``(n_var,)`` encoded row, and what it offers, or None where it failed."""


class Decision(NamedTuple):
    """A decision on how to search.

    Attributes:
        kind: ``"surrogate"``, the choice of a model, or ``"refinement"``, a rung that is trusted or not.
        detail: What was decided, as plain data.
    """

    kind: Literal["surrogate", "refinement"]
    detail: dict[str, Any]


class AskTell(Protocol):
    """Proposes candidates and learns from their outcomes; its state can be saved and loaded at any time.

    Attributes:
        name: Name of the algorithm.
        space: The search space.
        goals: Objectives and limits.
        pop_size: Size of the population.
    """

    name: str
    space: SearchSpace
    goals: Goals
    pop_size: int

    @property
    def generation(self) -> int:
        """Number of generations that ended."""

    @property
    def n_asked(self) -> int:
        """Number of candidates asked for so far; their ids are 1 to ``n_asked``."""

    @property
    def pending(self) -> list[Candidate]:
        """Candidates that were asked for and have no outcome yet."""

    @property
    def is_settled(self) -> bool:
        """Whether every outcome so far has been selected upon: a moment to save."""

    def n_within(self, n_evals: int) -> int:
        """Return how many more candidates keep the cost within ``n_evals`` full evaluations."""

    def ask(self, n: int | None = None) -> list[Candidate]:
        """Return up to ``n`` candidates; none while outcomes are awaited first, or where nothing new is left."""

    def tell(self, candidate: int | Candidate | Mapping[str, Any], outcome: Outcome) -> Candidate | None:
        """Report an outcome, None of a failure; return the candidate that a configuration measured elsewhere became."""

    def stop(self, candidate: int | Candidate, expected: Metrics, share: float) -> None:
        """Report an evaluation that was stopped early: what it would have shown, and the share that was done."""

    def revise(self, outcomes: Iterable[EndedRow]) -> None:
        """Take better measured metrics of evaluations that were reported before."""

    def population_ids(self) -> list[Key]:
        """Return the ids of the evaluations, or the keys of the points, that are the population."""

    def optimum_ids(self) -> list[Key]:
        """Return those of the best of the population."""

    def restartable(self) -> tuple[list[int], list[int]]:
        """Return the evaluations whose saved weights are needed now, and those that may be, the likeliest first."""

    def take_decisions(self) -> list[Decision]:
        """Return the decisions since the last call."""

    def dump(self, with_seen: bool = True) -> dict[str, Any]:
        """Return the complete state as plain data and arrays; without ``with_seen`` but for what a ledger holds."""

    def load(self, state: Mapping[str, Any], seen: Iterable[Array] | None = None) -> None:
        """Continue from a dumped state; ``seen`` are the ``(n_var,)`` rows asked, if it was dumped without them."""

    def recall(self, outcomes: Iterable[EndedRow]) -> None:
        """Learn again the outcomes that a loaded state was dumped without."""

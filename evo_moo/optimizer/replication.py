"""The same configurations evaluated again and again, behind the ask and tell of an optimizer."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evo_moo.optimizer.algorithms import Array
from evo_moo.optimizer.candidate import Candidate, Outcome, OutcomeCheck, awaited_id, check_kind
from evo_moo.optimizer.protocol import Decision, EndedRow
from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metrics
from evo_moo.problem.points import Key
from evo_moo.space.search_space import SearchSpace

KIND = ["replication", 1]  # of a state, with the number of its format


class Replication:
    """Asks for a list of evaluations in order, and learns nothing.

    A list that is longer than the one that a state was dumped with is continued where that one ended.

    Args:
        space: The space of their configurations.
        goals: Objectives and limits.
        candidates: What to ask for, numbered from 1.
    """

    name, generation, is_settled = "replication", 0, True

    def __init__(self, space: SearchSpace, goals: Goals, candidates: Sequence[Candidate]) -> None:
        self.space, self.goals, self._candidates = space, goals, list(candidates)
        self.pop_size = len(self._candidates)
        self.n_asked = 0
        self._ended: set[int] = set()

    @property
    def pending(self) -> list[Candidate]:
        """Candidates that were asked for and have no outcome yet."""
        return [c for c in self._candidates[: self.n_asked] if c.id not in self._ended]

    def n_within(self, n_evals: int) -> int:
        """Return how many more candidates may be asked for until there are ``n_evals``."""
        return max(0, min(n_evals, len(self._candidates)) - self.n_asked)

    def ask(self, n: int | None = None) -> list[Candidate]:
        """Return up to ``n`` candidates, by default all that are left."""
        start = self.n_asked
        self.n_asked = len(self._candidates) if n is None else min(start + n, len(self._candidates))
        return self._candidates[start : self.n_asked]

    def tell(self, candidate: int | Candidate | Mapping[str, Any], outcome: Outcome) -> None:
        """Report the outcome of an evaluation; arguments and errors as for ``Optimizer.tell``."""
        key = awaited_id(candidate, lambda key: 1 <= key <= self.n_asked and key not in self._ended)
        if not isinstance(outcome, list | tuple):
            OutcomeCheck(self.goals)(outcome, {})
        self._ended.add(key)

    def stop(self, candidate: int | Candidate, expected: Metrics, share: float) -> None:
        """Report an evaluation that was stopped early, as a failure."""
        self.tell(candidate, None)

    def revise(self, outcomes: Iterable[EndedRow]) -> None:
        """Do nothing: nothing is learnt."""

    def population_ids(self) -> list[Key]:
        """Return no ids: there is no population."""
        return []

    optimum_ids = population_ids

    def restartable(self) -> tuple[list[int], list[int]]:
        """Return no evaluations: none continues from the weights of another."""
        return [], []

    def take_decisions(self) -> list[Decision]:
        """Return no decisions: the list is fixed."""
        return []

    def dump(self, with_seen: bool = True) -> dict[str, Any]:
        """Return the complete state."""
        ended = {"n_asked": self.n_asked, "told": sorted(self._ended)}
        return {"kind": KIND, "generation": self.generation, "algorithm": None, **ended}

    def load(self, state: Mapping[str, Any], seen: Iterable[Array] | None = None) -> None:
        """Continue from a dumped state.

        Raises:
            StateError: The state is of another kind.
        """
        check_kind(state, KIND)
        self.n_asked, self._ended = state["n_asked"], set(state["told"])

    def recall(self, outcomes: Iterable[EndedRow]) -> None:
        """Do nothing: the state itself holds all."""

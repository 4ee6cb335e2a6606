"""The same configurations evaluated again and again, behind the ask and tell of an optimizer."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evo_moo.errors import StateError
from evo_moo.optimizer.algorithms import Array
from evo_moo.optimizer.candidate import Candidate, checked_outcome
from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metrics
from evo_moo.space.search_space import SearchSpace

STATE_FORMAT = 1


class Replication:
    """Asks for given evaluations in their order; it stands where an ``Optimizer`` does, and learns nothing.

    A list that goes on beyond the one that a state was dumped with is taken up where that one ended.

    Args:
        space: The space of their configurations.
        goals: Objectives and limits.
        candidates: What to ask for, numbered from 1.
    """

    name, mode, generation = "replication", "steady-state", 0
    exhausted, is_settled = False, True

    def __init__(self, space: SearchSpace, goals: Goals, candidates: Sequence[Candidate]) -> None:
        self.space, self.goals, self._candidates = space, goals, list(candidates)
        self.pop_size = len(self._candidates)
        self.n_asked = 0
        self._told: set[int] = set()

    @property
    def pending(self) -> list[Candidate]:
        """Candidates that were given and are not told yet."""
        return [c for c in self._candidates[: self.n_asked] if c.id not in self._told]

    def n_within(self, n_evals: int) -> int:
        """Return how many more candidates may be asked for until there are so many."""
        return max(0, min(n_evals, len(self._candidates)) - self.n_asked)

    def ask(self, n: int | None = None) -> list[Candidate]:
        """Return up to ``n`` candidates, by default all that are left."""
        start = self.n_asked
        self.n_asked = len(self._candidates) if n is None else min(start + n, len(self._candidates))
        return self._candidates[start : self.n_asked]

    def tell(self, candidate: int | Candidate, metrics: Mapping[str, float] | None) -> None:
        """Report the outcome of an evaluation; arguments and errors as for ``Optimizer.tell``."""
        key = candidate.id if isinstance(candidate, Candidate) else candidate
        if not 1 <= key <= self.n_asked or key in self._told:
            raise StateError(f"a told candidate must be awaited, but {key} is not")
        checked_outcome(self.goals, metrics)
        self._told.add(key)

    def population_ids(self) -> list[int]:
        """Return no ids: there is no population."""
        return []

    optimum_ids = population_ids

    def take_decisions(self) -> list[dict[str, Any]]:
        """Return no decisions: all was decided before."""
        return []

    def dump(self, with_seen: bool = True) -> dict[str, Any]:
        """Return the complete state."""
        told = {"n_asked": self.n_asked, "told": sorted(self._told)}
        return {"kind": self._kind(), "generation": self.generation, "algorithm": None, **told}

    def load(self, state: Mapping[str, Any], seen: Array | None = None) -> None:
        """Go on from a dumped state.

        Raises:
            StateError: The state is of another kind.
        """
        if state.get("kind") != self._kind():
            raise StateError(f"a state must be of the kind {self._kind()}, but is of {state.get('kind')}")
        self.n_asked, self._told = state["n_asked"], set(state["told"])

    def recall(self, outcomes: Iterable[tuple[int, Array, Metrics | None]]) -> None:
        """Take in what was told before the state to load was dumped: the state itself says all."""

    def _kind(self) -> list[Any]:
        return ["replication", STATE_FORMAT]

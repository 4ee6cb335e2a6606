"""Candidates between their making and their selection."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pymoo.core.population import Population

from evo_moo.optimizer.algorithms import rows_of
from evo_moo.optimizer.candidate import Candidate
from evo_moo.problem.points import Offered, of_state, to_state
from evo_moo.space.search_space import SearchSpace

FIELDS = ("id", "generation", "origin", "parents", "prediction", "replicate", "continues")
"""The fields of a candidate that a state keeps; the others follow from the row."""


class Ended(NamedTuple):
    """A candidate, its individual, and what it offers; None: the evaluation failed."""

    candidate: Candidate
    individual: Any
    offered: Offered | None


class OpenCandidates:
    """Candidates that were made and not selected upon yet, and the outcomes of some of them.

    Args:
        space: The search space.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._made: dict[int, tuple[Candidate, Any]] = {}
        self._outcomes: dict[int, Offered | None] = {}

    def __len__(self) -> int:
        return len(self._made)

    def __contains__(self, candidate_id: int) -> bool:
        return candidate_id in self._made

    def __getitem__(self, candidate_id: int) -> Candidate:
        return self._made[candidate_id][0]

    @property
    def n_ended(self) -> int:
        """Number of candidates whose outcome is known."""
        return len(self._outcomes)

    def add(self, individuals: Population, facts: Iterable[Mapping[str, Any]]) -> None:
        """Add new candidates: individuals, and the fields of ``Candidate`` that do not follow from their rows."""
        X = rows_of(individuals, self._space.n_var)
        for x, configuration, individual, fields in zip(X, self._space.decode(X), individuals, facts, strict=True):
            candidate = Candidate(configuration=configuration, x=x, **fields)
            self._made[candidate.id] = candidate, individual

    def pending(self, n_asked: int) -> list[Candidate]:
        """Return the candidates up to this id that have no outcome."""
        return [c for key, (c, _) in self._made.items() if key <= n_asked and key not in self._outcomes]

    def is_awaited(self, candidate_id: int) -> bool:
        """Return whether a candidate has no outcome."""
        return candidate_id in self._made and candidate_id not in self._outcomes

    def is_ended(self, candidate_id: int) -> bool:
        """Return whether a candidate has an outcome."""
        return candidate_id in self._outcomes

    def n_beyond(self, n_asked: int) -> int:
        """Return the number of candidates beyond this id."""
        return sum(key > n_asked for key in self._made)

    def record(self, candidate_id: int, offered: Offered | None) -> None:
        """Record an outcome."""
        self._outcomes[candidate_id] = offered

    def take_ended(self) -> list[Ended]:
        """Return the candidates whose outcome is known, and forget them."""
        return [Ended(*self._made.pop(key), self._outcomes.pop(key)) for key in sorted(self._outcomes)]

    def dump(self) -> dict[str, Any]:
        """Return the state as plain data and arrays."""
        return {
            "open": [[getattr(candidate, name) for name in FIELDS] for candidate, _ in self._made.values()],
            "open_X": rows_of([individual for _, individual in self._made.values()], self._space.n_var),
            "told": {str(key): to_state(offered) for key, offered in self._outcomes.items()},
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from a dumped state."""
        self._made = {}
        facts = [dict(zip(FIELDS, values, strict=True)) for values in state["open"]]
        facts = [{**fields, "parents": tuple(fields["parents"])} for fields in facts]
        self.add(Population.new(X=state["open_X"]), facts)
        self._outcomes = {int(key): of_state(saved) for key, saved in state["told"].items()}

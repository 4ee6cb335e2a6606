"""Where an optimizer's candidates come from."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self

from pymoo.core.population import Population

from evo_moo.optimizer.algorithms import Array
from evo_moo.optimizer.candidate import Candidate
from evo_moo.optimizer.evolution import Evolution
from evo_moo.optimizer.fresh_rows import FreshRows
from evo_moo.optimizer.protocol import Decision, EndedRow
from evo_moo.problem.points import Offered


class Made(NamedTuple):
    """How a new candidate came about; fields as in ``Candidate``."""

    origin: str = ""
    parents: tuple[int, ...] = ()
    prediction: Mapping[str, Any] | None = None
    replicate: int = 0
    continues: int | None = None

    @classmethod
    def of(cls, individual: Any, start: Sequence[bytes]) -> Self:
        """Return how an individual of the algorithm came about; ``start`` are encoded rows to begin with."""
        if parents := individual.data.get("parents"):
            return cls(individual.data.get("origin", "mating"), parents)
        return cls("start" if individual.X.tobytes() in start else "sample")


class Scene(NamedTuple):
    """What a source makes candidates of.

    Attributes:
        evolution: The population.
        fresh: The rows that were not asked for yet.
        n_asked: Number of candidates asked for so far.
        pending: Candidates that were asked for and have no outcome yet.
    """

    evolution: Evolution
    fresh: FreshRows
    n_asked: int
    pending: Sequence[Candidate]


class Source:
    """Makes new candidates: here the offspring of the population; a subclass makes others, and may learn.

    Attributes:
        learns: Whether outcomes change what is made, other than by the population.
        replicates: Whether a configuration may be made again, as another candidate.
        fills_up: Whether random candidates take the places of those that could not be made.
        kind: What must be the same for a state to be continued.
    """

    learns = False
    replicates = False
    fills_up = True
    kind: Sequence[Any] = ()

    def n_wanted(self, n: int, n_asked: int) -> int:
        """Return how many candidates to make, where the pace wants ``n``."""
        return n

    def make(self, n: int, scene: Scene) -> tuple[Population, list[Made]]:
        """Return up to ``n`` new individuals, and how they came about; the rest, if any, as their parents say."""
        return scene.evolution.offspring(n) if n == 1 else scene.evolution.next_generation(), []

    def learn(self, candidate: Candidate, offered: Offered | None) -> None:
        """Learn an outcome; None: the evaluation failed."""

    def first_of(self, candidate_id: int, x: Array) -> int:
        """Return the id of the first evaluation of a candidate's ``(n_var,)`` row."""
        return candidate_id

    def mean(self, x: Array) -> Offered:
        """Return the offer, with the means of its metrics, of an ``(n_var,)`` row that was evaluated more than once."""
        raise NotImplementedError

    def estimate(self, candidate_id: int, offered: Offered | None) -> None:
        """Note what a candidate that is left out would have shown, to be learnt in place of its failure."""

    def take_decisions(self) -> list[Decision]:
        """Return the decisions since the last call."""
        return []

    def dump(self, with_seen: bool) -> dict[str, Any]:
        """Return the state as plain data and arrays; outcomes only ``with_seen``."""
        return {}

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from a dumped state."""

    def recall(self, outcomes: Iterable[EndedRow]) -> None:
        """Learn again the outcomes that a loaded state was dumped without."""

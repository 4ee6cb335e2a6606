"""The population of an algorithm of pymoo's own, asked and told as ``pymoo.optimize.minimize`` does."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from pymoo.algorithms.base.genetic import GeneticAlgorithm
from pymoo.core.individual import Individual
from pymoo.core.population import Population

from evo_moo.errors import StateError
from evo_moo.optimizer.algorithms import EVOLUTIONARY, Array, key_of_member, rows_of
from evo_moo.optimizer.baselines import Fixed
from evo_moo.optimizer.context_evolution import ContextEvolution
from evo_moo.optimizer.evolution import Evolution
from evo_moo.optimizer.given_algorithm import begun, is_given, is_loopwise, replaces_members
from evo_moo.optimizer.open_candidates import Ended
from evo_moo.optimizer.source import Source
from evo_moo.problem.goals import Goals
from evo_moo.problem.points import Key, Offered
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.space.designs import GridPoints
from evo_moo.space.search_space import SearchSpace

_TOLD = -1  # the place of what the algorithm did not ask for
_NOTHING = (np.empty((0, 0)),) * 3


class AsGiven(Source):
    """Makes what the algorithm makes: where that is nothing, the search ends, as pymoo's does."""

    fills_up = False


class GivenEvolution(Evolution):
    """The population of a search whose algorithm is an object of pymoo's, of whatever class.

    Nothing is known of what the object holds, so its state is what it was told: ``load`` makes it anew, asks and tells
    it all of that again, and checks that it asks for the same. That costs the time of the algorithm, not of the
    evaluations. It is told once: metrics that are better measured later do not reach it.

    Args:
        algorithm: The object, which stays as it is: a copy of it searches.
        searched: The problem.
        goals: Objectives and limits.
        operators: Operators that take the place of the object's own; those that are missing stay.
        seed: Seed of every random choice.

    Attributes:
        one_by_one: Whether it wants each outcome before it asks for the next candidate.
    """

    def __init__(
        self,
        algorithm: GeneticAlgorithm,
        searched: SearchProblem,
        goals: Goals,
        operators: Mapping[str, Any],
        seed: int,
    ) -> None:
        self._goals, self._is_loopwise = goals, is_loopwise(algorithm)
        self.one_by_one = self._is_loopwise or algorithm.n_offsprings == 1
        self._needs_all = replaces_members(algorithm)  # what failed is then worse than all
        self._begin: Callable[[], GeneticAlgorithm] = lambda: begun(algorithm, searched, goals, operators, seed)
        self._duplicates, self._n_var = operators.get("eliminate_duplicates"), searched.space.n_var
        self._beside = np.random.default_rng(seed)
        self._restart()

    def _restart(self) -> None:
        self._algorithm, self._asked = self._begin(), hashlib.blake2b(digest_size=16)
        self._infills, self._n_done = list[Any](), 0
        self._steps: list[dict[str, Any]] = []
        self._told_X: list[Array] = []
        self._first: list[Any] = []  # of a first population that is not whole yet
        self._awaits = False

    @property
    def random_state(self) -> np.random.Generator:
        """The source of random choices beside those of the algorithm."""
        return self._beside

    @property
    def is_settled(self) -> bool:
        """Whether an algorithm that asks one by one has asked for as many as its population has."""
        return not self.one_by_one or self._n_done % self._algorithm.pop_size == 0

    def next_generation(self) -> Population:
        """Return what the algorithm asks for: a generation, or a single candidate."""
        if self._awaits:
            self._note(_step([], [], *_NOTHING))
        made = self._algorithm.ask()
        self._algorithm.termination.force_termination = False
        self._awaits = made is not None
        self._infills = [made] if isinstance(made, Individual) else [] if made is None else [*made]
        if self._first:  # of a first population there are some already
            self._infills = self._infills[: self._algorithm.pop_size - len(self._first)]
        X = rows_of(self._infills, self._n_var)
        self._asked.update(X.tobytes())
        if self._duplicates is not None:
            self._duplicates.remember(X)
        return Population.create(*self._infills)

    def offspring(self, n: int) -> Population:
        """Return what the algorithm asks for, whose number is its own matter."""
        return self.next_generation()

    def select(self, ended: Sequence[Ended], *, steady: bool) -> None:
        """Tell the algorithm what ended well of what it asked for."""
        if not ended and not (self._needs_all and self._algorithm.is_initialized):
            return
        rows = [individual.X.tobytes() for individual in self._infills]
        places, ids, metrics = [], [], []
        for candidate, _, offered in ended:
            place = rows.index(candidate.x.tobytes())
            rows[place] = b""
            places.append(place)
            ids.append(candidate.id)
            metrics.append(dict((offered or {})[0].metrics))
        self._tell(_step(places, ids, *(self._goals.matrices(metrics) if metrics else _NOTHING)))

    def _tell(self, step: dict[str, Any]) -> None:
        """Tell one step, and note it."""
        self._note(step)
        told = self._valued(Population.create(*(self._infills[place] for place in step["places"])), step)
        algorithm = self._algorithm
        if not algorithm.is_initialized:
            self._begin_with(told)
        elif self._needs_all:
            for place in {*range(len(self._infills))}.difference(step["places"]):
                self._infills[place].set("F", np.full(len(self._goals.objectives), np.inf))
            infills = Population.create(*self._infills)
            with np.errstate(invalid="ignore"):  # infinity is better than nothing
                algorithm.tell(infills=infills[0] if self._is_loopwise else infills)
        elif len(told):
            algorithm.tell(infills=told)

    def _valued(self, told: Population, step: dict[str, Any]) -> Population:
        """Return individuals with the values of a step."""
        if len(told):
            told.set(F=step["F"], G=step["G"], H=step["H"])
            self._weigh_limits(told)
            for individual, key in zip(told, step["ids"], strict=True):
                individual.data["id"] = key
        return told

    def _begin_with(self, members: Population) -> None:
        """Add to the first population, and begin once it is whole, as some algorithms need it."""
        self._first += [*members]
        size = self._algorithm.pop_size
        if len(self._first) >= size:
            self._algorithm.tell(infills=Population.create(*self._first[: size if self._needs_all else None]))
            self._first = []

    def _note(self, step: dict[str, Any]) -> None:
        self._steps.append(step)
        self._n_done += len(self._infills)
        self._awaits = False

    def add(self, told: Ended) -> None:
        """Add a candidate that was measured elsewhere.

        It takes a place of the first population; later it is selected upon, but not by an algorithm that puts children
        in the places of their neighbours, which has none for it.
        """
        values = self._goals.matrices([dict((told.offered or {})[0].metrics)])
        self._add(_step([_TOLD], [told.candidate.id], *values), told.candidate.x)

    def _add(self, step: dict[str, Any], x: Array) -> None:
        self._steps.append(step)
        self._told_X.append(x)
        self._n_done += 1
        if self._duplicates is not None:
            self._duplicates.remember(x[None])
        member = self._valued(Population.new(X=x[None]), step)
        if not self._algorithm.is_initialized:
            self._begin_with(member)
        elif not self._needs_all:
            self._algorithm.tell(infills=member)

    def update(self, evaluation_id: int, offered: Offered) -> None:
        """Change nothing: the algorithm was told once."""

    def revise(self, known: Mapping[int, Offered]) -> None:
        """Change nothing: the algorithm was told once."""

    def population_ids(self) -> list[Key]:
        """Return the keys of the population, each once."""
        return _keys(self._algorithm.pop)

    def optimum_ids(self) -> list[Key]:
        """Return the keys of what pymoo reports as the optimum, each once."""
        return _keys(self._algorithm.opt)

    def dump(self) -> dict[str, Any]:
        """Return what the algorithm was told, as plain data and arrays."""
        steps, lengths = self._steps, [len(step["ids"]) for step in self._steps]
        tables = {name: np.concatenate([s[name] for s in steps if len(s["ids"])]) for name in "FGH" if any(lengths)}
        return {
            "lengths": lengths,
            "places": [place for step in steps for place in step["places"]],
            "ids": [key for step in steps for key in step["ids"]],
            **tables,
            "told_X": np.array(self._told_X).reshape(-1, self._n_var),
            "awaits": self._awaits,
            "asked": self._asked.hexdigest(),
            "random_state": self._beside.bit_generator.state,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Make the algorithm anew, and tell it all again.

        Raises:
            StateError: It asks for other candidates than before.
        """
        self._restart()
        if self._duplicates is not None:
            self._duplicates.seen.load(np.empty(0, dtype=np.int64))
        begin, told = 0, iter(state["told_X"])
        for length in state["lengths"]:
            part = slice(begin, begin + length)
            places, ids = state["places"][part], state["ids"][part]
            step = _step(places, ids, *([state[name][part] for name in "FGH"] if length else _NOTHING))
            begin += length
            if places == [_TOLD]:
                self._add(step, next(told, np.empty(0)))
                continue
            self.next_generation()
            if max(places, default=0) >= max(len(self._infills), 1):
                break
            if length or (self._needs_all and self._algorithm.is_initialized):
                self._tell(step)
            else:
                self._note(step)
        if state["awaits"]:
            self.next_generation()
        if self._asked.hexdigest() != state["asked"]:
            raise StateError(
                "an algorithm must ask for the same when it is told the same, but this one asks for other candidates "
                "than before; resume with the versions of pymoo and NumPy that the run began with"
            )
        self._beside.bit_generator.state = state["random_state"]


def _step(places: list[int], ids: list[int], F: Any, G: Any, H: Any) -> dict[str, Any]:
    return {"places": places, "ids": ids, "F": F, "G": G, "H": H}


def _keys(members: Population | None) -> list[Key]:
    known = (member for member in (members if members is not None else ()) if "id" in member.data)
    return list(dict.fromkeys(map(key_of_member, known)))


def evolution_of(
    algorithm: Any, problem: SearchProblem, goals: Goals, pop_size: int, operators: dict[str, Any], seed: int
) -> Evolution:
    """Return the population of a search, of an algorithm's name or object; arguments as of ``Evolution``."""
    if is_given(algorithm):
        return GivenEvolution(algorithm, problem, goals, operators, seed)
    return (ContextEvolution if goals.contexts else Evolution)(algorithm, problem, goals, pop_size, operators, seed)


def source_of(
    algorithm: Any, space: SearchSpace, seed: int, start: Sequence[bytes], grid_points: GridPoints | None
) -> Source:
    """Return where the candidates of an algorithm come from; arguments as of ``Fixed``."""
    if is_given(algorithm):
        return AsGiven()
    return Source() if algorithm in EVOLUTIONARY else Fixed(space, algorithm, seed, start, grid_points)

"""A population of pymoo's individuals, and the algorithm that breeds and selects it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pymoo.core.population import Population
from pymoo.core.termination import NoTermination

from evo_moo.optimizer.algorithms import AlgorithmName, dump_algorithm, load_algorithm, make_algorithm
from evo_moo.optimizer.open_candidates import Ended
from evo_moo.problem.encoded_problem import encoded_problem
from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metrics
from evo_moo.space.search_space import SearchSpace


class Evolution:
    """The population of a search, with the algorithm that breeds and selects it.

    Args:
        name: The algorithm.
        space: The search space.
        goals: Objectives and limits.
        pop_size: Size of the population.
        operators: pymoo's operators; those that are missing are pymoo's own.
        seed: Seed of every random choice.
    """

    def __init__(
        self, name: AlgorithmName, space: SearchSpace, goals: Goals, pop_size: int, operators: dict[str, Any], seed: int
    ) -> None:
        self._goals, self._pop_size = goals, pop_size
        self._algorithm = make_algorithm(name, len(goals.objectives), pop_size, operators)
        self._problem = encoded_problem(space, goals)
        self._algorithm.setup(self._problem, termination=NoTermination(), seed=seed)

    @property
    def random_state(self) -> np.random.Generator:
        """The source of every random choice of the search."""
        return self._algorithm.random_state  # type: ignore[no-any-return]

    def next_generation(self) -> Population:
        """Return the first population, or the offspring of the present one."""
        told, optimum = self._algorithm.pop, self._algorithm.opt
        made = self._algorithm.ask()
        self._algorithm.termination.force_termination = False
        if not self._algorithm.is_initialized:  # pymoo forgets what was told before it begins, and the empty optimum
            self._algorithm.pop, self._algorithm.opt = told, optimum
            made = made[: self._pop_size - len(told)]
        return made if made is not None else Population.empty()

    def add(self, told: Ended) -> None:
        """Select upon a candidate that was told; where such ones fill the population, none is drawn."""
        is_initialized = self._algorithm.is_initialized
        self.select([told], steady=True)
        self._algorithm.n_iter = self._algorithm.n_iter or 1
        self._algorithm.is_initialized = is_initialized or len(self._algorithm.pop) >= self._pop_size

    def offspring(self, n: int) -> Population:
        """Return ``n`` children of the population; none while it has fewer than two members."""
        algorithm = self._algorithm
        if len(algorithm.pop) < 2:
            return Population.empty()
        return algorithm.mating.do(
            self._problem, algorithm.pop, n, algorithm=algorithm, random_state=algorithm.random_state
        )

    def select(self, ended: Sequence[Ended], *, steady: bool) -> None:
        """Make the next population of the present one and what ended well: in ``steady`` state, single individuals."""
        if not ended:
            return
        algorithm, infills = self._algorithm, Population([one.individual for one in ended])
        infills.set(id=[one.candidate.id for one in ended])
        self._set_values(infills, [one.metrics or {} for one in ended])
        if not steady:
            if not algorithm.is_initialized:
                infills = Population.merge(algorithm.pop, infills)
            algorithm.tell(infills)
            return
        merged = Population.merge(algorithm.pop, infills)
        algorithm.pop = algorithm.survival.do(
            self._problem, merged, n_survive=self._pop_size, algorithm=algorithm, random_state=algorithm.random_state
        )
        algorithm.is_initialized = True
        algorithm._set_optimum()

    def update(self, evaluation_id: int, metrics: Metrics) -> None:
        """Set the values of the member of this id, if it is still in the population, to those of these metrics."""
        members = [member for member in self._algorithm.pop if member.data["id"] == evaluation_id]
        self._set_values(Population(members), [metrics] * len(members))

    def revise(self, known: Mapping[int, Metrics]) -> None:
        """Set the values of members to those of better measured metrics, and rank the population anew.

        Args:
            known: Ids to metrics; those that are in the population no more are passed over.
        """
        algorithm = self._algorithm
        members = [member for member in algorithm.pop if member.data["id"] in known]
        if not members:
            return
        self._set_values(Population(members), [known[member.data["id"]] for member in members])
        algorithm.pop = algorithm.survival.do(
            self._problem,
            algorithm.pop,
            n_survive=len(algorithm.pop),
            algorithm=algorithm,
            random_state=algorithm.random_state,
        )
        algorithm._set_optimum()

    def population_ids(self) -> list[int]:
        """Return the evaluation ids of the population."""
        return [individual.data["id"] for individual in self._algorithm.pop]

    def optimum_ids(self) -> list[int]:
        """Return the evaluation ids of what pymoo reports as the optimum of the population."""
        return [individual.data["id"] for individual in self._algorithm.opt]

    def dump(self) -> dict[str, Any]:
        """Return the state as plain data and arrays."""
        return dump_algorithm(self._algorithm)

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from a dumped state."""
        load_algorithm(self._algorithm, state)
        self._weigh_limits(self._algorithm.pop)
        self._weigh_limits(self._algorithm.opt)

    def _set_values(self, members: Population, metrics: list[Metrics]) -> None:
        """Set the values of individuals to those that their metrics mean."""
        F, G, H = self._goals.matrices(metrics)
        members.set(F=F, G=G, H=H)
        self._weigh_limits(members)

    def _weigh_limits(self, members: Population) -> None:
        """Set by how much individuals violate the limits: as here, where pymoo would add values of different units."""
        if len(members) and self._goals.limits:
            members.set(CV=self._goals.violations(members.get("G"), members.get("H"))[:, None])

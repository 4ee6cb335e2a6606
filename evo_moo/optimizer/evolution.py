"""A population of pymoo's individuals, and the algorithm that breeds and selects it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.termination import NoTermination

from evo_moo.optimizer.algorithms import AlgorithmName, dump_algorithm, load_algorithm, make_algorithm, members_of
from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metrics
from evo_moo.problem.search_problem import pymoo_shape
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
        self,
        name: AlgorithmName,
        space: SearchSpace,
        goals: Goals,
        pop_size: int,
        operators: dict[str, Any],
        seed: int,
    ) -> None:
        self.goals, self.pop_size = goals, pop_size
        self._algorithm = make_algorithm(name, len(goals.objectives), pop_size, operators)
        self._problem = Problem(**pymoo_shape(space, goals))
        self._algorithm.setup(self._problem, termination=NoTermination(), seed=seed)

    @property
    def random_state(self) -> np.random.Generator:
        """The source of every random choice of the search."""
        return self._algorithm.random_state  # type: ignore[no-any-return]

    def next_generation(self) -> Population:
        """Return the first population, or the offspring of the present one."""
        made = self._algorithm.ask()
        self._algorithm.termination.force_termination = False
        return made if made is not None else Population.empty()

    def offspring(self, n: int) -> Population:
        """Return ``n`` children of the population; none while it has fewer than two members."""
        algorithm = self._algorithm
        if len(members_of(algorithm.pop)) < 2:
            return Population.empty()
        return algorithm.mating.do(
            self._problem, algorithm.pop, n, algorithm=algorithm, random_state=algorithm.random_state
        )

    def evaluated(self, individuals: list[Any], ids: list[int], metrics: list[Metrics]) -> Population:
        """Return individuals with their ids and with the values that their metrics mean."""
        F, G, H = (np.array(rows) for rows in self.goals.matrices(metrics))
        for k, individual in enumerate(individuals):
            individual.F, individual.G, individual.H = F[k], G[k], H[k]
            individual.data["id"] = ids[k]
        return Population(individuals)

    def tell(self, infills: Population) -> None:
        """Let the algorithm make the next population of the present one and a whole generation."""
        self._algorithm.tell(infills)

    def survive(self, infills: Population) -> None:
        """Add single individuals to the population, and keep the ``pop_size`` that survive."""
        algorithm = self._algorithm
        merged = Population.merge(algorithm.pop if algorithm.pop is not None else Population.empty(), infills)
        algorithm.pop = algorithm.survival.do(
            self._problem, merged, n_survive=self.pop_size, algorithm=algorithm, random_state=algorithm.random_state
        )
        algorithm.is_initialized = True
        algorithm._set_optimum()

    def update(self, evaluation_id: int, metrics: Metrics) -> None:
        """Give the member of this id, if it is still in the population, the values of these metrics."""
        members = [member for member in members_of(self._algorithm.pop) if member.data["id"] == evaluation_id]
        if members:
            self.evaluated(members, [evaluation_id], [metrics])

    def population_ids(self) -> list[int]:
        """Return the evaluation ids of the population."""
        return [individual.data["id"] for individual in members_of(self._algorithm.pop)]

    def optimum_ids(self) -> list[int]:
        """Return the evaluation ids of what pymoo reports as the optimum of the population."""
        return [individual.data["id"] for individual in members_of(self._algorithm.opt)]

    def dump(self) -> dict[str, Any]:
        """Return the state as plain data and arrays."""
        return dump_algorithm(self._algorithm)

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from a dumped state."""
        load_algorithm(self._algorithm, state)

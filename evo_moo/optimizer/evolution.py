"""A population of pymoo's individuals, and the algorithm that breeds and selects it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pymoo.core.individual import Individual
from pymoo.core.population import Population
from pymoo.core.termination import NoTermination

from evo_moo.optimizer.algorithms import AlgorithmName, dump_algorithm, key_of_member, load_algorithm, make_algorithm
from evo_moo.optimizer.informed_mutation import InformedMutation
from evo_moo.optimizer.open_candidates import Ended
from evo_moo.problem.encoded_problem import encoded_problem
from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metrics
from evo_moo.problem.points import Key, Offered
from evo_moo.problem.search_problem import SearchProblem


class Evolution:
    """The population of a search, with the algorithm that breeds and selects it.

    Args:
        name: The algorithm.
        searched: The problem, which may have a mutation of its own.
        goals: Objectives and limits.
        pop_size: Size of the population.
        operators: pymoo's operators; those that are missing are pymoo's own.
        seed: Seed of every random choice.
        context: The context that the goals are of; empty without contexts.
    """

    one_by_one = False
    """As of ``GivenEvolution``: it breeds generations."""

    def __init__(
        self,
        name: AlgorithmName,
        searched: SearchProblem,
        goals: Goals,
        pop_size: int,
        operators: dict[str, Any],
        seed: int,
        context: str = "",
    ) -> None:
        self._goals, self._pop_size = goals, pop_size
        self._informed = InformedMutation(searched, goals, context) if searched.mutates and operators else None
        operators = operators | ({"mutation": self._informed} if self._informed else {})
        self._algorithm = make_algorithm(name, len(goals.objectives), pop_size, operators)
        self._problem = encoded_problem(searched.space, goals)
        self._algorithm.setup(self._problem, termination=NoTermination(), seed=seed)

    @property
    def random_state(self) -> np.random.Generator:
        """The source of every random choice of the search."""
        return self._algorithm.random_state  # type: ignore[no-any-return]

    @property
    def is_settled(self) -> bool:
        """Whether a state may be saved once every outcome is selected upon."""
        return True

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
        algorithm, infills = self._algorithm, self._members(ended)
        if not steady:
            if not algorithm.is_initialized:
                infills = Population.merge(algorithm.pop, infills)
            algorithm.tell(infills)
        else:
            self._survive(Population.merge(algorithm.pop, infills), self._pop_size)
            algorithm.is_initialized = True
        if self._informed:
            best = {member.data["id"] for member in algorithm.opt}
            self._informed.credit.learn((one.candidate.origin, one.candidate.id in best) for one in ended)

    def update(self, evaluation_id: int, offered: Offered) -> None:
        """Set the values of the members of this id, which are still in the population, to those of what is offered."""
        self._replace_values({evaluation_id: offered})

    def revise(self, known: Mapping[int, Offered]) -> None:
        """Set the values of members to those of better measured metrics, and rank the population anew.

        Args:
            known: Ids to what is offered; those that are in the population no more are passed over.
        """
        if not self._replace_values(known):
            return
        self._survive(self._algorithm.pop, len(self._algorithm.pop))

    def population_ids(self) -> list[Key]:
        """Return the keys of the population."""
        return [key_of_member(individual) for individual in self._algorithm.pop]

    def optimum_ids(self) -> list[Key]:
        """Return the keys of what pymoo reports as the optimum of the population."""
        return [key_of_member(individual) for individual in self._algorithm.opt]

    def dump(self) -> dict[str, Any]:
        """Return the state as plain data and arrays."""
        credit = {"credit": self._informed.credit.counts} if self._informed else {}
        return dump_algorithm(self._algorithm) | credit

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from a dumped state."""
        load_algorithm(self._algorithm, state)
        if self._informed and "credit" in state:
            self._informed.credit.counts = {name: [*counts] for name, counts in state["credit"].items()}
        self._weigh_limits(self._algorithm.pop)
        self._weigh_limits(self._algorithm.opt)

    def _survive(self, pop: Population, n: int) -> None:
        """Make the population of the ``n`` individuals that survive."""
        algorithm = self._algorithm
        algorithm.pop = algorithm.survival.do(
            self._problem, pop, n_survive=n, algorithm=algorithm, random_state=algorithm.random_state
        )
        algorithm._set_optimum()

    def _members(self, ended: Sequence[Ended]) -> Population:
        """Return an individual for each point that is offered: NSGA-II and its kin then rank points."""
        members, metrics = [], []
        for candidate, individual, offered in ended:
            points = [(number, point) for number, point in (offered or {}).items() if not point.fault]
            for i, (number, point) in enumerate(points):
                member = individual if i == 0 else Individual(X=individual.X)
                member.data |= {"id": candidate.id, "point": number} if number else {"id": candidate.id}
                members.append(member)
                metrics.append(dict(point.metrics))
        population = Population(members)
        self._set_values(population, metrics)
        return population

    def _replace_values(self, known: Mapping[int, Offered]) -> bool:
        """Set the values of the members that are known better; return whether there are some."""
        found = [
            (member, dict(known[key][number].metrics))
            for member in self._algorithm.pop
            for key, number in [(member.data["id"], member.data.get("point", 0))]
            if key in known and number in known[key]
        ]
        self._set_values(Population([member for member, _ in found]), [metrics for _, metrics in found])
        return bool(found)

    def _set_values(self, members: Population, metrics: list[Metrics]) -> None:
        """Set the values of individuals to those that their metrics mean."""
        F, G, H = self._goals.matrices(metrics)
        members.set(F=F, G=G, H=H)
        self._weigh_limits(members)

    def _weigh_limits(self, members: Population) -> None:
        """Set by how much individuals violate the limits: as here, where pymoo would add values of different units."""
        if len(members) and self._goals.limits:
            members.set(CV=self._goals.violations(members.get("G"), members.get("H"))[:, None])

"""Populations of several contexts, which share their evaluations."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pymoo.core.individual import Individual
from pymoo.core.population import Population

from evo_moo.optimizer.algorithms import AlgorithmName
from evo_moo.optimizer.evolution import Evolution
from evo_moo.optimizer.open_candidates import Ended
from evo_moo.problem.goals import Goals
from evo_moo.problem.points import Key, Offered
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.seeding import seed_for


class ContextEvolution(Evolution):
    """A population for each context, selected by the goals there; each outcome may enter all of them.

    The first population is drawn once. Later each context breeds its share of the offspring, by its weight.

    Args:
        name, searched, goals, pop_size, operators, seed: As of ``Evolution``; each population has ``pop_size`` members.
    """

    def __init__(
        self,
        name: AlgorithmName,
        searched: SearchProblem,
        goals: Goals,
        pop_size: int,
        operators: dict[str, Any],
        seed: int,
    ) -> None:
        (first, view), *others = zip([context.name for context in goals.contexts], goals.views, strict=True)
        super().__init__(name, searched, view, pop_size, operators, seed, first)
        self._weights = goals.weights
        self._others = [
            Evolution(name, searched, own, pop_size, operators, seed_for(context, seed), context)
            for context, own in others
        ]

    def next_generation(self) -> Population:
        """Return the first population, or the offspring of the present ones."""
        return self.offspring(self._pop_size) if self._algorithm.is_initialized else super().next_generation()

    def offspring(self, n: int) -> Population:
        """Return up to ``n`` different children: of each population its share, the rest drawn by the weights."""
        shares = np.floor(n * self._weights).astype(int)
        rest = self.random_state.choice(len(shares), size=n - shares.sum(), p=self._weights)
        shares += np.bincount(rest, minlength=len(shares))
        bred = [super().offspring(int(shares[0])) if shares[0] else Population.empty()]
        bred += [each.offspring(int(n)) for each, n in zip(self._others, shares[1:], strict=True) if n]
        return Population.create(*{child.X.tobytes(): child for children in bred for child in children}.values())

    def add(self, told: Ended) -> None:
        """Select upon a candidate that was told."""
        super().add(told)
        for each in self._others:
            each.add(_copied(told))

    def select(self, ended: Sequence[Ended], *, steady: bool) -> None:
        """Make the next populations of the present ones and what ended well."""
        super().select(ended, steady=True)
        for each in self._others:
            each.select([_copied(one) for one in ended], steady=True)

    def update(self, evaluation_id: int, offered: Offered) -> None:
        """Set the values of the members of this id to those of what is offered."""
        super().update(evaluation_id, offered)
        for each in self._others:
            each.update(evaluation_id, offered)

    def revise(self, known: Mapping[int, Offered]) -> None:
        """Set the values of members to those of better measured metrics, and rank the populations anew."""
        super().revise(known)
        for each in self._others:
            each.revise(known)

    def population_ids(self) -> list[Key]:
        """Return the keys of all populations, each once."""
        return list(dict.fromkeys([*super().population_ids(), *(k for e in self._others for k in e.population_ids())]))

    def optimum_ids(self) -> list[Key]:
        """Return the keys of the optima of all populations, each once."""
        return list(dict.fromkeys([*super().optimum_ids(), *(k for e in self._others for k in e.optimum_ids())]))

    def dump(self) -> dict[str, Any]:
        """Return the state as plain data and arrays."""
        return super().dump() | {"others": [each.dump() for each in self._others]}

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from a dumped state."""
        super().load(state)
        for each, own in zip(self._others, state["others"], strict=True):
            each.load(own)


def _copied(ended: Ended) -> Ended:
    """Return what ended with an individual of its own, whose rank is that of one population."""
    return ended._replace(individual=Individual(X=ended.individual.X))

"""A problem's own mutation beside the plain one, used as often as its children are worth it."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from pymoo.core.population import Population

from evo_moo.errors import place_of
from evo_moo.problem.goals import Goals
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.space.operators import SpaceMutation
from evo_moo.text import printable

LOGGER = logging.getLogger("evo_moo")
INFORMED = "informed"
"""Origin of a child that the problem's own mutation made."""
EVEN, LEAST = 0.3, 0.02
"""Share of children that the problem makes while both mutations are as good, and where its own is much worse."""
MEMORY = 0.99
"""By so much earlier children of a mutation count less with each one that ended."""
DOUBT = 4.0
"""So many children are taken to have had the usual success."""
MUCH_WORSE = 0.5
"""Below so much of the plain mutation's success the problem's own is switched off, but for a few trials."""
LEAST_WEIGHT = 0.02


class Credit:
    """How often children of both mutations came on the population's front, and so the share that the problem makes.

    The shares follow the rates of success, as probability matching does (Thierens 2005, "An adaptive pursuit strategy
    for allocating operator probabilities"); earlier children fade.
    """

    def __init__(self) -> None:
        """Begin without experience."""
        self.counts = {INFORMED: [0.0, 0.0], "mating": [0.0, 0.0]}

    @property
    def share(self) -> float:
        """Share of children that the problem's own mutation makes."""
        succeeded, n = map(sum, zip(*self.counts.values(), strict=True))
        usual = (succeeded + 1) / (n + 2)
        own, plain = ((succeeded + DOUBT * usual) / (n + DOUBT) for succeeded, n in self.counts.values())
        odds = EVEN / (1 - EVEN) * own / plain
        return max(LEAST, odds / (1 + odds)) if own > MUCH_WORSE * plain else LEAST

    def learn(self, origins: Iterable[tuple[str, bool]]) -> None:
        """Learn which children, by their origins, came on the front."""
        for origin, succeeded in origins:
            if origin in self.counts:
                before, n = self.counts[origin]
                self.counts[origin] = [MEMORY * before + succeeded, MEMORY * n + 1]


class InformedMutation(SpaceMutation):
    """Mutations of which a share is the problem's own, see ``SearchProblem.mutate``.

    Args:
        searched: The problem.
        goals: Objectives and limits of the population.
        context: The context that they are of; empty without contexts.

    Attributes:
        credit: Decides the share.
    """

    def __init__(self, searched: SearchProblem, goals: Goals, context: str) -> None:
        """Set what children are varied for."""
        super().__init__(searched.space)
        self._searched, self._goals, self._context = searched, goals, context
        self.credit, self._has_failed = Credit(), False

    def do(
        self,
        problem: Any,
        pop: Population,
        inplace: bool = True,
        *args: Any,
        random_state: Any = None,
        algorithm: Any = None,
        **kwargs: Any,
    ) -> Population:
        """Mutate children; ``algorithm`` has the population that they were bred from."""
        crossed = pop.get("X").copy()
        pop = super().do(problem, pop, inplace, *args, random_state=random_state, **kwargs)
        chosen = np.flatnonzero(random_state.random(len(pop)) < self.credit.share)
        weights = _weights(algorithm.pop) if len(chosen) else {}
        for i in chosen:
            parents = [weights[key] for key in pop[i].data.get("parents", ()) if key in weights]
            if parents and (x := self._own(crossed[i], parents[0], random_state)) is not None:
                pop[i].set("X", x)
                pop[i].data["origin"] = INFORMED
        return pop

    def _own(self, x: Any, weights: Any, random_state: np.random.Generator) -> Any:
        """Return the row that the problem makes of another; None where it fails, which is said once."""
        names = (objective.metric for objective in self._goals.objectives)
        (config,) = self.space.decode(x[None])
        try:
            mutant: Mapping[str, Any] = self._searched.mutate(
                config, weights=dict(zip(names, weights.tolist(), strict=True)), context=self._context, rng=random_state
            )
            return self.space.encode([mutant])[0]
        except Exception as error:
            if not self._has_failed:
                place = place_of(error)
                where = f" ({place[0].name}, line {place[1]})" if place else ""
                words = printable(f"{type(error).__name__}: {error}{where}")
                LOGGER.warning("`mutate` of the problem failed, so the plain mutation stands in: %s", words)
            self._has_failed = True
            return None


def _weights(pop: Population) -> dict[int, Any]:
    """Return how much each objective counts where each member stands, by its id: the nearer to the best, the more."""
    F = pop.get("F")
    low, high = F.min(axis=0), F.max(axis=0)
    near = np.maximum(1 - (F - low) / np.where(high > low, high - low, 1.0), LEAST_WEIGHT)
    weights = near / near.sum(axis=1, keepdims=True)
    return {member.data["id"]: row for member, row in zip(pop, weights, strict=True)}

"""pymoo's algorithms as the optimizer uses them, and their state as plain arrays."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, assert_never

import numpy as np
import numpy.typing as npt
from pymoo.algorithms.base.genetic import GeneticAlgorithm
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.moo.nsga3 import NSGA3
from pymoo.core.population import Population
from pymoo.operators.selection.tournament import TournamentSelection, compare
from pymoo.util.ref_dirs import get_reference_directions

from evo_moo.problem.points import Key, key_of
from evo_moo.scalarisation import ScalarisedSurvival

Array = npt.NDArray[np.float64]
AlgorithmName = Literal["nsga2", "nsga3", "weighted-sum", "tchebycheff", "random", "sobol", "grid"]
PARETO = ("nsga2", "nsga3")
"""The algorithms that select by dominance, as pymoo has them; the others are the baselines to compare them with."""
EVOLUTIONARY = (*PARETO, "weighted-sum", "tchebycheff")
"""The algorithms that learn from outcomes."""
FURTHER = ("unsga3", "agemoea2", "smsemoa", "spea2", "ctaea", "moead")
"""Further algorithms of pymoo, as it has them: see ``given_algorithm``."""
BASELINES = ("random", "sobol", "grid")
"""Those that do not."""

_NORMALISATION = ("ideal_point", "worst_point", "nadir_point", "extreme_points")
_RANKING = ("rank", "crowding", "niche", "dist_to_niche")
_INTEGER_KEYS = ("id", "point", "rank", "niche")


def make_algorithm(name: AlgorithmName, n_obj: int, pop_size: int, operators: dict[str, Any]) -> GeneticAlgorithm:
    """Build NSGA-II (Deb et al. 2002) or NSGA-III (Deb and Jain 2014) with pymoo's defaults and these operators.

    ``"weighted-sum"`` and ``"tchebycheff"`` are a sweep of weight vectors, NSGA-III's reference directions, evolved in
    one population: see ``ScalarisedSurvival``. Of the baselines that do not learn only the population, the best so far,
    is kept by an algorithm: by NSGA-II.
    """
    algorithm: GeneticAlgorithm
    selection, operators = TournamentSelection(func_comp=_feasible_first), {"pop_size": pop_size, **operators}
    match name:
        case "nsga3":
            algorithm = NSGA3(reference_directions(n_obj, pop_size), selection=selection, **operators)
        case "weighted-sum" | "tchebycheff":
            survival = ScalarisedSurvival(reference_directions(n_obj, pop_size), name)
            algorithm = GeneticAlgorithm(
                selection=selection, survival=survival, advance_after_initial_infill=True, **operators
            )
        case "nsga2" | "random" | "sobol" | "grid":
            algorithm = NSGA2(**operators)
        case _:
            assert_never(name)
    algorithm.mating.crossover = Parentage(algorithm.mating.crossover)
    algorithm.pop = algorithm.opt = Population.empty()
    return algorithm


class Parentage:
    """A crossover that notes on each child the ids of its parents, as ``data["parents"]``.

    It draws nothing, so that the search stays the same. Mutation and repair keep what is noted.
    """

    def __init__(self, crossover: Any) -> None:
        """Wrap a crossover of pymoo's."""
        self.crossover = crossover
        self.n_parents, self.n_offsprings = crossover.n_parents, crossover.n_offsprings

    def __call__(self, problem: Any, matings: Any, *args: Any, **kwargs: Any) -> Population:
        """Cross the parents, ``(n_matings, n_parents)`` individuals; child ``k`` comes of mating ``k % n_matings``."""
        children = self.crossover(problem, matings, *args, **kwargs)
        X = np.array([[parent.X for parent in mating] for mating in matings])
        rows = children.get("X").reshape(-1, len(X), 1, X.shape[-1])
        copied = (rows == X).all(axis=-1).reshape(-1, self.n_parents)
        for k, child in enumerate(children):
            mating = matings[k % len(X)]
            # A child that equals one parent has nothing of the other one.
            real = mating[[copied[k].argmax()]] if copied[k].any() else mating
            child.data["parents"] = tuple(dict.fromkeys(parent.data["id"] for parent in real if "id" in parent.data))
        return children


def reference_directions(n_obj: int, pop_size: int) -> Array:
    """Return NSGA-III's reference directions, ``(n, n_obj)``: the densest Das-Dennis lattice that fits.

    A lattice of ``p`` partitions has ``C(n_obj + p - 1, p)`` points (Das and Dennis 1998); the largest ``p``
    with at most ``pop_size`` points is taken.
    """
    p = 1
    while math.comb(n_obj + p, p + 1) <= pop_size and n_obj > 1:
        p += 1
    return np.asarray(get_reference_directions("das-dennis", n_obj, n_partitions=p), dtype=float)


def _feasible_first(pop: Population, P: Any, random_state: np.random.Generator, **_: Any) -> Any:
    """Pick tournament winners by constraint violation, then at random (Deb and Jain 2014, part II).

    pymoo's own comparator draws the ties between infeasible individuals from an unseeded generator.

    Args:
        pop: The population.
        P: ``(n, 2)`` array of indices of the opponents.
        random_state: Decides ties.
    """
    winners = [
        compare(a, pop[a].cv, b, pop[b].cv, "smaller_is_better", True, random_state=random_state)
        if pop[a].cv > 0 or pop[b].cv > 0
        else random_state.choice([a, b])
        for a, b in P
    ]
    return np.array(winners, dtype=int)[:, None]


def dump_algorithm(algorithm: GeneticAlgorithm) -> dict[str, Any]:
    """Return everything of an algorithm that decides what it does next."""
    norm = getattr(algorithm.survival, "norm", None)
    kept = {key_of_member(individual) for individual in algorithm.pop}
    return {
        "random_state": algorithm.random_state.bit_generator.state,
        "is_initialized": algorithm.is_initialized,
        "n_iter": algorithm.n_iter,
        "population": _dump_population(algorithm.pop),
        "optimum": [key_of_member(individual) for individual in algorithm.opt],
        "optimum_outside": _dump_population([i for i in algorithm.opt if key_of_member(i) not in kept]),
        "normalisation": {key: getattr(norm, key) for key in _NORMALISATION} if norm else None,
    }


def load_algorithm(algorithm: GeneticAlgorithm, state: Mapping[str, Any]) -> None:
    """Put an algorithm into a dumped state."""
    algorithm.random_state.bit_generator.state = state["random_state"]
    algorithm.is_initialized, algorithm.n_iter = state["is_initialized"], state["n_iter"]
    algorithm.pop = _load_population(state["population"])
    outside = _load_population(state["optimum_outside"])
    by_key = {key_of_member(i): i for i in (*algorithm.pop, *outside)}
    algorithm.opt = Population([by_key[key] for key in state["optimum"]])
    if state["normalisation"]:
        vars(algorithm.survival.norm).update(state["normalisation"])
        algorithm.survival.opt = algorithm.opt


def rows_of(members: Any, n_var: int) -> Array:
    """Return the encoded rows of individuals, ``(n, n_var)``."""
    return np.array([individual.X for individual in members]).reshape(-1, n_var)


def key_of_member(individual: Any) -> Key:
    """Return the key of an individual of a population: the evaluation's id, or with a point the point's key."""
    return key_of(individual.data["id"], individual.data.get("point"))


def _dump_population(pop: Sequence[Any]) -> dict[str, Any] | None:
    if not len(pop):
        return None
    table = {key: np.array([getattr(individual, key) for individual in pop]) for key in ("X", "F", "G", "H")}
    for key in ("id", "point", *_RANKING):
        if any(key in individual.data for individual in pop):
            table[key] = np.array([individual.data.get(key, math.nan) for individual in pop], dtype=float)
    return table


def _load_population(table: Mapping[str, Any] | None) -> Population:
    if table is None:
        return Population.empty()
    pop = Population.new(**{key: table[key] for key in ("X", "F", "G", "H")})
    for key in table.keys() & {"id", "point", *_RANKING}:
        for individual, value in zip(pop, table[key].tolist(), strict=True):
            if not math.isnan(value):
                individual.set(key, int(value) if key in _INTEGER_KEYS else value)
    return pop

"""pymoo's NSGA-II and NSGA-III behind ask and tell, with a state that can be saved and loaded.

The main loop of every search, ours or a user's own:

    optimizer = Optimizer(problem, pop_size=20, seed=1)
    while optimizer.n_asked < 200:
        for candidate in optimizer.ask():
            optimizer.tell(candidate.id, train(candidate.configuration))
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pymoo.algorithms.base.genetic import GeneticAlgorithm
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.moo.nsga3 import NSGA3
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.termination import NoTermination
from pymoo.operators.selection.tournament import TournamentSelection, compare
from pymoo.util.ref_dirs import get_reference_directions

from evo_moo.errors import MetricError, StateError
from evo_moo.goals import Goals, checked_metrics
from evo_moo.operators import RowDuplicateElimination, SpaceSampling, space_operators
from evo_moo.problem import Configuration, SearchProblem
from evo_moo.space import Method

Array = npt.NDArray[np.float64]
Algorithm = Literal["nsga2", "nsga3"]
STATE_FORMAT = 1
FILLING_ROUNDS, FILLING_DRAWS = 20, 1000


class Candidate(NamedTuple):
    """A configuration to evaluate.

    Attributes:
        id: Number of the evaluation, counted from 1 in the order of asking.
        generation: The generation that it belongs to, counted from 1.
        configuration: Names to values, active variables only.
        x: ``(n_var,)`` array, the encoded configuration.
    """

    id: int
    generation: int
    configuration: Configuration
    x: Array


class Optimizer:
    """Generational NSGA-II or NSGA-III over a problem's space.

    On a plain continuous pymoo problem it makes the very populations that ``pymoo.optimize.minimize`` makes
    with the same seed. Elsewhere it uses operators of its own for mixed and conditional spaces, and never
    asks for a configuration twice.

    Args:
        problem: The problem; it is never evaluated here.
        algorithm: ``"nsga2"`` (Deb et al. 2002) or ``"nsga3"`` (Deb and Jain 2014).
        pop_size: Size of the population; by default 100 on a plain pymoo problem, else 20.
        seed: Seed of every random choice.
        goals: Objectives and limits; by default the problem's own.
        sampling: How the first population is drawn: ``"random"``, ``"lhs"`` or ``"sobol"``.
        start: Configurations that the first population begins with.

    Raises:
        SpaceError: A configuration of ``start`` does not fit the space.
    """

    def __init__(
        self,
        problem: SearchProblem,
        algorithm: Algorithm = "nsga2",
        pop_size: int | None = None,
        seed: int = 1,
        goals: Goals | None = None,
        sampling: Method = "random",
        start: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.space = problem.space
        self.goals = goals or problem.goals
        self.pop_size = pop_size or default_pop_size(problem)
        self.name = algorithm
        operators = {} if problem.is_plain else space_operators(self.space)
        if not problem.is_plain or sampling != "random" or start:
            operators["sampling"] = SpaceSampling(self.space, sampling, start)
        self._seen: RowDuplicateElimination | None = operators.get("eliminate_duplicates")
        n_obj = len(self.goals.objectives)
        self._algorithm = _algorithm(algorithm, n_obj, self.pop_size, operators)
        shape = Problem(
            n_var=self.space.n_var,
            n_obj=n_obj,
            n_ieq_constr=len(self.goals.inequalities),
            n_eq_constr=len(self.goals.equalities),
            xl=self.space.xl,
            xu=self.space.xu,
        )
        self._algorithm.setup(shape, termination=NoTermination(), seed=seed)
        self.generation = 0
        self.exhausted = False
        self._asked: list[Candidate] = []
        self._infills: list[Any] = []
        self._n_given = 0
        self._told: dict[int, Mapping[str, float] | None] = {}
        self._first_id = 1

    @property
    def n_asked(self) -> int:
        """Number of candidates given so far."""
        return self._first_id + self._n_given - 1

    def ask(self, n: int | None = None) -> list[Candidate]:
        """Give up to ``n`` candidates of the current generation, by default all that are left of it.

        The list is empty while outcomes of this generation are awaited, and from then on for good when the
        space has no new configuration left (``exhausted``).
        """
        if self._told.keys() >= {c.id for c in self._asked} and not self.exhausted:
            self._begin_generation()
        end = len(self._asked) if n is None else min(len(self._asked), self._n_given + max(n, 0))
        given = self._asked[self._n_given : end]
        self._n_given = end
        return given

    def tell(self, candidate_id: int, metrics: Mapping[str, float] | None) -> None:
        """Report the outcome of a candidate; with the last of a generation, selection takes place.

        Args:
            candidate_id: ``Candidate.id``.
            metrics: The metrics. None: the evaluation failed, and the candidate is left out of selection.
                Without the objectives: the candidate breaks a limit and was not evaluated further.

        Raises:
            StateError: No such candidate is awaited.
            MetricError: A metric is no finite number, or an objective is missing.
        """
        given = range(self._first_id, self._first_id + self._n_given)
        if candidate_id not in given or candidate_id in self._told:
            raise StateError(f"a told candidate must be awaited, but {candidate_id} is not")
        if metrics is not None:
            metrics = checked_metrics(metrics)
            missing = [o.metric for o in self.goals.objectives if o.metric not in metrics]
            if missing and not self.goals.broken_limits(metrics):
                raise MetricError(
                    f"metrics must hold every objective, but lack {', '.join(missing)}; tell None of a failure"
                )
        self._told[candidate_id] = metrics
        if len(self._told) == len(self._asked):
            self._end_generation()

    def population_ids(self) -> list[int]:
        """Give the evaluation ids of the current population."""
        return [individual.data["id"] for individual in _members(self._algorithm.pop)]

    def optimum_ids(self) -> list[int]:
        """Give the evaluation ids of what pymoo reports as the optimum of the current population."""
        return [individual.data["id"] for individual in _members(self._algorithm.opt)]

    def dump(self, with_seen: bool = True) -> dict[str, Any]:
        """Give the complete state as plain data and arrays.

        After ``load`` of it, the same asks and tells give the same candidates as without.

        Args:
            with_seen: Whether to include the rows already asked, ``(n_asked, n_var)``; a caller that keeps
                them elsewhere passes them to ``load``.
        """
        algorithm = self._algorithm
        norm = getattr(algorithm.survival, "norm", None)
        members, optimum = _members(algorithm.pop), self.optimum_ids()
        kept = set(self.population_ids())
        told = {str(key): metrics for key, metrics in self._told.items()}
        between = len(told) == len(self._asked)
        outside = [individual for individual in _members(algorithm.opt) if individual.get("id") not in kept]
        return {
            "format": STATE_FORMAT,
            "algorithm": self.name,
            "shape": [self.pop_size, self.space.n_var, len(self.goals.objectives), len(self.goals.limits)],
            "random_state": algorithm.random_state.bit_generator.state,
            "is_initialized": algorithm.is_initialized,
            "n_iter": algorithm.n_iter,
            "generation": self.generation,
            "first_id": self.n_asked + 1 if between else self._first_id,
            "population": _dump_population(members),
            "optimum": {"ids": optimum, "outside": _dump_population(outside)},
            "normalisation": {k: getattr(norm, k) for k in _NORMALISATION} if norm else None,
            "asked": None
            if between
            else {"X": _rows(self._infills, self.space.n_var), "n_given": self._n_given, "told": told},
            "exhausted": self.exhausted,
            "seen": self._seen.rows() if self._seen and with_seen else None,
        }

    def load(self, state: Mapping[str, Any], seen: Array | None = None) -> None:
        """Go on from a dumped state.

        Args:
            state: What ``dump`` gave.
            seen: ``(n, n_var)`` array of the rows already asked, if the state was dumped without them.

        Raises:
            StateError: The state is of another format, algorithm or shape.
        """
        shape = [self.pop_size, self.space.n_var, len(self.goals.objectives), len(self.goals.limits)]
        expected = (STATE_FORMAT, self.name, shape)
        found = (state.get("format"), state.get("algorithm"), state.get("shape"))
        if found != expected:
            raise StateError(f"a state must be of (format, algorithm, shape) {expected}, but is of {found}")
        algorithm = self._algorithm
        algorithm.random_state.bit_generator.state = state["random_state"]
        algorithm.is_initialized, algorithm.n_iter = state["is_initialized"], state["n_iter"]
        algorithm.pop = _load_population(state["population"])
        outside = _load_population(state["optimum"]["outside"])
        by_id = {i.get("id"): i for i in (*_members(algorithm.pop), *_members(outside))}
        algorithm.opt = Population([by_id[key] for key in state["optimum"]["ids"]])
        if state["normalisation"]:
            vars(algorithm.survival.norm).update(state["normalisation"])
            algorithm.survival.opt = algorithm.opt
        self.generation, self._first_id = state["generation"], state["first_id"]
        self.exhausted = state["exhausted"]
        asked = state["asked"] or {"X": [], "n_given": 0, "told": {}}
        self._take_infills(Population.new(X=asked["X"]) if len(asked["X"]) else None)
        self._n_given = asked["n_given"]
        self._told = {int(key): metrics for key, metrics in asked["told"].items()}
        if self._seen is not None:
            self._seen.seen.clear()
            self._seen.remember(seen if seen is not None else state["seen"])
            self._seen.remember(_rows(self._infills, self.space.n_var))

    def _begin_generation(self) -> None:
        infills = self._algorithm.ask()
        self._algorithm.termination.force_termination = False
        if infills is None:
            infills = Population.empty()
        if self._seen is not None:
            infills = self._filled_up(infills, self._seen)
            self._seen.remember(_rows(infills, self.space.n_var))
        self.exhausted = len(infills) == 0
        self._first_id += len(self._asked)
        self._told, self._n_given = {}, 0
        self._take_infills(infills)

    def _filled_up(self, infills: Population, seen: RowDuplicateElimination) -> Population:
        """Add new random rows where mating found too few, as it does in a small space or around a dense front."""
        for _ in range(FILLING_ROUNDS):
            missing = self.pop_size - len(infills)
            if missing <= 0:
                break
            drawn = Population.new(X=self.space.sample(FILLING_DRAWS, self._algorithm.random_state))
            infills = Population.merge(infills, seen.do(drawn, infills)[:missing])
        return infills

    def _take_infills(self, infills: Population | None) -> None:
        self._infills = _members(infills)
        X = _rows(self._infills, self.space.n_var)
        self._asked = [
            Candidate(self._first_id + i, self.generation + 1, configuration, X[i])
            for i, configuration in enumerate(self.space.decode(X) if len(X) else [])
        ]

    def _end_generation(self) -> None:
        told = [(c, i, self._told[c.id]) for c, i in zip(self._asked, self._infills, strict=True)]
        kept = [(candidate, individual, metrics) for candidate, individual, metrics in told if metrics is not None]
        if kept:
            F, G, H = (np.array(rows) for rows in self.goals.matrices([metrics for _, _, metrics in kept]))
            for k, (candidate, individual, _) in enumerate(kept):
                individual.F, individual.G, individual.H = F[k], G[k], H[k]
                individual.data["id"] = candidate.id
            self._algorithm.tell(Population([individual for _, individual, _ in kept]))
        self.generation += 1


def default_pop_size(problem: SearchProblem) -> int:
    """Give the population size for a problem: pymoo's own on its plain problems, else one for trainings."""
    return 100 if problem.is_plain else 20


def reference_directions(n_obj: int, pop_size: int) -> Array:
    """Give NSGA-III's reference directions, ``(n, n_obj)``: the densest Das-Dennis lattice that fits.

    A lattice of ``p`` partitions has ``C(n_obj + p - 1, p)`` points (Das and Dennis 1998); the largest ``p``
    with at most ``pop_size`` points is taken.
    """
    p = 1
    while math.comb(n_obj + p, p + 1) <= pop_size and n_obj > 1:
        p += 1
    return np.asarray(get_reference_directions("das-dennis", n_obj, n_partitions=p), dtype=float)


_NORMALISATION = ("ideal_point", "worst_point", "nadir_point", "extreme_points")
_RANKING = ("rank", "crowding", "niche", "dist_to_niche")
_INTEGER_KEYS = ("id", "rank", "niche")


def _algorithm(name: Algorithm, n_obj: int, pop_size: int, operators: dict[str, Any]) -> GeneticAlgorithm:
    if name == "nsga2":
        return NSGA2(pop_size=pop_size, **operators)
    selection = TournamentSelection(func_comp=_feasible_first)
    return NSGA3(reference_directions(n_obj, pop_size), pop_size=pop_size, selection=selection, **operators)


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


def _members(pop: Population | None) -> list[Any]:
    return [] if pop is None else list(pop)


def _rows(members: Any, n_var: int) -> Array:
    return np.array([individual.X for individual in members]).reshape(-1, n_var)


def _dump_population(pop: list[Any]) -> dict[str, Any] | None:
    if not pop:
        return None
    table = {key: np.array([getattr(individual, key) for individual in pop]) for key in ("X", "F", "G", "H")}
    for key in ("id", *_RANKING):
        if any(key in individual.data for individual in pop):
            table[key] = np.array([individual.data.get(key, math.nan) for individual in pop], dtype=float)
    return table


def _load_population(table: Mapping[str, Any] | None) -> Population | None:
    if table is None:
        return None
    pop = Population.new(**{key: table[key] for key in ("X", "F", "G", "H")})
    for key in table.keys() & {"id", *_RANKING}:
        for individual, value in zip(pop, table[key].tolist(), strict=True):
            if not math.isnan(value):
                individual.set(key, int(value) if key in _INTEGER_KEYS else value)
    return pop

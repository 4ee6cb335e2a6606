"""pymoo's NSGA-II and NSGA-III, and their baselines, behind ask and tell, with a state that can be saved and loaded.

The main loop of every search, ours or a user's own:

    optimizer = Optimizer(problem, pop_size=20, seed=1)
    while optimizer.n_asked < 200:
        for candidate in optimizer.ask():
            optimizer.tell(candidate.id, train(candidate.configuration))
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any, Literal, get_args

import numpy as np
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.termination import NoTermination

from evo_moo.errors import JobError, StateError
from evo_moo.optimizer.algorithms import (
    EVOLUTIONARY,
    PARETO,
    AlgorithmName,
    Array,
    dump_algorithm,
    load_algorithm,
    make_algorithm,
    members_of,
    rows_of,
)
from evo_moo.optimizer.candidate import Candidate, checked_outcome
from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metrics
from evo_moo.problem.search_problem import SearchProblem, pymoo_shape
from evo_moo.space.designs import Design, GridDesign, GridPoints, SobolDesign, grid_faults, new_rows
from evo_moo.space.operators import RowDuplicateElimination, SpaceSampling, space_operators
from evo_moo.space.search_space import Method

Mode = Literal["generational", "steady-state"]
STATE_FORMAT = 2
FILLING_ROUNDS, FILLING_DRAWS = 20, 1000


class Optimizer:
    """NSGA-II, NSGA-III, or a baseline to compare them with, over a problem's space.

    Generational, it asks for a population at a time and selects once all of it is told; on a plain continuous
    pymoo problem it then makes the very populations that ``pymoo.optimize.minimize`` makes with the same seed.
    Steady-state, it asks for a new candidate at any time, made of all that is told by then, and each outcome is
    selected upon at once. Outside plain problems it uses operators of its own for mixed and conditional spaces,
    and never asks for a configuration twice.

    Args:
        problem: The problem; it is never evaluated here.
        algorithm: ``"nsga2"`` (Deb et al. 2002), ``"nsga3"`` (Deb and Jain 2014), or a baseline:
            ``"weighted-sum"`` or ``"tchebycheff"``, a sweep of weight vectors over the objectives; ``"random"``,
            ``"sobol"`` (one sequence throughout) or ``"grid"``, which do not learn. The population of these three
            is the best so far, as NSGA-II selects it; it decides nothing.
        pop_size: Size of the population; by default 100 on a plain pymoo problem, else 20.
        seed: Seed of every random choice.
        goals: Objectives and limits; by default the problem's own.
        sampling: How the first population is drawn: ``"random"``, ``"lhs"`` or ``"sobol"``.
        start: Configurations that the first population begins with.
        mode: ``"generational"`` or ``"steady-state"``.
        grid_points: Values of a grid, as in ``GridDesign``.

    Attributes:
        generation: Number of generations that ended; steady-state, one ends with every ``pop_size`` outcomes.
        n_asked: Number of candidates given so far.
        exhausted: Whether the space, or the grid, has no new configuration left.

    Raises:
        JobError: Some argument is wrong; all faults are listed.
        SpaceError: A configuration of ``start`` does not fit the space.
    """

    _may_be_plain = True
    learns = False
    """Whether there are models, which learn of candidates that are left out."""
    repeats = False
    """Whether a configuration may be asked for again, as another candidate."""

    def __init__(
        self,
        problem: SearchProblem,
        algorithm: AlgorithmName = "nsga2",
        pop_size: int | None = None,
        seed: int = 1,
        goals: Goals | None = None,
        sampling: Method = "random",
        start: Sequence[Mapping[str, Any]] = (),
        mode: Mode = "generational",
        grid_points: GridPoints | None = None,
    ) -> None:
        faults = _faults(problem, algorithm, pop_size, seed, mode, grid_points)
        if faults:
            raise JobError(*faults)
        self.space, self.goals = problem.space, goals or problem.goals
        as_pymoo = problem.is_plain and self._may_be_plain and algorithm in PARETO
        self.pop_size = pop_size or default_pop_size(as_pymoo)
        self.name, self.mode = algorithm, mode
        operators = {} if as_pymoo else space_operators(self.space)
        if not as_pymoo or sampling != "random" or start:
            operators["sampling"] = SpaceSampling(self.space, sampling, start)
        self._start = [row.tobytes() for row in self.space.encode(start)]
        self._size = self.space.size()
        self._grid_points, self._position = grid_points, 0
        self._design = self._design_of(seed)
        self._seen: RowDuplicateElimination | None = operators.get("eliminate_duplicates")
        self._algorithm = make_algorithm(algorithm, len(self.goals.objectives), self.pop_size, operators)
        self._shape = Problem(**pymoo_shape(self.space, self.goals))
        self._algorithm.setup(self._shape, termination=NoTermination(), seed=seed)
        self.generation = self.n_asked = self._n_told = 0
        self.exhausted = False
        # Made and not yet selected upon; those from `n_asked` on are not given yet.
        self._open: dict[int, tuple[Candidate, Any]] = {}
        self._told: dict[int, Metrics | None] = {}

    @property
    def pending(self) -> list[Candidate]:
        """Candidates that were given and are not told yet."""
        return [c for key, (c, _) in self._open.items() if key <= self.n_asked and key not in self._told]

    @property
    def n_waiting(self) -> int:
        """Number of candidates of the present generation that were not given yet."""
        return sum(key > self.n_asked for key in self._open)

    def n_within(self, n_evals: int) -> int:
        """Return how many more candidates may be asked for until there are so many."""
        return max(0, n_evals - self.n_asked)

    @property
    def is_settled(self) -> bool:
        """Whether a generation, or in steady state an outcome, has just been selected upon: a moment to save."""
        return not (self._told if self.mode == "steady-state" else self._open)

    def ask(self, n: int | None = None) -> list[Candidate]:
        """Return up to ``n`` candidates, by default what is left of the generation, or one in steady state.

        Generational, the list is empty while outcomes of the generation are awaited. In both modes it stays empty
        once the space has no new configuration left (``exhausted``).
        """
        given: list[Candidate] = []
        while not self.exhausted and (n is None or len(given) < n):
            if self.n_asked + 1 not in self._open:
                if (self.mode == "generational" and self._open) or (n is None and given):
                    break
                self._make_candidates()
                continue
            self.n_asked += 1
            given.append(self._open[self.n_asked][0])
            if n is None and self.mode == "steady-state":
                break
        return given

    def tell(self, candidate: int | Candidate, metrics: Mapping[str, float] | None) -> None:
        """Report the outcome of a candidate; with the last of a generation, selection takes place.

        Args:
            candidate: The candidate or its id.
            metrics: The metrics. None: the evaluation failed, and the candidate is left out of selection.
                Without the objectives: the candidate breaks a limit and was not evaluated further.

        Raises:
            StateError: No such candidate is awaited.
            MetricError: A metric is no finite number, or an objective is missing.
        """
        candidate_id = candidate.id if isinstance(candidate, Candidate) else candidate
        if candidate_id not in self._open or candidate_id > self.n_asked or candidate_id in self._told:
            raise StateError(f"a told candidate must be awaited, but {candidate_id} is not")
        self._told[candidate_id] = checked_outcome(self.goals, metrics)
        self._n_told += 1
        if self.mode == "steady-state" or len(self._told) == len(self._open):
            self._select()

    def leave_out(self, candidate: int, estimate: Metrics | None) -> None:
        """Report that a candidate is not evaluated to the end; a guess of its metrics is for models."""
        self.tell(candidate, None)

    def population_ids(self) -> list[int]:
        """Return the evaluation ids of the current population."""
        return [individual.data["id"] for individual in members_of(self._algorithm.pop)]

    def optimum_ids(self) -> list[int]:
        """Return the evaluation ids of what pymoo reports as the optimum of the current population."""
        return [individual.data["id"] for individual in members_of(self._algorithm.opt)]

    def dump(self, with_seen: bool = True) -> dict[str, Any]:
        """Return the complete state as plain data and arrays.

        After ``load`` of it, the same asks and tells give the same candidates as without.

        Args:
            with_seen: Whether to include the rows already asked, ``(n_asked, n_var)``; a caller that keeps
                them elsewhere passes them to ``load``.
        """
        candidates = [candidate for candidate, _ in self._open.values()]
        return {
            "kind": self._kind(),
            "algorithm": dump_algorithm(self._algorithm),
            "generation": self.generation,
            "n_asked": self.n_asked,
            "n_told": self._n_told,
            "open": [
                [c.id, c.generation, c.origin, c.parents, c.prediction, c.replicate, c.continues] for c in candidates
            ],
            "open_X": rows_of([individual for _, individual in self._open.values()], self.space.n_var),
            "told": {str(key): metrics for key, metrics in self._told.items()},
            "exhausted": self.exhausted,
            "design": [self._design_seed, self._position] if self._design is not None else None,
            "seen": self._seen.rows() if self._seen and with_seen else None,
        }

    def take_decisions(self) -> list[dict[str, Any]]:
        """Return the decisions on how to search since the last call, as plain data; the algorithms make none."""
        return []

    def recall(self, outcomes: Iterable[tuple[int, Array, Metrics | None]]) -> None:
        """Take in what was told before the state to load was dumped: id, ``(n_var,)`` row and metrics.

        The algorithms themselves keep all that they need in their state.
        """

    def load(self, state: Mapping[str, Any], seen: Array | None = None) -> None:
        """Go on from a dumped state.

        Args:
            state: What ``dump`` gave.
            seen: ``(n, n_var)`` array of the rows already asked, if the state was dumped without them.

        Raises:
            StateError: The state is of another format, algorithm or shape.
        """
        if state.get("kind") != self._kind():
            raise StateError(f"a state must be of the kind {self._kind()}, but is of {state.get('kind')}")
        load_algorithm(self._algorithm, state["algorithm"])
        self.generation, self.n_asked, self._n_told = state["generation"], state["n_asked"], state["n_told"]
        self.exhausted = state["exhausted"]
        if self._design is not None:
            seed, self._position = state["design"]
            self._design = self._design_of(seed)
        self._open = {}
        self._open_up(Population.new(X=state["open_X"]) if state["open"] else Population.empty(), state["open"])
        self._told = {int(key): metrics for key, metrics in state["told"].items()}
        if self._seen is not None:
            self._seen.seen.clear()
            self._seen.remember(seen if seen is not None else state["seen"])
            self._seen.remember(state["open_X"])

    def _kind(self) -> list[Any]:
        goals = self.goals
        return [
            STATE_FORMAT,
            self.name,
            self.mode,
            self.pop_size,
            self.space.n_var,
            len(goals.objectives),
            len(goals.inequalities),
            len(goals.equalities),
            *([len(self._design)] if isinstance(self._design, GridDesign) else []),
        ]

    def _design_of(self, seed: int) -> Design | None:
        """Lay out what a baseline asks, if it is one with a design."""
        self._design_seed = seed
        if self.name == "grid":
            return GridDesign(self.space, seed, self._grid_points)
        return SobolDesign(self.space, seed) if self.name == "sobol" else None

    def _make_candidates(self) -> None:
        """Make the next generation, or in steady state, once there is a population, the next candidate."""
        algorithm, wanted = self._algorithm, self.pop_size
        if self.mode == "steady-state" and self.n_asked:
            wanted = 1
        if self.name not in EVOLUTIONARY:
            made = self._designed(wanted)
        elif wanted == 1:
            made = self._offspring(1)
        else:
            made = algorithm.ask()
            algorithm.termination.force_termination = False
        self._take(made if made is not None else Population.empty(), wanted)

    def _designed(self, wanted: int) -> Population:
        """Return the configurations to begin with, then the next new rows of the design; random ones are filled up."""
        rows = list(dict.fromkeys(self._start)) if self.n_asked == 0 else []
        if self._design is not None:
            are_new = self._seen.are_new  # type: ignore[union-attr]
            wanted = min(wanted, self._left_in_space())
            new, self._position = new_rows(self._design, self._position, wanted, rows, are_new)
            rows += new
        X = np.frombuffer(b"".join(rows)).reshape(-1, self.space.n_var)
        return Population.new(X=X.copy()) if rows else Population.empty()

    def _offspring(self, n: int) -> Population:
        """Mate members of the population, if there are any."""
        algorithm = self._algorithm
        if len(members_of(algorithm.pop)) < 2:
            return Population.empty()
        return algorithm.mating.do(
            self._shape, algorithm.pop, n, algorithm=algorithm, random_state=algorithm.random_state
        )

    def _take(self, made: Population, wanted: int) -> None:
        """Make candidates of individuals, and of random rows for those that are missing."""
        if self.name != "grid":
            made = self._filled_up(made, wanted)
        if self._seen is not None:
            self._seen.remember(rows_of(made, self.space.n_var))
        self.exhausted = len(made) == 0
        generation = (self.n_asked // self.pop_size if self.mode == "steady-state" else self.generation) + 1
        self._open_up(made, [(self.n_asked + i, generation, *self._origin(child)) for i, child in enumerate(made, 1)])

    def _origin(self, individual: Any) -> tuple[Any, ...]:
        """Return how an individual came about and its parents; more, if any, in the order of ``_open_up``."""
        if parents := individual.data.get("parents"):
            return "mating", parents
        return "start" if individual.X.tobytes() in self._start else "sample", ()

    def _filled_up(self, made: Population, wanted: int) -> Population:
        """Add new random rows where mating found too few, as it does in a small space or around a dense front."""
        if self._seen is None and len(made):
            return made
        wanted = min(wanted, self._left_in_space())
        for _ in range(FILLING_ROUNDS):
            missing = wanted - len(made)
            if missing <= 0:
                break
            drawn = Population.new(X=self.space.sample(FILLING_DRAWS, self._algorithm.random_state))
            new = drawn if self._seen is None else self._seen.do(drawn, made)
            made = Population.merge(made, new[:missing])
        missing = wanted - len(made)
        if missing > 0 and self._seen is not None and self.space.grid.all() and not grid_faults(self.space, None):
            # Draws miss the last few configurations of a finite space; it is used up only when all were asked.
            every = GridDesign(self.space, int(self._algorithm.random_state.integers(2**32)))
            rest = self._seen.do(Population.new(X=every.rows(0, len(every))), made)
            made = Population.merge(made, rest[:missing])
        return made

    def _left_in_space(self) -> int:
        """Return the most configurations that were not asked yet, so that nobody looks for more."""
        n_asked = len(self._seen.seen) if self._seen is not None else 0
        return int(min(self._size - n_asked, sys.maxsize))

    def _open_up(self, made: Population, facts: Sequence[Sequence[Any]]) -> None:
        """Take candidates in, told of each: id, generation, origin, parents, and where known what ``more`` names."""
        X = rows_of(made, self.space.n_var)
        for i, configuration in enumerate(self.space.decode(X) if len(X) else []):
            key, generation, origin, parents, *rest = facts[i]
            more = dict(zip(("prediction", "replicate", "continues"), rest, strict=False))
            candidate = Candidate(key, generation, configuration, X[i], origin, tuple(parents), **more)
            self._open[key] = candidate, made[i]

    def _select(self) -> None:
        """Let the algorithm select upon what was told: a generation, or in steady state one candidate."""
        told = [(self._open.pop(key)[1], key, self._told.pop(key)) for key in sorted(self._told)]
        kept = [(individual, key, metrics) for individual, key, metrics in told if metrics is not None]
        if kept:
            F, G, H = (np.array(rows) for rows in self.goals.matrices([metrics for _, _, metrics in kept]))
            for k, (individual, key, _) in enumerate(kept):
                individual.F, individual.G, individual.H = F[k], G[k], H[k]
                individual.data["id"] = key
            infills = Population([individual for individual, _, _ in kept])
            if self.mode == "generational":
                self._algorithm.tell(infills)
            else:
                self._survive(infills)
        self.generation = self._n_told // self.pop_size if self.mode == "steady-state" else self.generation + 1

    def _survive(self, infills: Population) -> None:
        algorithm = self._algorithm
        merged = Population.merge(algorithm.pop if algorithm.pop is not None else Population.empty(), infills)
        algorithm.pop = algorithm.survival.do(
            self._shape, merged, n_survive=self.pop_size, algorithm=algorithm, random_state=algorithm.random_state
        )
        algorithm.is_initialized = True
        algorithm._set_optimum()


def default_pop_size(as_pymoo: bool) -> int:
    """Return the size of a population: pymoo's own where the search is pymoo's, else one for trainings."""
    return 100 if as_pymoo else 20


def _faults(problem: Any, algorithm: Any, pop_size: Any, seed: Any, mode: Any, grid_points: Any) -> list[str]:
    faults = []
    if not isinstance(problem, SearchProblem):
        faults.append(f"`problem` must be a SearchProblem, but is {problem!r}; evo_moo.plugins.load_problem builds one")
    for name, value, known in (("algorithm", algorithm, AlgorithmName), ("mode", mode, Mode)):
        if value not in get_args(known):
            faults.append(f"`{name}` must be one of {', '.join(get_args(known))}, but is {value!r}")
    if pop_size is not None and (not isinstance(pop_size, Integral) or pop_size < 4):
        faults.append(f"`pop_size` must be a whole number of at least 4, but is {pop_size!r}")
    if not isinstance(seed, Integral) or seed < 0:
        faults.append(f"`seed` must be a whole number of at least 0, but is {seed!r}")
    if grid_points is not None and algorithm != "grid":
        faults.append(f"`grid_points` must go with algorithm = 'grid', but it is {algorithm!r}")
    return faults

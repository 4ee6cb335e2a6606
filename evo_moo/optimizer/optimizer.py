"""pymoo's NSGA-II and NSGA-III, and their baselines, behind ask and tell, with a state that can be saved and loaded.

The main loop of every search, ours or a user's own:

    optimizer = Optimizer(problem, pop_size=20, seed=1)
    while optimizer.n_asked < 200:
        for candidate in optimizer.ask():
            optimizer.tell(candidate.id, train(candidate.configuration))
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pymoo.core.population import Population

from evo_moo.errors import JobError, StateError
from evo_moo.optimizer.algorithms import AlgorithmName, Array, rows_of
from evo_moo.optimizer.arguments import argument_faults, default_pop_size, is_pymoos, object_of
from evo_moo.optimizer.candidate import TOLD, Candidate, Outcome, OutcomeCheck, awaited_id, check_kind
from evo_moo.optimizer.fresh_rows import FreshRows
from evo_moo.optimizer.given_algorithm import Given, described, is_given, replaces_members
from evo_moo.optimizer.given_evolution import evolution_of, source_of
from evo_moo.optimizer.open_candidates import Ended, OpenCandidates
from evo_moo.optimizer.pace import Mode, Pace
from evo_moo.optimizer.protocol import Decision, EndedRow
from evo_moo.optimizer.source import Made, Scene, Source
from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metrics
from evo_moo.problem.points import Key, Offered, Point
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.space.completion import completed
from evo_moo.space.designs import GridPoints
from evo_moo.space.operators import SpaceSampling, space_operators
from evo_moo.space.unit_points import Method

STATE_FORMAT = 2


class Optimizer:
    """NSGA-II, NSGA-III, or a baseline to compare them with, over a problem's space.

    Generational, it asks for a population at a time and selects once every outcome of it is known; on a plain
    continuous pymoo problem it then makes the very populations that ``pymoo.optimize.minimize`` makes with the same
    seed. Steady-state, it asks for a new candidate at any time, made of all outcomes known by then, and selects upon
    each outcome at once. Outside plain problems it uses operators of its own for mixed and conditional spaces, and
    never asks for a configuration twice.

    Args:
        problem: The problem; it is never evaluated here.
        algorithm: ``"nsga2"`` (Deb et al. 2002), ``"nsga3"`` (Deb and Jain 2014); another of pymoo's, by name or as an
            object, see ``GivenEvolution``; or a baseline:
            ``"weighted-sum"`` or ``"tchebycheff"``, a sweep of weight vectors over the objectives; ``"random"``,
            ``"sobol"`` (one sequence throughout) or ``"grid"``, which do not learn. The population of these three
            is the best so far, as NSGA-II selects it; it decides nothing.
        pop_size: Size of the population; by default 100 on a plain pymoo problem, else 20.
        seed: Seed of every random choice.
        goals: Objectives and limits; by default the problem's own.
        sampling: How the first population is drawn: ``"random"``, ``"lhs"`` or ``"sobol"``.
        start: Configurations that the first population begins with; values that are missing are drawn.
        mode: ``"generational"`` or ``"steady-state"``.
        grid_points: Values of a grid, as in ``GridDesign``.
        source: Makes the candidates after the first population; by default the algorithm itself.

    Attributes:
        generation: Number of generations that ended; steady-state, one ends with every ``pop_size`` outcomes.
        n_asked: Number of candidates asked for, or told, so far.
        exhausted: Whether the space, or the grid, has no new configuration left.
        learns: Whether there are models, which learn of candidates that are left out.
        replicates: Whether a configuration may be asked for again, as another candidate.
        checked: Checks what is told of a configuration.

    Raises:
        JobError: Some argument is wrong; all faults are listed.
        SpaceError: A configuration of ``start`` does not fit the space.
    """

    def __init__(
        self,
        problem: SearchProblem,
        algorithm: AlgorithmName | Given = "nsga2",
        pop_size: int | None = None,
        seed: int = 1,
        goals: Goals | None = None,
        sampling: Method = "random",
        start: Sequence[Mapping[str, Any]] = (),
        mode: Mode = "generational",
        grid_points: GridPoints | None = None,
        source: Source | None = None,
    ) -> None:
        if faults := argument_faults(problem, algorithm, pop_size, seed, mode, grid_points, goals):
            raise JobError(*faults)
        self.space, self.goals = problem.space, goals or problem.goals
        point_space = problem.point_space if problem.post_training else None
        self.checked = OutcomeCheck(self.goals, point_space, problem.by_context)
        start = [completed(self.space, given, seed) for given in start]
        as_pymoo = problem.is_plain and source is None and is_pymoos(algorithm)
        self.name: str = described(algorithm) if is_given(algorithm) else algorithm
        self.pop_size = pop_size or default_pop_size(as_pymoo)
        algorithm = object_of(algorithm, len(self.goals.objectives), self.pop_size)
        self.pop_size = getattr(algorithm, "pop_size", self.pop_size)
        operators = {} if as_pymoo else space_operators(self.space)
        if not as_pymoo or sampling != "random" or start:
            operators["sampling"] = SpaceSampling(self.space, sampling, start)
        if replaces_members(algorithm):
            operators.pop("eliminate_duplicates", None)
        self._start = [row.tobytes() for row in self.space.encode(start)]
        self._fresh = FreshRows(self.space, operators.get("eliminate_duplicates"))
        self._evolution = evolution_of(algorithm, problem, self.goals, self.pop_size, operators, seed)
        self.mode, self._pace = mode, Pace(mode, self.pop_size, self._evolution.one_by_one)
        self._source = source or source_of(algorithm, self.space, seed, self._start, grid_points)
        self.learns, self.replicates = self._source.learns, self._source.replicates
        n_goals = len(self.goals.objectives), len(self.goals.inequalities), len(self.goals.equalities)
        shape = STATE_FORMAT, self.name, mode, self.pop_size, self.space.n_var, *n_goals
        self._kind = [*shape, *map(list, self.goals.contexts), *self._source.kind]
        self.generation = self.n_asked = self._n_told = self._n_known = 0
        self.exhausted, self._open = False, OpenCandidates(self.space)  # those beyond `n_asked` were not asked for yet

    @property
    def pending(self) -> list[Candidate]:
        """Candidates that were asked for and have no outcome yet."""
        return self._open.pending(self.n_asked)

    @property
    def n_waiting(self) -> int:
        """Number of candidates of the present generation that were not asked for yet."""
        return self._open.n_beyond(self.n_asked)

    @property
    def is_settled(self) -> bool:
        """Whether a generation, or in steady state an outcome, has just been selected upon: a moment to save."""
        return self._pace.is_settled(self._open.n_ended, len(self._open)) and self._evolution.is_settled

    def n_within(self, n_evals: int) -> int:
        """Return how many more candidates may be asked for until there are ``n_evals``."""
        return max(0, n_evals - (self.n_asked - self._n_known))

    def ask(self, n: int | None = None) -> list[Candidate]:
        """Return up to ``n`` candidates, by default what is left of the generation, or one in steady state.

        Generational, the list is empty while outcomes of the generation are awaited. In both modes it stays empty
        once the space has no new configuration left (``exhausted``).
        """
        most = 1 if n is None and self._pace.is_steady else n
        asked: list[Candidate] = []
        while not self.exhausted and (most is None or len(asked) < most):
            if self.n_asked + 1 in self._open:
                self.n_asked += 1
                asked.append(self._open[self.n_asked])
            elif self._pace.may_make(len(self._open)) and not (most is None and asked):
                self._make()
            else:
                break
        return asked

    def tell(self, candidate: int | Candidate | Mapping[str, Any], outcome: Outcome) -> Candidate | None:
        """Report the outcome of a candidate; with the last of a generation, selection takes place.

        Args:
            candidate: The candidate or its id; or a configuration that was measured elsewhere. It takes a place of the
                first population, if one is free, and counts in ``n_asked``, but not in ``n_within``.
            outcome: The metrics; of a problem with post-training variables a list of ``Point``. None: the evaluation
                failed, and is left out of selection. Metrics without the objectives: the candidate breaks a limit.

        Returns:
            The candidate that a configuration became; None where the candidate was known.

        Raises:
            StateError: No such candidate is awaited; or the configuration is not new, or candidates are not asked for.
            SpaceError: The configuration does not fit the space.
            MetricError: An objective is missing, or is no finite number.
        """
        if isinstance(candidate, Mapping):
            return self._take(candidate, outcome)
        key = self._awaited(candidate)
        self.end(key, self.checked(outcome, self._open[key].configuration))
        return None

    def end(self, candidate: int | Candidate, offered: Offered | None) -> None:
        """Report what a candidate offers, which was checked before; None: its evaluation failed."""
        self._open.record(self._awaited(candidate), offered)
        self._n_told += 1
        if self._pace.is_complete(self._open.n_ended, len(self._open)):
            self._select()

    def _awaited(self, candidate: int | Candidate) -> int:
        return awaited_id(candidate, lambda key: key <= self.n_asked and self._open.is_awaited(key))

    def _take(self, configuration: Mapping[str, Any], outcome: Outcome) -> Candidate | None:
        """Take a configuration that was measured elsewhere."""
        x, offered = self.space.encode([configuration]), self.checked(outcome, dict(configuration))
        if awaited := [candidate for candidate in self.pending if candidate.x.tobytes() == x.tobytes()]:
            return self.tell(awaited[0], outcome)
        if self.n_waiting or not self._fresh.are_new(x)[0]:
            rule = "a told configuration must be new, and all candidates made before it asked for"
            raise StateError(f"{rule}, but {self.n_waiting} wait; it is {dict(configuration)}")
        generation = self._pace.generation(self.n_asked, self.generation) + 1
        self.n_asked, self._n_known = self.n_asked + 1, self._n_known + 1
        told = Candidate(self.n_asked, generation, self.space.decode(x)[0], x[0], TOLD, cost=0.0)
        self._fresh.remember(x)
        self._source.learn(told, offered)
        if offered is not None:
            self._evolution.add(Ended(told, Population.new(X=x)[0], offered))
        return told

    def leave_out(self, candidate: int | Candidate, estimate: Offered | None) -> None:
        """Report that a candidate is not evaluated to the end; models learn the estimate as if it was measured."""
        self._source.estimate(candidate.id if isinstance(candidate, Candidate) else candidate, estimate)
        self.end(candidate, None)

    def stop(self, candidate: int | Candidate, expected: Metrics, share: float) -> None:
        """Report an evaluation that was stopped early: the candidate is left out."""
        self.leave_out(candidate, {0: Point({}, expected)})

    def revise(self, outcomes: Iterable[EndedRow]) -> None:
        """Take better measured metrics of evaluations that were reported before.

        Args:
            outcomes: Ids, rows and what they offer.
        """
        ended = list(outcomes)
        self._source.recall(o for o in ended if o[0] not in self._open)
        known: dict[int, Offered] = {}
        for key, x, offered in ended:
            if self._open.is_ended(key):
                self._open.record(key, offered)
            elif offered is not None:
                # The population has the mean of what was repeated, under the id of the first evaluation.
                known[self._source.first_of(key, x)] = self._source.mean(x) if self.replicates else offered
        self._evolution.revise(known)

    def restartable(self) -> tuple[list[int], list[int]]:
        """Return no evaluations: none continues from the weights of another."""
        return [], []

    def population_ids(self) -> list[Key]:
        """Return the ids of the evaluations, or the keys of the points, that are the current population."""
        return self._evolution.population_ids()

    def optimum_ids(self) -> list[Key]:
        """Return those of what pymoo reports as the optimum of the current population."""
        return self._evolution.optimum_ids()

    def take_decisions(self) -> list[Decision]:
        """Return the decisions on how to search since the last call; the algorithms make none."""
        return self._source.take_decisions()

    def dump(self, with_seen: bool = True) -> dict[str, Any]:
        """Return the complete state as plain data and arrays.

        After ``load`` of it, the same asks and tells give the same candidates as without.

        Args:
            with_seen: Whether to include which rows were already asked, and what models learnt of them; a caller that
                keeps them elsewhere passes them to ``load`` and ``recall``.
        """
        return {
            "kind": self._kind,
            "algorithm": self._evolution.dump(),
            "generation": self.generation,
            "n_asked": self.n_asked,
            "n_told": self._n_told,
            "n_known": self._n_known,
            "exhausted": self.exhausted,
            "seen": self._fresh.dump() if with_seen else None,
            **self._open.dump(),
            **self._source.dump(with_seen),
        }

    def load(self, state: Mapping[str, Any], seen: Iterable[Array] | None = None) -> None:
        """Continue from a dumped state.

        Args:
            state: What ``dump`` returned.
            seen: The ``(n_var,)`` rows already asked, if the state was dumped without them.

        Raises:
            StateError: The state is of another format, algorithm or shape.
        """
        check_kind(state, self._kind)
        self._evolution.load(state["algorithm"])
        self.generation, self.n_asked, self._n_told = state["generation"], state["n_asked"], state["n_told"]
        self._n_known = state.get("n_known", 0)  # of none, before there were any
        self.exhausted = state["exhausted"]
        self._open.load(state)
        self._fresh.load(state["seen"], state["open_X"], () if seen is None else seen)
        self._source.load(state)

    def recall(self, outcomes: Iterable[EndedRow]) -> None:
        """Learn again the outcomes known before a loaded state was dumped; the population has its own in the state."""
        # What ended later is reported again by ``tell``.
        self._source.recall(o for o in outcomes if o[0] <= self.n_asked and o[0] not in self._open)

    def _make(self) -> None:
        """Make the next candidates: a generation, a batch, or in steady state one."""
        n = self._source.n_wanted(self._pace.n_wanted(self.n_asked, self._n_known), self.n_asked)
        rows = self._fresh.new_of(self._start if self.n_asked == self._n_known else ())
        if len(rows) > max(self.pop_size - self._n_known, 0):  # a first population has no place for all of them
            made, how = Population.new(X=rows), [Made("start")] * len(rows)
        else:
            made, how = self._source.make(n, Scene(self._evolution, self._fresh, self.n_asked, self.pending))
            if self._source.fills_up:
                made = self._fresh.filled_up(made, n, self._evolution.random_state)
        self._fresh.remember(rows_of(made, self.space.n_var))
        self.exhausted = len(made) == 0
        generation = self._pace.generation(self.n_asked, self.generation) + 1
        how = [*how, *(Made.of(individual, self._start) for individual in made[len(how) :])]
        facts = enumerate((one._asdict() for one in how), self.n_asked + 1)
        self._open.add(made, ({"id": key, "generation": generation, **fields} for key, fields in facts))

    def _select(self) -> None:
        """Let the algorithm select upon the outcomes: those of a generation, or in steady state one."""
        ended = self._open.take_ended()
        for candidate, _, offered in ended:
            self._source.learn(candidate, offered)
        succeeded = [one for one in ended if one.offered is not None]
        for candidate, *_ in succeeded:
            if candidate.continues:
                self._evolution.update(candidate.continues, self._source.mean(candidate.x))
        self._evolution.select([one for one in succeeded if not one.candidate.continues], steady=self._pace.is_steady)
        self.generation = self._pace.generation(self._n_told, self.generation + 1)

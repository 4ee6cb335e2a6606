"""When a search ends: at a limit of its budget, or by a rule where it no longer gets better.

A rule sees one generation after the other as the ledger holds it: the population and pymoo's optimum of it. So a
run that is resumed ends at the generation at which it would have ended in one go.
"""

import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.termination import Termination
from pymoo.termination.default import DefaultMultiObjectiveTermination, DefaultSingleObjectiveTermination
from pymoo.termination.ftol import MultiObjectiveSpaceTermination, SingleObjectiveSpaceTermination
from pymoo.termination.robust import RobustTermination
from pymoo.termination.xtol import DesignSpaceTermination

from evo_moo.job.budget import Budget, StopWhen
from evo_moo.optimizer.protocol import AskTell
from evo_moo.problem.encoded_problem import encoded_problem
from evo_moo.problem.fronts import Fronts
from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metrics
from evo_moo.problem.points import Key
from evo_moo.space.search_space import SearchSpace
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.ledger import Ledger
from evo_moo.storage.run_boxes import Boxes


class _Generation(NamedTuple):
    number: int
    n_asked: int
    population: Population
    optimum: Population
    best: list[Metrics]
    boxes: Boxes


class StopWatch:
    """Follows the generations of a ledger until a rule ends the search.

    Args:
        settings: The rule; None never ends a search.
        goals: Objectives and limits.
        space: The space, whose bounds normalise the variables.

    Attributes:
        reason: Why the search has to end; empty if it goes on.
    """

    def __init__(self, settings: StopWhen | None, goals: Goals, space: SearchSpace) -> None:
        self.reason, self._goals, self._seen = "", goals, 0
        self._rule: _HypervolumeStalls | _PymooRule | None = None
        if settings is not None and settings.rule == "hypervolume stalls":
            self._rule = _HypervolumeStalls(settings, goals)
        elif settings is not None:
            self._rule = _PymooRule(settings, encoded_problem(space, goals))

    def follow(self, ledger: Ledger) -> None:
        """Apply the rule to the generations of the ledger that are new."""
        if self._rule is None:
            return
        boxes = ledger.facts().boxes_of(self._goals)
        for number, n_asked, population, optimum in ledger.generations(self._seen):
            if self.reason:
                return
            by_key = {e.id: e for e in ledger.of_ids([*population, *optimum])}
            members = self._members(population, by_key), self._members(optimum, by_key)
            best = [by_key[key].metrics for key in optimum]
            reason = self._rule.see(_Generation(number, n_asked, *members, best, boxes))
            self.reason = f"{reason} at generation {number}" if reason else ""
            self._seen = number

    def _members(self, keys: list[Key], by_key: Mapping[Key, Evaluation]) -> Population:
        if not keys:
            return Population.empty()
        F, G, H = self._goals.matrices([by_key[key].metrics for key in keys])
        return Population.new(X=np.array([np.frombuffer(by_key[key].x, dtype="<f8") for key in keys]), F=F, G=G, H=H)


class _HypervolumeStalls:
    """Ends a search when the hypervolume of the best so far grows by no more than a share of it.

    The best so far is the front of all generations' optima. The hypervolume is the run's, a share of its box, or with
    contexts the mean of those of all.
    """

    def __init__(self, settings: StopWhen, goals: Goals) -> None:
        self._tol = 0.001 if settings.tol is None else settings.tol
        self._period = settings.period or 10
        self._fronts = Fronts(goals)
        self._volumes: list[float] = []

    def see(self, generation: _Generation) -> str:
        """Return the reason to stop at the next generation; empty where the search goes on."""
        boxes = [None if each is None or generation.number < each.generation else each.box for each in generation.boxes]
        if not any(boxes):
            return ""
        self._fronts.add(generation.best)
        self._volumes = [*self._volumes[-self._period :], self._fronts.share(boxes)]
        growth = self._volumes[-1] - self._volumes[0]
        if len(self._volumes) <= self._period or self._volumes[-1] == 0 or growth > self._tol * self._volumes[-1]:
            return ""
        share = growth / self._volumes[-1]
        return (
            f"hypervolume stalls: it grew by {share:.3g} of itself over {self._period} generations, "
            f"no more than {self._tol:g},"
        )


class _PymooRule:
    """One of pymoo's terminations, which sees each generation as the algorithm that it expects."""

    def __init__(self, settings: StopWhen, problem: Problem) -> None:
        self._problem = problem
        given = {key: value for key in ("period", "n_skip") if (value := getattr(settings, key)) is not None}
        self._termination, self._words = _pymoo_termination(settings, problem.n_obj == 1, {"n_skip": 5} | given)

    def see(self, generation: _Generation) -> str:
        """Return the reason to stop at the next generation; empty where the search goes on."""
        if not len(generation.optimum):
            return ""
        algorithm = SimpleNamespace(
            problem=self._problem,
            opt=generation.optimum,
            n_gen=generation.number,
            evaluator=SimpleNamespace(n_eval=generation.n_asked),
        )
        return self._words if self._termination.update(algorithm) >= 1 else ""


def _pymoo_termination(settings: StopWhen, single: bool, given: dict[str, int]) -> tuple[Termination, str]:
    if settings.rule == "default":
        kind = DefaultSingleObjectiveTermination if single else DefaultMultiObjectiveTermination
        given = {key: given[key] for key in given.keys() - ({"n_skip"} if single else set())}
        return kind(**given), "pymoo's default termination"
    period = given.pop("period", 20)
    if settings.rule == "xtol":
        kind, tol = DesignSpaceTermination, 0.005
    else:
        kind, tol = (SingleObjectiveSpaceTermination, 1e-6) if single else (MultiObjectiveSpaceTermination, 0.005)
    tol = tol if settings.tol is None else settings.tol
    return RobustTermination(kind(tol=tol, **given), period), f"{settings.rule} of {tol:g} over {period} generations"


class BudgetWatch:
    """Follows a search until one limit of its budget is reached.

    Args:
        budget: The limits.
        optimizer: The search.
    """

    def __init__(self, budget: Budget, optimizer: AskTell) -> None:
        self.budget, self._optimizer = budget, optimizer
        self._stop_watch = StopWatch(budget.stop_when, optimizer.goals, optimizer.space)
        self._clock = time.monotonic()

    def resume(self, ledger: Ledger) -> None:
        """Count on from what the ledger says was spent before."""
        self._clock = time.monotonic() - ledger.facts().elapsed_s
        self.generation_ended(ledger)

    def generation_ended(self, ledger: Ledger) -> None:
        """See the generations that are new in the ledger."""
        self._stop_watch.follow(ledger)

    @property
    def elapsed_s(self) -> float:
        """Seconds of searching, summed over resumes."""
        return time.monotonic() - self._clock

    def left(self, most: int) -> int:
        """Return how many more evaluations may be asked for, at most ``most``."""
        n_evals = self.budget.n_evals
        if self.spent():
            return 0
        return most if n_evals is None else min(most, self._optimizer.n_within(n_evals))

    def spent(self) -> str:
        """Return in words which limit is reached; empty if none is."""
        budget = self.budget
        if budget.n_evals is not None and not self._optimizer.n_within(budget.n_evals):
            return f"n_evals = {budget.n_evals} is reached"
        if budget.n_gen is not None and self._optimizer.generation >= budget.n_gen:
            return f"n_gen = {budget.n_gen} is reached"
        if budget.time_s is not None and self.elapsed_s >= budget.time_s:
            return f"time = {budget.time_s:g} s is spent"
        return self._stop_watch.reason

    def why_finished(self) -> str:
        """Return in words why nothing is left to do."""
        where = "grid" if self._optimizer.name == "grid" else "space"
        return self.spent() or f"the {where} has no new configuration left"

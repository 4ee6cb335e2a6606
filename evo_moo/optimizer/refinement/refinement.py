"""Short trainings first: an optimizer whose candidates climb a ladder of fidelities.

The inner optimizer proposes configurations and knows nothing of rungs. Each begins on the lowest rung; the best share
of what ended there is promoted to the next, and so on (``rungs``, ``promotions``). The inner optimizer learns the
metrics of those that reach the top, and of the others only that they are left out: so its population, and the front,
hold full evaluations only.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evo_moo.errors import StateError, UsageError
from evo_moo.optimizer.algorithms import Array
from evo_moo.optimizer.candidate import Candidate, Outcome, awaited_id, check_kind
from evo_moo.optimizer.optimizer import Optimizer
from evo_moo.optimizer.protocol import Decision, EndedRow
from evo_moo.optimizer.refinement.extrapolation import Extrapolation
from evo_moo.optimizer.refinement.ladder import Ladder, Step
from evo_moo.optimizer.refinement.promotions import GenerationalPromotions, SteadyStatePromotions
from evo_moo.problem.metrics import Metric, Metrics
from evo_moo.problem.points import Key, Offered, key_of, of_state, place_of_key, to_state

STATE_FORMAT = 1


class Refinement:
    """Asks for short evaluations first, and for longer ones of what deserves it.

    It stands where an ``Optimizer`` does, with the same ask and tell; ids count evaluations on all rungs.

    Args:
        inner: Proposes the configurations.
        rungs: Growing fidelities, the last one full.
        eta: One in so many is promoted from each rung.
        replicates: Number of trainings, each with a seed of its own, of a candidate on the front; the inner optimizer
            learns their mean.
        continues: Whether the problem goes on from saved weights, so that a rung costs only what it adds.
        metrics: The problem's metrics: what breaks a limit on a ``cheap`` one is not promoted.
        seed: Decides which promotions are drawn at random.

    Raises:
        UsageError: The inner optimizer would replicate evaluations by itself.
    """

    def __init__(
        self,
        inner: Optimizer,
        rungs: Sequence[int],
        eta: int = 4,
        replicates: int = 1,
        *,
        continues: bool,
        metrics: Mapping[str, Metric],
        seed: int = 1,
    ) -> None:
        if inner.replicates:
            raise UsageError(
                "`inner` must leave replicates to the refinement, but repeats; build it with repeats=False"
            )
        self.inner, self.name = inner, inner.name
        self.space, self.goals, self.pop_size, self.mode = inner.space, inner.goals, inner.pop_size, inner.mode
        self._kind = ["refinement", STATE_FORMAT, list(rungs), eta, replicates, continues]
        self._rules = eta, replicates, inner.pop_size, seed
        cheap = {name for name, metric in metrics.items() if metric.cheap}
        self._start(Ladder(self.goals, rungs, cheap, continues))

    def _start(self, ladder: Ladder) -> None:
        kind = GenerationalPromotions if self.mode == "generational" else SteadyStatePromotions
        self._ladder, self._promotions, self._extrapolation = ladder, kind(ladder, *self._rules), Extrapolation(ladder)
        self._open: dict[int, Candidate] = {}  # the inner optimizer's candidates that are not finished
        self._estimates: dict[int, Offered] = {}  # what is expected of those that were left out

    @property
    def n_asked(self) -> int:
        """Number of evaluations asked for so far, on all rungs."""
        return self._ladder.n_asked

    @property
    def generation(self) -> int:
        """Number of generations that ended."""
        return self.inner.generation

    @property
    def pending(self) -> list[Candidate]:
        """Evaluations that were asked for and have not ended."""
        return [self._evaluation(key) for key in self._ladder.awaited()]

    @property
    def is_settled(self) -> bool:
        """Whether now is a moment to save: at a generation's end, in steady state after every outcome."""
        return self.inner.is_settled and (self.mode == "steady-state" or not self._open)

    def n_within(self, n_evals: int) -> int:
        """Return 1 if the next evaluation keeps the cost within ``n_evals`` full ones, else 0."""
        self._promotions.prepare(self._open)
        return int(self._ladder.affords(n_evals))

    def ask(self, n: int | None = None) -> list[Candidate]:
        """Return up to ``n`` candidates; by default all that can be asked for now, or one in steady state."""
        asked: list[Candidate] = []
        most = 1 if n is None and self.mode == "steady-state" else n
        while most is None or len(asked) < most:
            self._promotions.prepare(self._open)
            step = self._ladder.next_planned()
            if step is None:
                if not (new := self.inner.ask(1)):
                    break
                self._open[new[0].id], step = new[0], Step(new[0].id)
            asked.append(self._evaluation(self._ladder.begin(step)))
        return asked

    def tell(self, candidate: int | Candidate | Mapping[str, Any], outcome: Outcome) -> Candidate | None:
        """Report the outcome of an evaluation; arguments and errors as for ``Optimizer.tell``.

        A configuration that was measured elsewhere counts as evaluated at full length.
        """
        if isinstance(candidate, Mapping):
            row = self.space.encode([candidate]).tobytes()
            told = None if row in {c.x.tobytes() for c in self._open.values()} else self.inner.tell(candidate, outcome)
            if told is None:
                raise StateError(f"a told configuration must be new, but {dict(candidate)} is being evaluated")
            return self._ladder.evaluation(
                self._ladder.take(told.id, self.inner.checked(outcome, dict(candidate))), told
            )
        key = awaited_id(candidate, self._ladder.is_awaited)
        configuration = self._open[self._ladder.step(key).candidate].configuration
        self._ladder.end(key, self.inner.checked(outcome, configuration))
        self._settle(key)
        return None

    def stop(self, candidate: int | Candidate, expected: Metrics, share: float) -> None:
        """Report that an evaluation was stopped early, since it would not reach the front: its candidate is left out.

        Args:
            candidate: The candidate or its id.
            expected: The metrics expected of its end; models learn them.
            share: Share of the evaluation that was done; it costs so much less.

        Raises:
            StateError: No such candidate is awaited.
        """
        key = awaited_id(candidate, self._ladder.is_awaited)
        self._ladder.stop(key, expected, share)
        self._settle(key)

    def revise(self, outcomes: Iterable[EndedRow]) -> None:
        """Take better measured metrics of evaluations that were reported before; arguments as for ``Optimizer``."""
        rows = {}
        for key, x, offered in outcomes:
            if offered is not None:
                self._ladder.revise(key, offered)
                rows[self._ladder.step(key).candidate] = x
        finished = ((key, x, self._outcome(key)) for key, x in sorted(rows.items()) if key not in self._open)
        self.inner.revise(finished)

    def population_ids(self) -> list[Key]:
        """Return the evaluations, or their points, of the current population, all of them on the top rung."""
        return self._on_the_ladder(self.inner.population_ids())

    def optimum_ids(self) -> list[Key]:
        """Return those of the optimum of the current population."""
        return self._on_the_ladder(self.inner.optimum_ids())

    def _on_the_ladder(self, keys: Iterable[Key]) -> list[Key]:
        """Return the keys of evaluations on the highest rung instead of those of the inner optimizer's candidates."""
        places = map(place_of_key, keys)
        return [key_of(self._ladder.standing(candidate).key, point) for candidate, point in places]

    def restartable(self) -> tuple[list[int], list[int]]:
        """Return the evaluations whose weights are needed now, and those that may be, the likeliest first."""
        return [*self._ladder.awaited(), *self._ladder.sources()], self._promotions.restartable(self._open)

    def take_decisions(self) -> list[Decision]:
        """Return the decisions since the last call: those of the inner optimizer, and where rungs are not trusted."""
        return [*self.inner.take_decisions(), *self._promotions.take_decisions()]

    def dump(self, with_seen: bool = True) -> dict[str, Any]:
        """Return the complete state; outcomes, which ``recall`` takes, are left out without ``with_seen``."""
        return {
            "kind": self._kind,
            "generation": self.generation,
            "n_asked": self.n_asked,
            "inner": self.inner.dump(with_seen),
            **self._ladder.dump(with_seen),
            "estimates": {str(candidate): to_state(offered) for candidate, offered in self._estimates.items()},
            "trusted": self._promotions.trusted,
        }

    def load(self, state: Mapping[str, Any], seen: Iterable[Array] | None = None) -> None:
        """Go on from a dumped state; one without outcomes is complete once ``recall`` has taken them.

        Raises:
            StateError: The state is of another ladder, or of another search.
        """
        check_kind(state, self._kind)
        self.inner.load(state["inner"], seen)
        self._start(self._ladder.loaded(state))
        self._estimates = {int(candidate): of_state(saved) or {} for candidate, saved in state["estimates"].items()}
        self._promotions.trusted = list(state["trusted"])
        self._open = {candidate.id: candidate for candidate in self.inner.pending}

    def recall(self, outcomes: Iterable[EndedRow]) -> None:
        """Learn again the outcomes that a loaded state was dumped without."""
        rows = {}
        for key, x, offered in outcomes:
            if self._ladder.lacks(key):
                self._ladder.end(key, offered)
                rows[self._ladder.step(key).candidate] = x
        self.inner.recall((key, x, self._outcome(key)) for key, x in sorted(rows.items()) if key not in self._open)

    def _evaluation(self, key: int) -> Candidate:
        return self._ladder.evaluation(key, self._open[self._ladder.step(key).candidate])

    def _settle(self, key: int) -> None:
        """Decide what follows from the end of an evaluation."""
        candidate = self._ladder.step(key).candidate
        for finished in self._promotions.settle(candidate, self._open, self.inner.n_waiting):
            self._close(finished)

    def _close(self, candidate: int) -> None:
        """Report to the inner optimizer what became of one of the candidates."""
        del self._open[candidate]
        standing = self._ladder.standing(candidate)
        is_left_out = standing.expected is not None or not (standing.is_top or standing.is_barred)
        if is_left_out and self.inner.learns:
            self._estimates[candidate] = self._extrapolation.expected(candidate)
        outcome = self._outcome(candidate)
        # Once something keeps the limits, what breaks them would only crowd the population.
        if is_left_out or (outcome is not None and not standing.is_top and self._ladder.compared(0)):
            self.inner.leave_out(candidate, outcome)
        else:
            self.inner.end(candidate, outcome)

    def _outcome(self, candidate: int) -> Offered | None:
        """Return what the inner optimizer learns of a finished candidate; None if it failed or was left out."""
        standing = self._ladder.standing(candidate)
        if standing.offered is None or not (standing.is_top or standing.is_barred):
            return self._estimates.get(candidate)
        if standing.is_top:
            return standing.offered if standing.is_barred else self._ladder.mean(candidate)
        # Of a training that was to go on, the population may know no objectives but those with limits.
        hidden = {o.metric for o in self.goals.objectives} - {limit.metric for limit in self.goals.limits}
        return {
            number: point._replace(metrics={k: value for k, value in point.metrics.items() if k not in hidden})
            for number, point in standing.offered.items()
        }

"""Short trainings first: an optimizer whose candidates climb a ladder of fidelities.

The inner optimizer proposes configurations and knows nothing of rungs. Each begins on the lowest rung; the best share
of what was seen there rises, and so on (``ladder``). The inner optimizer is told the metrics of those that reach the
top, and of the others only that they are left out: so its population, and the front, hold full evaluations only.

Generational, a rung is decided upon once all of the generation's candidates on it are told, and who does not rise
then is left out for good. So nothing depends on the number of workers. In steady state a candidate waits on its rung
until it rises, or until so many better ones wait there as the population has members.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evo_moo.errors import StateError, UsageError
from evo_moo.optimizer.algorithms import Array
from evo_moo.optimizer.candidate import Candidate, checked_outcome
from evo_moo.optimizer.ladder import Climbs, Step
from evo_moo.optimizer.optimizer import Optimizer
from evo_moo.optimizer.promotions import Promotions
from evo_moo.optimizer.protocol import Decision
from evo_moo.problem.metrics import Metric, Metrics

STATE_FORMAT = 1


class Refinement:
    """Asks for short evaluations first, and for longer ones of what deserves it.

    It stands where an ``Optimizer`` does, with the same ask and tell; ids count evaluations on all rungs.

    Args:
        inner: Proposes the configurations.
        rungs: Growing fidelities, the last one full.
        eta: One in so many rises from each rung.
        replicates: Number of trainings, each with a seed of its own, of what reaches the front; the inner optimizer is
            told their mean.
        continues: Whether the problem goes on from saved weights, so that a rung costs only what it adds.
        metrics: What the problem declares of its metrics: who breaks a limit on a ``cheap`` one never rises.
        seed: Decides which promotions are drawn at random.

    Raises:
        UsageError: The inner optimizer would repeat evaluations by itself.
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
                "`inner` must leave repetitions to the refinement, but repeats; build it with repeats=False"
            )
        self.inner, self.rungs, self._replicates, self._continues = inner, list(rungs), replicates, continues
        self.space, self.goals, self.pop_size, self.mode = inner.space, inner.goals, inner.pop_size, inner.mode
        self._eta, self._top = eta, len(self.rungs) - 1
        self._promotions = Promotions(eta, seed, len(self.rungs))
        self._cheap = {name for name, metric in metrics.items() if metric.cheap}
        self._climbs = self._new_climbs()
        self._queue: list[Step] = []  # decided, and not asked for yet
        self._open: dict[int, Candidate] = {}  # what the inner optimizer waits for
        self._estimates: dict[int, Metrics | None] = {}

    def _new_climbs(self) -> Climbs:
        return Climbs(self.goals, self.rungs, self._cheap, self._continues)

    @property
    def name(self) -> str:
        """Name of the algorithm."""
        return self.inner.name

    @property
    def n_asked(self) -> int:
        """Number of evaluations given so far, on all rungs."""
        return len(self._climbs.steps)

    @property
    def generation(self) -> int:
        """Number of generations that ended."""
        return self.inner.generation

    @property
    def cost(self) -> float:
        """What was asked for so far, in full evaluations."""
        return self._climbs.units / self.rungs[-1]

    @property
    def pending(self) -> list[Candidate]:
        """Evaluations that were given and are not told yet."""
        return [self._candidate(key) for key in self._climbs.awaited()]

    @property
    def is_settled(self) -> bool:
        """Whether now is a moment to save: at a generation's end, in steady state after every outcome."""
        return self.inner.is_settled and (self.mode == "steady-state" or not self._open)

    def n_within(self, n_evals: int) -> int:
        """Return whether the next evaluation keeps the cost within so many full ones: 1 if it does, else 0."""
        self._promote_one()
        following = self._queue[0] if self._queue else Step(0, 0, 0, 0)
        return int(self._climbs.units + self._climbs.units_of(following) <= n_evals * self.rungs[-1] + 1e-6)

    def ask(self, n: int | None = None) -> list[Candidate]:
        """Return up to ``n`` candidates; by default all that can be asked now, or one in steady state."""
        given: list[Candidate] = []
        while n is None or len(given) < n:
            self._promote_one()
            if self._queue:
                step = self._queue.pop(0)
            elif fresh := self.inner.ask(1):
                self._open[fresh[0].id] = fresh[0]
                step = Step(fresh[0].id, 0, 0, 0)
            else:
                break
            self._climbs.enter(step)
            given.append(self._candidate(self.n_asked))
            if n is None and self.mode == "steady-state":
                break
        return given

    def tell(self, candidate: int | Candidate, metrics: Mapping[str, float] | None) -> None:
        """Report the outcome of an evaluation; arguments and errors as for ``Optimizer.tell``."""
        key = self._awaited(candidate)
        self._climbs.take(key, checked_outcome(self.goals, metrics))
        self._go_on_after(key)

    def stop(self, candidate: int | Candidate, expected: Metrics, share: float) -> None:
        """Report that an evaluation was stopped early, since it would not reach the front: its candidate is left out.

        Args:
            candidate: The candidate or its id.
            expected: What it would have shown in the end; models learn it.
            share: Share of the evaluation that was done; it costs so much less.

        Raises:
            StateError: No such candidate is awaited.
        """
        key = self._awaited(candidate)
        self._climbs.stop(key, expected, share)
        self._go_on_after(key)

    def _awaited(self, candidate: int | Candidate) -> int:
        key = candidate.id if isinstance(candidate, Candidate) else candidate
        if not 1 <= key <= self.n_asked or key in self._climbs.results:
            raise StateError(f"a told candidate must be awaited, but {key} is not")
        return key

    def _go_on_after(self, key: int) -> None:
        if self.mode == "steady-state":
            self._promotions.judge(self._climbs)
            self._settle(self._climbs.steps[key - 1].candidate)
        elif not self._queue and self.inner.n_waiting == 0 and len(self._climbs.results) == self.n_asked:
            self._end_rung()

    def population_ids(self) -> list[int]:
        """Return the evaluation ids of the current population, all of them on the top rung."""
        return [self._climbs.last[key] for key in self.inner.population_ids()]

    def optimum_ids(self) -> list[int]:
        """Return the evaluation ids of the optimum of the current population."""
        return [self._climbs.last[key] for key in self.inner.optimum_ids()]

    def restartable(self) -> tuple[list[int], list[int]]:
        """Return the evaluations whose weights are needed now, and those that may be, the likeliest first."""
        return self._climbs.restartable(self._queue, self._open)

    def take_decisions(self) -> list[Decision]:
        """Return the decisions since the last call: those of the inner optimizer, and where rungs are not trusted."""
        own, self._promotions.decisions = self._promotions.decisions, []
        return [*self.inner.take_decisions(), *(Decision(decision.pop("kind"), decision) for decision in own)]

    def dump(self, with_seen: bool = True) -> dict[str, Any]:
        """Return the complete state; outcomes, which ``recall`` takes, are left out without ``with_seen``."""
        return {
            "kind": self._kind(),
            "generation": self.generation,
            "n_asked": self.n_asked,
            "inner": self.inner.dump(with_seen),
            **self._climbs.dump(with_seen),
            "queue": [list(step) for step in self._queue],
            "estimates": {str(key): metrics for key, metrics in self._estimates.items()},
            "trusted": self._promotions.trusted,
        }

    def load(self, state: Mapping[str, Any], seen: Array | None = None) -> None:
        """Go on from a dumped state; one without outcomes is complete once ``recall`` has taken them.

        Raises:
            StateError: The state is of another ladder, or of another search.
        """
        if state.get("kind") != self._kind():
            raise StateError(f"a state must be of the kind {self._kind()}, but is of {state.get('kind')}")
        self.inner.load(state["inner"], seen)
        self._climbs, self._queue = self._new_climbs(), []
        self._estimates = {int(key): metrics for key, metrics in state["estimates"].items()}
        self._promotions.trusted = list(state["trusted"])
        self._open = {candidate.id: candidate for candidate in self.inner.pending}
        self._climbs.load(state)
        self._push([Step(*step) for step in state["queue"]])

    def recall(self, outcomes: Iterable[tuple[int, Array, Metrics | None]]) -> None:
        """Take in the outcomes that a loaded state was dumped without: id, ``(n_var,)`` row and metrics."""
        rows = {}
        for key, x, metrics in outcomes:
            if key <= self.n_asked and (key not in self._climbs.results or key in self._climbs.stopped):
                self._climbs.take(key, metrics)
                rows[self._climbs.steps[key - 1].candidate] = x
        self.inner.recall((key, x, self._told(key)) for key, x in sorted(rows.items()) if key not in self._open)

    def _kind(self) -> list[Any]:
        return ["refinement", STATE_FORMAT, self.rungs, self._eta, self._replicates, self._continues]

    def _candidate(self, key: int) -> Candidate:
        step = self._climbs.steps[key - 1]
        base, is_top = self._open[step.candidate], step.rung == self._top
        return base._replace(
            id=key,
            origin="replicate" if step.replicate else "promotion" if step.rung else base.origin,
            parents=tuple(self._climbs.last[parent] for parent in base.parents),
            prediction=base.prediction if is_top else None,
            fidelity=self.rungs[step.rung],
            is_partial=not is_top,
            replicate=step.replicate,
            continues=step.source or None,
            cost=self._climbs.units_of(step) / self.rungs[-1],
        )

    def _promote_one(self) -> None:
        """In steady state, decide who rises next, from the highest rung that lets somebody rise."""
        if self.mode == "steady-state" and not self._queue:
            for rung in reversed(range(self._top)):
                if steps := self._promotions.choose(self._climbs, rung, self._climbs.waiting(rung, self._open))[:1]:
                    self._push(steps)
                    break

    def _push(self, steps: list[Step]) -> None:
        self._queue += steps
        for step in steps:
            self._climbs.note_rise(step)

    def _end_rung(self) -> None:
        """Generational: let the best of the generation rise, or end it once nobody does."""
        self._promotions.judge(self._climbs)
        rung = max(self._climbs.steps[self._climbs.last[candidate] - 1].rung for candidate in self._open)
        if rung < self._top:
            self._push(self._promotions.choose(self._climbs, rung, self._climbs.waiting(rung, self._open)))
        elif not any(candidate in self._climbs.repeats for candidate in self._open):
            self._push([step for candidate in sorted(self._open) for step in self._repetitions(candidate)])
        if not self._queue:
            for candidate in sorted(self._open):
                self._close(candidate)

    def _settle(self, candidate: int) -> None:
        """Steady state: repeat what reached the front, tell what is done, leave out what waits behind too many."""
        key = self._climbs.last[candidate]
        rung = self._climbs.steps[key - 1].rung
        if key not in self._climbs.results:
            return
        if self._climbs.is_barred(self._climbs.results[key]):
            self._close(candidate)
        elif rung < self._top:
            for late in self._climbs.in_order(rung, self._climbs.waiting(rung, self._open))[self.pop_size :]:
                self._close(self._climbs.steps[late - 1].candidate)
        else:
            if candidate not in self._climbs.repeats:
                self._push(self._repetitions(candidate))
            waits = any(step.candidate == candidate for step in self._queue)
            if not waits and all(repeat in self._climbs.results for repeat in self._climbs.repeats.get(candidate, [])):
                self._close(candidate)

    def _repetitions(self, candidate: int) -> list[Step]:
        """Return the repetitions that a candidate on the top rung has deserved: those of a member of the front."""
        if self._replicates == 1 or not self._climbs.is_on_front(candidate):
            return []
        key = self._climbs.last[candidate]
        return [Step(candidate, self._top, replicate, key) for replicate in range(1, self._replicates)]

    def _close(self, candidate: int) -> None:
        """Tell the inner optimizer what became of one of its candidates."""
        del self._open[candidate]
        key = self._climbs.last[candidate]
        is_top, is_barred = self._climbs.is_top(key), self._climbs.is_barred(self._climbs.results[key])
        if key in self._climbs.stopped or not (is_top or is_barred):
            estimate = self._climbs.estimate(key) if self.inner.learns else None
            if estimate is not None:
                self._estimates[candidate] = estimate
            self.inner.leave_out(candidate, estimate)
            return
        told = self._told(candidate)
        if told is None or is_top or not self._climbs.seen[0]:
            self.inner.tell(candidate, told)
        else:  # once something keeps the limits, what breaks them would only crowd the population
            self.inner.leave_out(candidate, told)

    def _told(self, candidate: int) -> Metrics | None:
        """Return what the inner optimizer is told of a finished candidate; None if it failed or was left out."""
        key = self._climbs.last[candidate]
        metrics, is_top = self._climbs.results[key], self._climbs.is_top(key)
        if metrics is None or not self._climbs.is_barred(metrics):
            return self._climbs.mean(candidate) if metrics is not None and is_top else self._estimates.get(candidate)
        return metrics if is_top else self._climbs.without_objectives(metrics)

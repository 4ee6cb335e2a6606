"""The main loop, and what keeps it true when the process is killed.

Everything asked is recorded before it is evaluated, every outcome as it ends, and a generation's last outcome
together with the checkpoint. To resume is to load the checkpoint, to ask again, and to reuse each outcome that
the ledger already has.
"""

import contextlib
import logging
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from evo_moo.errors import RunStoppedError, SearchFailedError, StateError
from evo_moo.evaluation.pool import Pool
from evo_moo.evaluation.task import USABLE, Outcome, Task
from evo_moo.evaluation.weight_store import WeightStore
from evo_moo.job.budget import Budget
from evo_moo.optimizer.candidate import Candidate
from evo_moo.optimizer.optimizer import Optimizer
from evo_moo.optimizer.refinement import Refinement
from evo_moo.optimizer.replication import Replication
from evo_moo.problem.goals import Goals
from evo_moo.problem.learning_curve import LearningCurve
from evo_moo.run.early_stopping import EarlyStopping
from evo_moo.run.observer import Observer
from evo_moo.run.stop_signals import StopRequests
from evo_moo.run.termination import StopWatch
from evo_moo.seeding import evaluation_seed
from evo_moo.space.variables import json_key
from evo_moo.storage.checkpoint import from_json, to_json
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.reading import guarded_reads
from evo_moo.storage.run_folder import RunFolder

LOGGER = logging.getLogger("evo_moo")
LOGGER.addHandler(logging.NullHandler())

POLL_S = 0.5
MOST_FAILURES = 20


class Engine:
    """Runs one search to the end of its budget.

    Args:
        optimizer: Asked for candidates and told their outcomes.
        pool: Evaluates them.
        folder: Takes the records; what it already holds is not evaluated again.
        budget: When to end.
        goals: Objectives and limits.
        seed: The run's seed; evaluations derive theirs from it.
        observer: Is told what happens.
        seeded: Whether evaluations use a seed at all; a plain pymoo problem does not.
        weights: Keeps what evaluations with refinement go on from; None where they begin anew.
        stopping: Says which trainings are stopped early; None stops none.
    """

    def __init__(
        self,
        optimizer: Optimizer | Refinement | Replication,
        pool: Pool,
        folder: RunFolder,
        budget: Budget,
        *,
        goals: Goals,
        seed: int,
        observer: Observer,
        seeded: bool = True,
        weights: WeightStore | None = None,
        stopping: EarlyStopping | None = None,
    ) -> None:
        self.optimizer, self.pool, self.folder, self.budget = optimizer, pool, folder, budget
        self.ledger = folder.ledger
        self._goals, self._seed, self._observer, self._seeded = goals, seed, observer, seeded
        self._weights, self._stopping, self._costs = weights, stopping, dict[int, float]()
        self._curves: dict[int, LearningCurve] = {}
        self._known: dict[int, Evaluation] = {}
        self._earlier: dict[str, dict[str, Any]] = {}
        self._again: list[Candidate] = []
        self._n_usable = 0
        self._watch = StopWatch(budget.stop_when, goals, optimizer.space)
        self._requests = StopRequests(budget.deadline)
        self._clock = time.monotonic()

    def run(self) -> None:
        """Search until the budget is spent or the space has no new configuration left.

        Raises:
            RunStoppedError: A signal, the deadline or a callback asked to stop; everything that ended is recorded, and
                what still ran is given up, to be evaluated again when the run is resumed.
            SearchFailedError: Every evaluation failed, of the first generation or of a smaller budget.
            StateError: The run folder belongs to another search.
        """
        self._restore()
        with self._requests:
            self._stop_if(self._observer.recorded())
            while self._advance():
                self._stop_if(self._observer.recorded() or self._requests.reason)
                self._fail_if_all_failed(min(self.optimizer.pop_size, MOST_FAILURES))
        self._observer.recorded()
        self._fail_if_all_failed(1)
        self._set_state("finished", self._spent() or self._exhausted())

    def _stop_if(self, reason: str) -> None:
        if reason and (self.optimizer.pending or self._left() > 0):
            self._set_state("stopped", reason)
            raise RunStoppedError(f"stopped by {reason}; everything that ended is recorded")

    def _advance(self) -> bool:
        """Fill the workers, and record what has ended; False once nothing runs and nothing is left to ask."""
        # What is evaluated in this very call needs no record of its own that it was asked.
        with self.ledger.transaction() if self.pool.is_immediate else contextlib.nullcontext():
            self._fill_workers()
            if not self.pool.running:
                return False
            self._record(self._finished())
        return True

    def _finished(self) -> list[Outcome]:
        """Wait a while for outcomes."""
        if self.pool.in_process:
            return self._requests.interruptible(lambda: self.pool.next_finished(POLL_S), [])
        outcomes = self.pool.next_finished(POLL_S)
        if not self._requests.reason:
            return outcomes
        # Schedulers send their signal to every process: what fails now may fail for that, and is to run again.
        return [outcome for outcome in outcomes if outcome.status in USABLE]

    def _fill_workers(self) -> None:
        """Ask for candidates while workers are free, record them as asked, and submit them."""
        while candidates := self._next_candidates():
            recorded = {c.id: self._known.pop(c.id) for c in candidates if c.id in self._known}
            tasks = [self._task(c, recorded.get(c.id)) for c in candidates]
            new = [(c, task.seed) for c, task in zip(candidates, tasks, strict=True) if c.id not in recorded]
            ended = {e.id: e for e in recorded.values() if e.status != "asked"}
            self._observer.submitted(len(tasks) - len(ended))
            with self.ledger.transaction():
                self.ledger.record_asked(new)
                self._record_decisions()
                # With what was asked, so that no resume finds one asked, and evaluates it after all.
                taken = [
                    Outcome(c.id, "ok", earlier["metrics"], earlier["reason"], started_at=time.time(), attempts=0)
                    for c, _ in new
                    if (earlier := self._earlier_outcome(c))
                ]
                self._record(taken)
            known = ended.keys() | {outcome.id for outcome in taken}
            for task in tasks:
                if task.id not in known:
                    self.pool.submit(task)
            with self.ledger.transaction():
                self._tell([self._recorded_outcome(e) for e in ended.values()])

    def _earlier_outcome(self, candidate: Candidate) -> dict[str, Any]:
        """Return what an earlier run found for a candidate, if the search was started from one that knows."""
        if not self._earlier or candidate.fidelity is not None or candidate.replicate:
            return {}
        return self._earlier.get(json_key(candidate.configuration), {})

    def _next_candidates(self) -> list[Candidate]:
        """Return as many candidates as there are free workers: first those that ran when the run was killed."""
        free = self.pool.free
        again, self._again = self._again[:free], self._again[free:]
        if again:
            return again
        n = min(free, self._left())
        if self._stopping is not None and self.optimizer.is_settled:
            self._stopping.refresh()
        return self.optimizer.ask(n) if n > 0 else []

    def _record(self, outcomes: list[Outcome]) -> None:
        """Record outcomes and tell them to the optimizer, in one transaction with the checkpoint they lead to."""
        if not outcomes:
            return
        outcomes = [outcome._replace(cost=self._cost_of(outcome)) for outcome in outcomes]
        self._observer.evaluated(outcomes)
        with self.ledger.transaction():
            self.ledger.record_outcomes((o, self._goals.violation(o.metrics) if o.metrics else None) for o in outcomes)
            for outcome in outcomes:
                if outcome.attempts > 1:
                    self.ledger.record_event("retried", evaluation=outcome.id, attempts=outcome.attempts)
            self._tell(outcomes)
            for outcome in outcomes:
                if outcome.profile_measured_at:
                    self.ledger.record_event(
                        "profile reused", evaluation=outcome.id, measured_at=outcome.profile_measured_at
                    )
        self._prune_weights()
        for outcome in outcomes:
            if outcome.status in ("failed", "timeout", "crashed"):
                LOGGER.warning("evaluation %d %s: %s", outcome.id, outcome.status, outcome.reason)

    def _tell(self, outcomes: Sequence[Outcome]) -> None:
        if not outcomes:
            return
        generation = self.optimizer.generation
        for outcome in outcomes:
            usable = outcome.status in USABLE
            self._n_usable += usable
            curve = outcome.curve
            if curve is not None and curve.expected is not None and isinstance(self.optimizer, Refinement):
                self.optimizer.stop(outcome.id, curve.expected, curve.share_trained)
            else:
                self.optimizer.tell(outcome.id, outcome.metrics if usable else None)
            if self._stopping is not None and outcome.status in ("ok", "partial"):
                self._stopping.take(outcome.id, outcome.metrics, curve)
        self._record_decisions()
        if self.optimizer.generation > generation:
            self._end_generation()
        if self.optimizer.is_settled:
            self.ledger.record_checkpoint(to_json(self.optimizer.dump(with_seen=False)))
            self.ledger.set_meta(elapsed_s=self._elapsed_s())

    def _cost_of(self, outcome: Outcome) -> float:
        return self._costs.pop(outcome.id, 1.0) * (outcome.curve.share_trained if outcome.curve else 1.0)

    def _recorded_outcome(self, e: Evaluation) -> Outcome:
        return Outcome(e.id, e.status, e.metrics, e.reason, curve=self._curves.get(e.id))  # type: ignore[arg-type]

    def _record_decisions(self) -> None:
        for decision in self.optimizer.take_decisions():
            self.ledger.record_event(decision.pop("kind", "surrogate"), **decision)

    def _prune_weights(self) -> None:
        """Remove weights that nothing goes on from: only now that the outcomes which decided so are recorded."""
        if self._weights is None or not isinstance(self.optimizer, Refinement):
            return
        if dropped := self._weights.prune(*self.optimizer.restartable(), self.optimizer.n_asked):
            with self.ledger.transaction():
                self.ledger.record_event("weights dropped", evaluations=dropped)

    def _end_generation(self) -> None:
        optimizer = self.optimizer
        self.ledger.record_generation(
            optimizer.generation,
            optimizer.n_asked,
            optimizer.population_ids(),
            optimizer.optimum_ids(),
        )
        self._watch.follow(self.ledger)
        self._observer.generation_ended(optimizer.generation, optimizer.n_asked)

    def _fail_if_all_failed(self, least: int) -> None:
        if self._n_usable:
            return
        failed = list(self.ledger.evaluations("status IN ('failed', 'timeout', 'crashed')"))
        if len(failed) >= least:
            self._set_state("failed")
            first = failed[0]
            trace = f"\n{first.traceback.rstrip()}" if first.traceback else ""
            raise SearchFailedError(
                f"all of the first {len(failed)} evaluations failed, so there is nothing to search with; "
                f"evaluation {first.id}: {first.reason}{trace}"
            )

    def _restore(self) -> None:
        """Load the checkpoint, and keep what was recorded after it to be reused."""
        saved = self.ledger.checkpoint()
        if self._stopping is not None:
            self._curves = self.ledger.curves()
        if saved is not None:
            self._load(saved)
        self._again = self.optimizer.pending
        n_asked = self.optimizer.n_asked
        with guarded_reads(self.folder.path):
            self._known = {e.id: e for e in self.ledger.evaluations("id > ? OR status = 'asked'", (n_asked,))}
            self._earlier = {json_key(e["configuration"]): e for e in self.ledger.meta().get("known_outcomes", [])}
        counts = self.ledger.counts()
        self._n_usable = sum(counts.get(status, 0) for status in USABLE)
        self._clock = time.monotonic() - self.ledger.meta().get("elapsed_s", 0.0)
        self._watch.follow(self.ledger)
        ended = sum(e.status != "asked" for e in self._known.values())
        resumed = {"from_checkpoint": saved is not None, "reused": ended, "again": len(self._known) - ended}
        self._set_state("running", "", **(resumed if counts else {}))

    def _load(self, saved: str) -> None:
        try:
            state = from_json(saved)
            rows = np.frombuffer(b"".join(self.ledger.encoded_rows(state["n_asked"])), dtype="<f8")
            self.optimizer.load(state, seen=rows.reshape(state["n_asked"], -1))
            ended = self.ledger.evaluations("status != 'asked'")
            self.optimizer.recall(
                (e.id, np.frombuffer(e.x, dtype="<f8"), e.metrics if e.status in USABLE else None) for e in ended
            )
            if self._stopping is not None:
                self._stopping.recall(self.ledger.evaluations("id <= ?", (self.optimizer.n_asked,)), self._curves)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            way_out = f"; `evo-moo doctor {self.folder.path} --repair` drops a damaged one, and all outcomes are kept"
            raise StateError(f"the checkpoint must fit this search, but: {error}{way_out}") from error

    def _task(self, candidate: Candidate, recorded: Evaluation | None) -> Task:
        if recorded is not None:
            with guarded_reads(self.folder.path):
                before = recorded.configuration
            if (before, recorded.fidelity) != (candidate.configuration, candidate.fidelity):
                raise StateError(
                    f"evaluation {candidate.id} must be the configuration in the ledger, {before}, but the search now "
                    f"asks for {candidate.configuration}; the problem or a library has changed since: start a new run"
                )
        # One seed for all rungs: a promoted training is the same training that goes on.
        seed = evaluation_seed(self._seed, candidate.configuration, None, candidate.replicate) if self._seeded else 0
        seed = self._earlier_outcome(candidate).get("seed", seed) if candidate.seed is None else candidate.seed
        task = Task(candidate.id, candidate.configuration, seed, self.folder.workspace(candidate.id))
        task = task._replace(replicate=candidate.replicate)
        self._costs[candidate.id] = candidate.cost
        if candidate.fidelity is None:
            return task
        task = task._replace(fidelity=candidate.fidelity, is_partial=candidate.is_partial)
        if self._stopping is not None:
            self._stopping.ask(candidate)
            task = task._replace(bounds=self._stopping.bounds(candidate.id))
        if self._weights is None:
            return task
        goes_on = candidate.continues is not None and not candidate.replicate
        return task._replace(
            previous=self._weights.folder(candidate.continues) if goes_on else None,  # type: ignore[arg-type]
            weights=self._weights.folder(candidate.id) if candidate.is_partial else None,
        )

    def _left(self) -> int:
        """Return the number of evaluations that may still be asked for."""
        if self._spent():
            return 0
        n_evals = self.budget.n_evals
        return self.pool.free if n_evals is None else self.optimizer.n_within(n_evals)

    def _spent(self) -> str:
        """Say which part of the budget is spent; empty if none is."""
        budget = self.budget
        if budget.n_evals is not None and not self.optimizer.n_within(budget.n_evals):
            return f"n_evals = {budget.n_evals} is reached"
        if budget.n_gen is not None and self.optimizer.generation >= budget.n_gen:
            return f"n_gen = {budget.n_gen} is reached"
        if budget.time_s is not None and self._elapsed_s() >= budget.time_s:
            return f"time = {budget.time_s:g} s is spent"
        return self._watch.reason

    def _exhausted(self) -> str:
        where = "grid" if self.optimizer.name == "grid" else "space"
        return f"the {where} has no new configuration left"

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._clock

    def _set_state(self, state: str, reason: str = "", /, **detail: Any) -> None:
        detail |= {"reason": reason} if reason else {}
        with self.ledger.transaction():
            self.ledger.set_meta(state=state, elapsed_s=self._elapsed_s())
            self.ledger.record_event(state, n_asked=self.optimizer.n_asked, **detail)
        counts = self.ledger.counts()
        n_ended = sum(counts.values()) - counts.get("asked", 0)
        LOGGER.info("%s after %d evaluations%s", state, n_ended, f": {reason}" if reason else "")

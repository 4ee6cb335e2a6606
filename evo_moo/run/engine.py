"""The main loop, and what keeps it true when the process is killed.

    until the budget is spent:
        while a worker is free and the optimizer can ask:  candidate → record as asked → submit
        outcomes = what has ended                          → record → tell
        once every outcome so far is selected upon         → checkpoint, progress

Everything is recorded as asked before it is evaluated, every outcome as it ends, and the last outcome of a generation,
or in steady state each, together with the checkpoint. To resume is to load the checkpoint, to ask again, and to reuse
each outcome that the ledger already has.
"""

import contextlib
from collections.abc import Sequence

from evo_moo.errors import RunStoppedError
from evo_moo.evaluation.pool import Pool
from evo_moo.evaluation.task import USABLE, Outcome, Task
from evo_moo.job.budget import Budget
from evo_moo.optimizer.candidate import Candidate
from evo_moo.optimizer.protocol import AskTell
from evo_moo.run.doubts import measure_again
from evo_moo.run.observer import Observer
from evo_moo.run.records import Records
from evo_moo.run.replay import Replay, load_checkpoint, take_told
from evo_moo.run.stop_signals import StopRequests
from evo_moo.run.tasks import Tasks
from evo_moo.run.termination import BudgetWatch
from evo_moo.storage.reading import guarded_reads
from evo_moo.storage.run_folder import RunFolder

POLL_S = 0.5
"""So long the loop waits for an outcome before it looks whether something asks to stop."""
MOST_FAILURES = 20
"""A search ends when so many evaluations, or a smaller first generation, have all failed."""


class Engine:
    """Runs one search to the end of its budget.

    Args:
        optimizer: Proposes candidates, and learns their outcomes.
        pool: Evaluates them.
        folder: Takes the records; what it already holds is not evaluated again.
        budget: When to end.
        tasks: Makes the task of each candidate, and knows what the search begins with.
        observer: Shows progress.
    """

    def __init__(
        self, optimizer: AskTell, pool: Pool, folder: RunFolder, budget: Budget, tasks: Tasks, observer: Observer
    ) -> None:
        self.optimizer, self.pool, self.folder, self.ledger = optimizer, pool, folder, folder.ledger
        self._tasks, self._observer = tasks, observer
        self._budget, self._requests = BudgetWatch(budget, optimizer), StopRequests(budget.deadline)

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
                self._records.fail_if_all_failed(min(self.optimizer.pop_size, MOST_FAILURES))
            self._measure_doubts()
        self._observer.recorded()
        self._records.fail_if_all_failed(1)
        self._records.state("finished", self._budget.why_finished())

    def measure_doubts(self) -> None:
        """Measure again what is in doubt on the front of a search that is finished."""
        self._restore()
        with self._requests:
            self._measure_doubts()
        self._records.state("finished", "what was in doubt was measured again")

    def _advance(self) -> bool:
        """Fill the workers, and take what has ended; False once nothing runs and nothing is left to ask for."""
        # Where evaluations are immediate, no kill comes between asking and recording: one transaction holds both.
        with self.ledger.transaction() if self.pool.is_immediate else contextlib.nullcontext():
            while candidates := self._ask():
                tasks, replayed = self._record_asked(candidates)
                for task in tasks:
                    self.pool.submit(task)
                self._tell(replayed)
            if not self.pool.running:
                return False
            if outcomes := self._wait():
                with self.ledger.transaction():  # with the checkpoint that they lead to, or not at all
                    self._tell(self._record(outcomes))
                # Only now that the outcomes are recorded by which nothing continues from these weights, and synced.
                self._records.dropped_weights(self._tasks.prune_weights(self.optimizer, self.ledger.sync))
        return True

    def _ask(self) -> list[Candidate]:
        """Return a candidate for each free worker, as far as there are any: first those that a kill interrupted."""
        if interrupted := self._replay.take_pending(self.pool.free):
            return interrupted
        if self.optimizer.is_settled:
            self._tasks.settled()
        n = self._budget.left(self.pool.free)
        return self.optimizer.ask(n) if n > 0 else []

    def _record_asked(self, candidates: Sequence[Candidate]) -> tuple[list[Task], list[Outcome]]:
        """Record candidates; return the tasks to submit, and the outcomes of the others, from before a kill."""
        new = [candidate for candidate in candidates if not self._replay.is_recorded(candidate)]
        workspace, seed = self.folder.workspace, self._replay.earlier_seed
        tasks = {c.id: self._tasks.task(c, workspace(c.id), seed(c)) for c in candidates}
        replayed = self._replay.take_ended(candidates)
        reused = [outcome for candidate in new if (outcome := self._replay.earlier_outcome(candidate))]
        self._observer.submitted(len(tasks) - len(replayed))
        with self.ledger.transaction():
            self._records.asked([(candidate, tasks[candidate.id].seed) for candidate in new])
            # Outcomes of earlier runs in the same transaction: after a kill in between they would be evaluated.
            self._tell(self._record(reused))
        known = {outcome.id for outcome in (*replayed, *reused)}
        return [task for task in tasks.values() if task.id not in known], replayed

    def _wait(self) -> list[Outcome]:
        """Return what has ended, waiting a while for it."""
        if self.pool.in_process:
            return self._requests.interruptible(lambda: self.pool.next_finished(POLL_S), [])
        outcomes = self.pool.next_finished(POLL_S)
        if not self._requests.reason:
            return outcomes
        # Schedulers send their signal to every process: it may be why an evaluation fails now, so that it runs again.
        return [outcome for outcome in outcomes if outcome.status in USABLE]

    def _record(self, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        """Record outcomes, and return them with what the run knows of each."""
        if outcomes:
            outcomes = [self._tasks.completed(outcome) for outcome in outcomes]
            self._observer.evaluated(outcomes)
            self._records.outcomes(outcomes)
        return outcomes

    def _tell(self, outcomes: Sequence[Outcome]) -> None:
        """Tell outcomes to the optimizer, and record what follows: decisions, a generation, a checkpoint."""
        if not outcomes:
            return
        optimizer, generation = self.optimizer, self.optimizer.generation
        for outcome in outcomes:
            if (curve := outcome.curve) and curve.expected is not None:  # its training was stopped early
                optimizer.stop(outcome.id, curve.expected, curve.share_trained)
            else:
                usable = outcome.status in USABLE
                optimizer.tell(outcome.id, (outcome.points or outcome.metrics) if usable else None)
            self._tasks.ended(outcome)
        with self.ledger.transaction():
            if optimizer.is_settled:
                self._records.revise(self._tasks.revisions())
            self._records.decisions()
            if optimizer.generation > generation:
                self._records.generation()
                self._observer.generation_ended(optimizer.generation, optimizer.n_asked)
            if optimizer.is_settled:
                self._records.checkpoint()

    def _measure_doubts(self) -> None:
        """Measure again what is in doubt on the front, where the machine may be quieter now."""
        measure_again(self.pool, self.optimizer, self.ledger, self._tasks, self._records, self._wait, self._requests)

    def _stop_if(self, reason: str) -> None:
        """Stop for a reason, if there is one; where nothing is left to do, the search is finished all the same."""
        if reason and (self.optimizer.pending or self._budget.left(1)):
            self._records.state("stopped", reason)
            raise RunStoppedError(f"stopped by {reason}")

    def _restore(self) -> None:
        """Load the checkpoint, and keep what was recorded after it to be reused."""
        from_checkpoint = load_checkpoint(self.folder, self.optimizer, self._tasks)
        self._replay = Replay(self.folder, self.optimizer.pending, self.optimizer.n_asked)
        with guarded_reads(self.folder.path):
            self._records, is_new = Records(self.ledger, self.optimizer, self._budget), not self.ledger.counts()
            self._budget.resume(self.ledger)
            self._tasks.recall_measured(self.ledger)
        resumed = {"from_checkpoint": from_checkpoint, "reused": self._replay.n_ended, "again": self._replay.n_again}
        self._records.state("running", "", **({} if is_new else resumed))
        if not self.optimizer.n_asked:
            with self.ledger.transaction():  # all of it, and the checkpoint after it, or nothing
                self._observer.evaluated(take_told(self._tasks.told, self.optimizer, self._replay, self._records))

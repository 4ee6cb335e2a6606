"""The task of each candidate: its seed, the weights that it continues from, and what may stop it early."""

from collections.abc import Callable, Sequence

from evo_moo.evaluation.latencies import Latencies, Revision
from evo_moo.evaluation.task import USABLE, Outcome, Task
from evo_moo.evaluation.weight_store import WeightStore
from evo_moo.job.start import Told
from evo_moo.optimizer.candidate import Candidate
from evo_moo.optimizer.protocol import AskTell
from evo_moo.problem.goals import Goals
from evo_moo.problem.points import Key
from evo_moo.run.early_stopping import EarlyStopping
from evo_moo.seeding import evaluation_seed
from evo_moo.storage.ledger import Ledger


class Tasks:
    """Makes the task of each candidate, and follows how tasks end as far as later ones depend on it.

    Args:
        seed: The run's seed, from which evaluations derive theirs; None: they use none, as a plain pymoo problem.
        weights: Keeps what evaluations with refinement continue from; None: each begins anew.
        stopping: Decides which trainings are stopped early; None stops none.
        latencies: Pools what is measured of an architecture; None leaves each evaluation what it measured.
        told: What was measured elsewhere, with which a search begins: it has outcomes, and needs no tasks.
    """

    def __init__(
        self,
        seed: int | None,
        weights: WeightStore | None = None,
        stopping: EarlyStopping | None = None,
        latencies: Latencies | None = None,
        told: Sequence[Told] = (),
    ) -> None:
        self._seed, self._weights, self._stopping, self._latencies = seed, weights, stopping, latencies
        self.told = told
        self._asked: dict[int, Candidate] = {}

    def task(self, candidate: Candidate, workspace: str | None, seed: int | None) -> Task:
        """Return the task of a candidate.

        Args:
            candidate: The candidate.
            workspace: Folder of the evaluation.
            seed: The seed of its evaluation where it was measured before; None derives it from the run's.
        """
        self._asked[candidate.id] = candidate
        task = Task(
            candidate.id, candidate.configuration, self._seed_of(candidate, seed), workspace, candidate.fidelity
        )
        task = task._replace(is_partial=candidate.is_partial, replicate=candidate.replicate)
        if candidate.fidelity is None:
            return task
        if self._stopping is not None:
            self._stopping.ask(candidate)
            task = task._replace(bounds=self._stopping.bounds(candidate.id))
        if self._weights is not None:
            previous = candidate.continues if not candidate.replicate else None
            task = task._replace(
                previous=None if previous is None else self._weights.folder(previous),
                weights=self._weights.folder(candidate.id) if candidate.is_partial else None,
            )
        return task

    def _seed_of(self, candidate: Candidate, seed: int | None) -> int:
        if candidate.seed is not None:
            return candidate.seed
        if seed is not None:
            return seed
        return 0 if self._seed is None else evaluation_seed(self._seed, candidate.configuration, candidate.replicate)

    def completed(self, outcome: Outcome) -> Outcome:
        """Return an outcome with what the run knows of it.

        That is its cost, in full evaluations, of which one that was stopped counts the share that was done; and in
        place of what it measured of its architecture, what all measurements say.
        """
        candidate = self._asked.pop(outcome.id)
        if self._latencies is not None:
            outcome = self._latencies.completed(candidate.configuration, outcome)
        return outcome._replace(cost=candidate.cost * (outcome.curve.share_trained if outcome.curve else 1.0))

    def revisions(self) -> list[Revision]:
        """Return what evaluations hold that ended earlier, and the measurements since say otherwise."""
        return [] if self._latencies is None else self._latencies.revisions()

    def to_measure(self, ledger: Ledger, goals: Goals) -> list[tuple[Key, Task]]:
        """Return what is in doubt and decides the front: ids, with the tasks that measure again, numbered from 1."""
        if self._latencies is None:
            return []
        ended = {e.id: e for e in ledger.ok() if not e.is_told}
        doubtful = self._latencies.to_measure({key: e.metrics for key, e in ended.items()}, goals)
        return [
            (key, Task(number, ended[key].configuration, ended[key].seed, only_profile=True))
            for number, key in enumerate(doubtful, 1)
        ]

    def measured(self, task: Task, outcome: Outcome) -> Outcome:
        """Return the outcome of such a task with what all measurements say."""
        return outcome if self._latencies is None else self._latencies.measured(task.configuration, outcome)

    def ended(self, outcome: Outcome) -> None:
        """Note an outcome."""
        if self._stopping is not None and outcome.status in ("ok", "partial"):
            self._stopping.take(outcome.id, outcome.metrics, outcome.curve)

    def settled(self) -> None:
        """Note that every outcome has been selected upon: the next tasks are judged by all that has ended."""
        if self._stopping is not None:
            self._stopping.refresh()

    def recall(self, ledger: Ledger, n_asked: int) -> None:
        """Learn again what was asked for, up to ``n_asked``, and ended before the search is continued."""
        if self._stopping is not None:
            self._stopping.recall((e for e in ledger.up_to(n_asked) if not e.is_told), ledger.curves())

    def recall_measured(self, ledger: Ledger) -> None:
        """Learn again what was measured before the search is continued."""
        if self._latencies is not None:
            usable = (e for e in ledger.ended() if e.status in USABLE and not e.is_told)
            ended = ((each.id, each.configuration, each.metrics) for e in usable for each in e.offers())
            self._latencies.recall(ended, ledger.measured(), ledger.said())

    def prune_weights(self, optimizer: AskTell, before: Callable[[], None]) -> list[int]:
        """Remove weights that nothing continues from; return the evaluations that lost theirs to the limit of size.

        Args:
            optimizer: Knows what may be continued.
            before: Called before anything is removed.
        """
        if self._weights is None:
            return []
        return self._weights.prune(*optimizer.restartable(), optimizer.n_asked, before)

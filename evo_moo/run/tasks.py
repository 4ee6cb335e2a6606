"""The task of each candidate: its seed, the weights that it continues from, and what may stop it early."""

from evo_moo.evaluation.task import Outcome, Task
from evo_moo.evaluation.weight_store import WeightStore
from evo_moo.optimizer.candidate import Candidate
from evo_moo.optimizer.protocol import AskTell
from evo_moo.run.early_stopping import EarlyStopping
from evo_moo.seeding import evaluation_seed
from evo_moo.storage.ledger import Ledger


class Tasks:
    """Makes the task of each candidate, and follows how tasks end as far as later ones depend on it.

    Args:
        seed: The run's seed, from which evaluations derive theirs; None: they use none, as a plain pymoo problem.
        weights: Keeps what evaluations with refinement continue from; None: each begins anew.
        stopping: Decides which trainings are stopped early; None stops none.
    """

    def __init__(
        self, seed: int | None, weights: WeightStore | None = None, stopping: EarlyStopping | None = None
    ) -> None:
        self._seed, self._weights, self._stopping = seed, weights, stopping
        self._costs: dict[int, float] = {}

    def task(self, candidate: Candidate, workspace: str | None, seed: int | None) -> Task:
        """Return the task of a candidate.

        Args:
            candidate: The candidate.
            workspace: Folder of the evaluation.
            seed: The seed of its evaluation where it was measured before; None derives it from the run's.
        """
        self._costs[candidate.id] = candidate.cost
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

    def with_cost(self, outcome: Outcome) -> Outcome:
        """Return an outcome with its cost, in full evaluations; one that was stopped counts the share that was done."""
        cost = self._costs.pop(outcome.id, 1.0)
        return outcome._replace(cost=cost * outcome.curve.share_trained if outcome.curve else cost)

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
            self._stopping.recall(ledger.up_to(n_asked), ledger.curves())

    def prune_weights(self, optimizer: AskTell) -> list[int]:
        """Remove weights that nothing continues from; return the evaluations that lost theirs to the limit of size."""
        if self._weights is None:
            return []
        return self._weights.prune(*optimizer.restartable(), optimizer.n_asked)

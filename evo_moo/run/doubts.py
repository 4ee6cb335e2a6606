"""The last rounds of a search: what is in doubt on the front is measured again, when the machine may be quieter."""

from collections.abc import Callable

from evo_moo.evaluation.pool import Pool
from evo_moo.evaluation.task import Outcome
from evo_moo.optimizer.protocol import AskTell
from evo_moo.run.records import Records
from evo_moo.run.stop_signals import StopRequests
from evo_moo.run.tasks import Tasks
from evo_moo.storage.ledger import Ledger

MOST_ROUNDS = 3
"""So often what is in doubt on the front is measured again at the end."""


def measure_again(
    pool: Pool,
    optimizer: AskTell,
    ledger: Ledger,
    tasks: Tasks,
    records: Records,
    wait: Callable[[], list[Outcome]],
    requests: StopRequests,
) -> None:
    """Measure again what is in doubt and decides the front, until nothing is, or it is enough.

    Args:
        pool: Measures.
        optimizer: The search.
        ledger: What it has recorded.
        tasks: Knows what was measured.
        records: Takes what is measured, and what evaluations say after it, with a checkpoint.
        wait: Returns what has ended, waiting a while for it.
        requests: Whether something asks to stop.
    """
    for _ in range(MOST_ROUNDS):
        to_measure = {task.id: (key, task) for key, task in tasks.to_measure(ledger, optimizer.goals)}
        waiting = [task for _, task in to_measure.values()]
        while (waiting or pool.running) and not requests.reason:
            while waiting and pool.free:
                pool.submit(waiting.pop())
            outcomes = [(to_measure[outcome.id], outcome) for outcome in wait()]
            with ledger.transaction():
                for (key, task), outcome in outcomes:
                    records.measured(tasks.measured(task, outcome), key)
        with ledger.transaction():
            if records.revise(tasks.revisions()):
                records.checkpoint()

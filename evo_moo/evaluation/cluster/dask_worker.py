"""What a Dask worker does for a run: each of its threads evaluates in a process of its own.

A process is kept from one evaluation to the next, and ends with the run, or when it has nothing to do for long.
"""

import logging
import threading
from typing import Any

from evo_moo.errors import EvoMooError
from evo_moo.evaluation.loky_pool import LokyPool
from evo_moo.evaluation.task import Outcome, Task

IDLE_S = 60.0  # after which a process without evaluations ends
_POLL_S = 0.5
LOGGERS = "distributed", "distributed.client"


class GivenUpError(EvoMooError, RuntimeError):
    """An evaluation is not wanted any more, or its Dask worker leaves."""


# Of this Dask worker: the idle pools of each run, with the timers that end them; the runs that have closed their pools,
# and whether they are over for good.
_idle: dict[str, dict[LokyPool, threading.Timer]] = {}
_over: dict[str, bool] = {}
_without_workspaces: set[str] = set()
_lock = threading.Lock()


def evaluate(run: str, settings: tuple[Any, ...], task: Task) -> Outcome:
    """Evaluate in a process of this Dask worker's own, as long as the task is wanted."""
    from distributed import get_worker
    from distributed.core import Status

    if run in _without_workspaces:
        task = task._replace(workspace=None)
    worker = get_worker()
    key = worker.get_current_task()
    pool = _take_pool(run, settings)
    try:
        pool.submit(task)
        while not (outcomes := pool.next_finished(_POLL_S)):
            state = worker.state.tasks.get(key)
            leaves = worker.status in (Status.closing, Status.closed, Status.failed)
            if leaves or run in _over or state is None or state.state not in ("executing", "long-running"):
                raise GivenUpError("the evaluation was cancelled")
    except BaseException:
        pool.close()
        raise
    _keep(run, pool)
    return outcomes[0]


def _take_pool(run: str, settings: tuple[Any, ...]) -> LokyPool:
    with _lock:
        if _idle.get(run):
            pool, timer = _idle[run].popitem()
            timer.cancel()
            return pool
    return LokyPool(*settings, says_places=False)


def _keep(run: str, pool: LokyPool) -> None:
    """Keep the pool for the next evaluation of the run, but not for long: a killed run does not report its end."""
    with _lock:
        if run not in _over:
            timer = threading.Timer(IDLE_S, _retire, (run, pool))
            timer.daemon = True
            _idle.setdefault(run, {})[pool] = timer
            timer.start()
            return
    pool.close()


def _retire(run: str, pool: LokyPool) -> None:
    with _lock:
        timer = _idle.get(run, {}).pop(pool, None)
    if timer is not None:
        pool.close()


def without_workspaces(run: str) -> None:
    """Let evaluations of a run have temporary folders: this host does not see its folder."""
    _without_workspaces.add(run)


def part_from(run: str, is_over: bool = False) -> bool:
    """End a run's processes on this Dask worker.

    Args:
        run: Stands for the run.
        is_over: Whether it has ended for good.

    Returns:
        Whether it has, as was said now or before.
    """
    with _lock:
        _over[run] = is_over = is_over or _over.get(run, False)
        pools = _idle.pop(run, {})
    for pool, timer in pools.items():
        timer.cancel()
        pool.close()
    return is_over


def be_quiet() -> None:
    """Keep Dask's own words from the terminal: what a lost scheduler or worker means for a search, the run says."""
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)

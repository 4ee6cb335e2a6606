"""Evaluations on a Dask cluster, through ``dask.distributed``.

Each thread of a Dask worker keeps a ``LokyPool`` of one process, in which evaluations run. So an evaluation that
hangs, dies or uses too much memory is dealt with on its own host as it is without Dask, and the Dask worker stays.
"""

import contextlib
import logging
import queue
import secrets
import threading
import time
from dataclasses import dataclass
from typing import Any

from evo_moo.errors import RunStoppedError, SearchFailedError, UsageError, missing_extra
from evo_moo.evaluation.loky_pool import LokyPool
from evo_moo.evaluation.processes import deaf_children
from evo_moo.evaluation.task import Outcome, PoolOptions, Task
from evo_moo.plugins import ProblemSource
from evo_moo.problem.goals import Goals

CONNECT_S = 30
IDLE_S = 60.0  # after which a process without evaluations ends
_POLL_S = 0.5
LOGGERS = "distributed", "distributed.client"


@dataclass
class _Running:
    task: Task
    future: Any
    attempts: int = 1


class DaskPool:
    """The workers of a Dask cluster: those that are there, those that join, and no more those that leave.

    An evaluation whose Dask worker is lost runs again without being charged. Dask itself does that
    ``distributed.scheduler.allowed-failures`` times; a culprit that still brings its Dask workers down is started
    ``retries`` times more.

    Args:
        source: How a worker builds the problem; the data that it reads must be there on every host.
        goals: Objectives and limits of the run.
        n_workers: Number of processes of the local cluster that is started where no address is given.
        address: Address of a scheduler.
        options: Limits of one evaluation, and what is reused.

    Raises:
        UsageError: ``distributed`` is not installed, or the scheduler cannot be reached.
    """

    is_immediate = in_process = False

    def __init__(
        self, source: ProblemSource, goals: Goals, n_workers: int, address: str | None, options: PoolOptions
    ) -> None:
        try:
            from distributed import Client, LocalCluster
        except ImportError as error:
            raise missing_extra("dask", "`evaluation.pool` = 'dask'") from error
        self._levels = {name: logging.getLogger(name).level for name in LOGGERS}
        _be_quiet()
        self._run = secrets.token_hex(8)
        self._settings, self._retries = (source, goals, 1, options), options.retries
        self._running: dict[int, _Running] = {}
        self._ended: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        self._capacity, self._counted_at = 0, float("-inf")
        local = {"n_workers": n_workers, "threads_per_worker": 1, "memory_limit": None, "dashboard_address": ":0"}
        try:
            with deaf_children():
                self._cluster = LocalCluster(**local) if address is None else None
                self._client = Client(address or self._cluster, timeout=CONNECT_S, set_as_default=False)
                if self._cluster is not None:
                    self._client.register_worker_callbacks(_be_quiet)
        except (OSError, ValueError, TypeError, ImportError) as error:
            raise UsageError(
                "`evaluation.address` must be that of a Dask scheduler, as in tcp://host:8786, but "
                f"{address!r} cannot be reached: {error}; `dask scheduler` starts one and shows its address"
            ) from error
        self._scheduler = address or "of this run"

    @property
    def free(self) -> int:
        """Number of idle threads of the cluster; one where it has none, for the evaluation that waits for it."""
        return max(0, max(1, self._threads()) - len(self._running))

    @property
    def running(self) -> int:
        """Number of submitted tasks."""
        return len(self._running)

    def submit(self, task: Task) -> None:
        """Send the task to the cluster."""
        self._start(task, attempts=1)

    def next_finished(self, wait_s: float) -> list[Outcome]:
        """Wait for the first outcomes.

        Raises:
            RunStoppedError: The scheduler is gone, or worker processes die before they begin.
            SearchFailedError: They do so from the first on.
        """
        ended = []
        with contextlib.suppress(queue.Empty):
            ended.append(self._ended.get(timeout=wait_s))
            while True:
                ended.append(self._ended.get_nowait())
        outcomes = [self._collect(number, future) for number, future in ended]
        if self._client.status != "running" and not any(outcomes):
            raise RunStoppedError(
                f"a run needs its Dask scheduler, but the one {self._scheduler} is gone, and must be started again"
            )
        return [outcome for outcome in outcomes if outcome is not None]

    def close(self) -> None:
        """Cancel what runs; the processes that it runs in end."""
        if self._client.status == "running":
            with contextlib.suppress(Exception):
                self._client.cancel([running.future for running in self._running.values()], force=True)
                self._client.run(_close_pools, self._run, on_error="ignore")
        self._running = {}
        self._client.close(timeout=5)
        if self._cluster is not None:
            self._cluster.close(timeout=10)
        for name, level in self._levels.items():
            logging.getLogger(name).setLevel(level)

    def _threads(self) -> int:
        if time.monotonic() > self._counted_at + 1:
            with contextlib.suppress(OSError, TimeoutError):
                self._capacity = sum(self._client.nthreads().values())
            self._counted_at = time.monotonic()
        return self._capacity

    def _start(self, task: Task, attempts: int) -> None:
        key = f"evo-moo-{self._run}-{task.id}-{secrets.token_hex(4)}"
        future = self._client.submit(_evaluate, self._run, self._settings, task, key=key, pure=False, retries=0)
        self._running[task.id] = _Running(task, future, attempts)
        future.add_done_callback(lambda done: self._ended.put((task.id, done)))

    def _collect(self, number: int, future: Any) -> Outcome | None:
        """Take the outcome of an evaluation; None if it goes on or was started again."""
        from distributed import KilledWorker

        running = self._running.get(number)
        if running is None or running.future is not future or self._client.status != "running":
            return None
        task, attempts = running.task, running.attempts
        try:
            outcome: Outcome = future.result(timeout=5)
        except TimeoutError:  # the Dask worker died that held the outcome; Dask evaluates again
            future.add_done_callback(lambda done: self._ended.put((task.id, done)))
            return None
        except KilledWorker as error:
            if attempts <= self._retries:
                self._start(task, attempts + 1)
                return None
            reason = f"the Dask workers that ran it died, the last at {getattr(error.last_worker, 'address', '?')}"
            outcome = Outcome(number, "crashed", {}, reason, attempts=attempts)
        except (RunStoppedError, SearchFailedError):
            raise  # its worker processes die before they begin
        except Exception as error:
            if future.cancelled():  # the cluster was restarted
                self._start(task, attempts)
                return None
            outcome = Outcome(number, "failed", {}, f"the Dask worker could not run it: {error!r}", attempts=attempts)
        del self._running[number]
        return outcome


# Of this Dask worker: the idle pools of each run, with the timers that end them; the runs that are over.
_idle: dict[str, dict[LokyPool, threading.Timer]] = {}
_over: set[str] = set()
_lock = threading.Lock()


def _be_quiet() -> None:
    """Keep Dask's own words from the terminal: what a lost scheduler or worker means for a search, the run says."""
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _evaluate(run: str, settings: tuple[Any, ...], task: Task) -> Outcome:
    """Evaluate in a process of this Dask worker's own, as long as the task is wanted."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()
    pool = _take_pool(run, settings)
    try:
        pool.submit(task)
        while not (outcomes := pool.next_finished(_POLL_S)):
            state = worker.state.tasks.get(key)
            if run in _over or state is None or state.state not in ("executing", "long-running"):
                raise RuntimeError("the evaluation was cancelled")
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
    return LokyPool(*settings)


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


def _close_pools(run: str) -> None:
    """End a run's processes on this Dask worker."""
    with _lock:
        _over.add(run)
        pools = _idle.pop(run, {})
    for pool, timer in pools.items():
        timer.cancel()
        pool.close()

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
from evo_moo.evaluation.cluster.dask_worker import LOGGERS, GivenUpError, be_quiet, evaluate, part_from
from evo_moo.evaluation.cluster.head import Listening, cluster_of, scheduler_of
from evo_moo.evaluation.places import Devices, Places
from evo_moo.evaluation.processes import deaf_children
from evo_moo.evaluation.task import Outcome, PoolOptions, Task
from evo_moo.plugins import ProblemSource
from evo_moo.problem.goals import Goals

CONNECT_S = 30
_PARTING_S = 5.0  # so long a pool that closes waits for workers that do not answer
LOGGER = logging.getLogger("evo_moo")


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
        listening: Where to listen for workers instead; None where the cluster is another's, or of this host.

    Raises:
        UsageError: ``distributed`` is not installed, the scheduler cannot be reached, or it cannot listen there.
    """

    is_immediate = in_process = False

    def __init__(
        self,
        source: ProblemSource,
        goals: Goals,
        n_workers: int | None,
        address: str | None,
        options: PoolOptions,
        listening: Listening | None = None,
    ) -> None:
        try:
            from distributed import Client
        except ImportError as error:
            what = "`evaluation.pool` = 'dask'" if listening is None else "`evaluation.listen`"
            raise missing_extra("dask", what) from error
        self._levels = {name: logging.getLogger(name).level for name in LOGGERS}
        be_quiet()
        self.token = secrets.token_hex(8)
        self._listening, self._n_seen = listening, -1
        self._settings, self._retries = (source, goals, 1, options), options.retries
        self._running: dict[int, _Running] = {}
        self._ended: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        self._capacity, self._counted_at = 0, float("-inf")
        places = Places(options.devices if address is None and listening is None else Devices())
        self._notes = places.notes(n_workers)
        try:
            with deaf_children():
                self._cluster: Any = None
                if listening is not None:
                    self._cluster = scheduler_of(listening, self.token)
                elif address is None:
                    self._cluster = cluster_of(places.n_workers(n_workers), threads_per_worker=1, memory_limit=None)
                self._client = Client(address or self._cluster, timeout=CONNECT_S, set_as_default=False)
                if self._cluster is not None and listening is None:
                    self._client.register_worker_callbacks(be_quiet)
        except UsageError:
            raise
        except (OSError, ValueError, TypeError, ImportError) as error:
            raise UsageError(
                "`evaluation.address` must be that of a Dask scheduler, as in tcp://host:8786, but "
                f"{address!r} cannot be reached: {error}; `dask scheduler` starts one and shows its address"
            ) from error
        self._scheduler = address or "of this run"

    @property
    def address(self) -> str:
        """Address of the scheduler, as Dask names it."""
        return str(self._client.scheduler.address)

    @property
    def n_workers(self) -> int:
        """Number of threads of the cluster now, each of which evaluates in a process of its own."""
        return self._threads()

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
        self._note_workers()
        while self._notes:  # not before: only now somebody may listen
            LOGGER.warning(self._notes.pop(0))
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
            is_over = self._listening is not None and self._listening.is_over()
            parting = threading.Thread(target=self._part, args=(is_over,), daemon=True)
            parting.start()
            parting.join(_PARTING_S)
        self._running = {}
        self._client.close(timeout=5)
        if self._cluster is not None:
            self._cluster.close(timeout=10)
        for name, level in self._levels.items():
            logging.getLogger(name).setLevel(level)

    def _part(self, is_over: bool) -> None:
        """Let the workers end what they run; tell them whether the run goes on some time."""
        with contextlib.suppress(Exception):
            self._client.cancel([running.future for running in self._running.values()], force=True)
            self._client.run(part_from, self.token, is_over, on_error="ignore")

    def _note_workers(self) -> None:
        """Say how many workers a run has that listens, where that has changed."""
        n = self._threads()
        if self._listening is not None and n != self._n_seen:
            self._n_seen = n
            LOGGER.info(f"{n} worker{'s' if n > 1 else ''}" if n else "no worker is there: waits for `evo-moo work`")

    def _threads(self) -> int:
        if time.monotonic() > self._counted_at + 1:
            with contextlib.suppress(OSError, TimeoutError):
                self._capacity = sum(self._client.nthreads().values())
            self._counted_at = time.monotonic()
        return self._capacity

    def _start(self, task: Task, attempts: int) -> None:
        key = f"evo-moo-{self.token}-{task.id}-{secrets.token_hex(4)}"
        future = self._client.submit(evaluate, self.token, self._settings, task, key=key, pure=False, retries=0)
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
            if future.cancelled() or isinstance(error, GivenUpError):  # the cluster was restarted, or the worker leaves
                self._start(task, attempts)
                return None
            outcome = Outcome(number, "failed", {}, f"the Dask worker could not run it: {error!r}", attempts=attempts)
        del self._running[number]
        return outcome

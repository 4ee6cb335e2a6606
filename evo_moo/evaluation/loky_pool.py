"""Evaluations in worker processes, through joblib's loky."""

import contextlib
import logging
import multiprocessing.connection
import multiprocessing.resource_tracker
import os
import re
import secrets
import threading
import time
import warnings
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from joblib.externals.loky import BrokenProcessPool, ProcessPoolExecutor
from joblib.externals.loky.backend import resource_tracker

from evo_moo.errors import RunStoppedError, SearchFailedError
from evo_moo.evaluation import worker
from evo_moo.evaluation.evaluate import last_words
from evo_moo.evaluation.places import Place, Places
from evo_moo.evaluation.processes import MARK, deaf_children, end_marked, family, memory_mb, parents
from evo_moo.evaluation.task import Outcome, PoolOptions, Status, Task
from evo_moo.plugins import ProblemSource
from evo_moo.problem.goals import Goals

GRACE_S = 5.0  # from the time limit, at which the evaluation is interrupted, until its worker is killed
START_S = 600.0  # for a worker to start and to build the problem
FALSE_STARTS = 10  # so many workers in a row may die before an evaluation begins
OUTPUT_BYTES = 4096
PLACE_S = 1.0  # between looks for a place that others have left
_TICK_S = 0.05
_INFINITE = float("inf")
LOGGER = logging.getLogger("evo_moo")


class _Slot:
    """One worker process at its place, with its reports and the task that it runs.

    Each slot is an executor of its own, so that a worker that dies takes no other evaluation with it. loky's
    executors replace a worker that leaks (300 MB more than after its first evaluation) between evaluations.
    """

    def __init__(self, initargs: tuple[Any, ...], place: Place) -> None:
        self.place = place
        self.lock = threading.Lock()
        self.output, output = multiprocessing.Pipe(duplex=False)
        self.reports, reports = multiprocessing.Pipe(duplex=False)
        os.set_blocking(self.output.fileno(), False)
        self._pipes = (self.output, output, self.reports, reports)
        self._initargs = (*initargs, place, os.getpid(), output, reports)
        self.begin(None)
        self._make()

    def begin(self, task: Task | None) -> None:
        """Assign a task to the worker for the first time; None leaves it idle."""
        self.task = task
        self.future: Future[Outcome] | None = None
        self.attempts = self.deaths = 0
        self.pid, self.n_before, self.excess_mb, self.tail = 0, 0, 0.0, b""
        if task is not None:
            self.start()

    def start(self) -> None:
        """Start the evaluation of the task, for the first time or again."""
        with self.lock:
            self.read()
            self.pid, self.excess_mb, self.tail = 0, 0.0, b""
            self.deadline = time.monotonic() + START_S
        self.attempts += 1
        try:
            self.future = self.executor.submit(worker.run, self.task)
        except BrokenProcessPool:  # it died while it had nothing to do
            self.renew()
            self.future = self.executor.submit(worker.run, self.task)

    def read(self) -> None:
        """Take what the worker has printed and reported; the lock must be held."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(1000):  # a flood must not keep the reader
                self.tail = (self.tail + os.read(self.output.fileno(), 1 << 16))[-OUTPUT_BYTES:]
        while self.reports.poll():
            self.pid, self.n_before, left_s = self.reports.recv()
            self.deadline = time.monotonic() + left_s + GRACE_S

    def renew(self) -> None:
        """Replace the worker; whatever the old one started ends."""
        end_marked({self.mark})
        self.executor.shutdown(wait=True, kill_workers=True)
        self._make()

    def close(self) -> None:
        """Release the worker, which has been killed, its place and the pipes."""
        self.executor.shutdown(wait=True, kill_workers=True)
        self.place.close()
        for pipe in self._pipes:
            pipe.close()

    def _make(self) -> None:
        self.mark = secrets.token_hex(8)
        self.executor = ProcessPoolExecutor(
            max_workers=1,
            env={MARK: self.mark} | self.place.environment(),
            initializer=worker.start,
            initargs=self._initargs,
        )


class LokyPool:
    """Worker processes through joblib's loky; each builds the problem once, and has a place of its own on this host.

    Workers begin as places are free: where other runs have some of them, fewer begin, and the rest as those end.

    Args:
        source: How a worker builds the problem.
        goals: Objectives and limits of the run.
        n_workers: Number of processes; None: as many as there are places.
        options: Limits of one evaluation, what is reused, and what each worker has of this host.
        says_places: Whether to say what a user should know of the places.

    Raises:
        UsageError: This host does not have that.
    """

    is_immediate = in_process = False

    def __init__(
        self,
        source: ProblemSource,
        goals: Goals,
        n_workers: int | None,
        options: PoolOptions,
        *,
        says_places: bool = True,
    ) -> None:
        warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)  # loky's, on leaks
        # multiprocessing forbids children to a daemon, as a worker of Dask or of a Pool is, lest they stay behind when
        # it ends. Ours end by themselves, and are none, so that evaluations may start processes.
        multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
        with deaf_children():
            resource_tracker.ensure_running()
            multiprocessing.resource_tracker.ensure_running()
        self._options, self._memory_mb = options, options.memory_mb or _INFINITE
        self._places, self._initargs = Places(options.devices), (source, goals, options)
        self._n_workers = self._places.n_workers(n_workers)
        self._notes = self._places.notes(n_workers) if says_places else []
        self._slots, self._waiting = list[_Slot](), list[Task]()
        self._next_look = -_INFINITE
        self._add_workers()
        self._false_starts, self._last_start, self._has_begun, self._closed = 0, "", False, False
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    @property
    def n_workers(self) -> int:
        """Number of processes."""
        return len(self._slots)

    @property
    def free(self) -> int:
        """Number of idle workers; one before the first of them has a place, for the evaluation that waits for it."""
        return sum(slot.task is None for slot in self._slots) if self._slots else 1 - len(self._waiting)

    @property
    def running(self) -> int:
        """Number of tasks without an outcome."""
        return sum(slot.task is not None for slot in self._slots) + len(self._waiting)

    def submit(self, task: Task) -> None:
        """Assign the task to an idle worker; it waits where none has a place yet."""
        if self._slots:
            next(slot for slot in self._slots if slot.task is None).begin(task)
        else:
            self._waiting.append(task)

    def next_finished(self, wait_s: float) -> list[Outcome]:
        """Wait for the first outcomes; a worker that died is replaced and its evaluation started again.

        Raises:
            RunStoppedError: Workers die again and again before an evaluation begins, and did not at first.
            SearchFailedError: They do so from the first on.
        """
        self._add_workers()
        while self._notes:  # not before: only now somebody may listen
            LOGGER.warning(self._notes.pop(0))
        if not self._slots:
            time.sleep(wait_s)
            return []
        futures = {slot: slot.future for slot in self._slots if slot.future is not None}
        done, _ = wait(futures.values(), timeout=wait_s, return_when=FIRST_COMPLETED)
        now = time.monotonic()
        ended = [slot for slot, future in futures.items() if future in done or now > slot.deadline]
        outcomes = [outcome for slot in ended if (outcome := self._collect(slot)) is not None]
        if self._false_starts >= FALSE_STARTS and not outcomes:
            raise (RunStoppedError if self._has_begun else SearchFailedError)(
                "a worker process must live until its evaluation begins, but "
                f"{self._false_starts} in a row died or hung before{self._last_start}"
            )
        return outcomes

    def close(self) -> None:
        """Kill the workers and whatever they started."""
        if self._closed:
            return
        self._closed = True
        self._watcher.join()
        end_marked({slot.mark for slot in self._slots})
        for slot in self._slots:
            slot.close()

    def _add_workers(self) -> None:
        """Start workers at the places that are free, up to the number of workers."""
        if len(self._slots) == self._n_workers or time.monotonic() < self._next_look:
            return
        n_before = len(self._slots)
        while len(self._slots) < self._n_workers and (place := self._places.take()) is not None:
            self._slots.append(_Slot(self._initargs, place))
        n = len(self._slots)
        if self._next_look < 0 and n < self._n_workers:
            how = f"begins with {n} of {self._n_workers} workers, and takes more" if n else "waits, and begins"
            self._notes.append(f"of {self._places.in_words()} other runs of this host have some: {how} as they end")
        elif self._next_look > 0 and n > n_before:
            self._notes.append(f"goes on with {n} workers")
        self._next_look = time.monotonic() + PLACE_S
        while self._waiting and self._slots:
            self.submit(self._waiting.pop(0))

    def _collect(self, slot: _Slot) -> Outcome | None:
        """Take the slot's outcome; None if its evaluation was started again."""
        with slot.lock:
            slot.read()
            output, pid, excess_mb = slot.tail.decode("utf-8", "replace"), slot.pid, slot.excess_mb
        task, future = slot.task, slot.future
        if task is None or future is None:
            return None
        if pid:
            self._false_starts, self._has_begun = 0, True
        ending: tuple[Status, str] | None
        try:
            outcome = future.result(timeout=0)._replace(
                attempts=slot.attempts, output=output, place=slot.place.in_record()
            )
            if outcome.reason.startswith("CalledProcessError: ") and "; it said: " not in outcome.reason:
                outcome = outcome._replace(reason=outcome.reason + last_words(output))  # the program's, printed here
            slot.begin(None)
            return outcome
        except TimeoutError:
            slot.renew()
            limit = f"ran longer than {self._options.timeout_s or _INFINITE:g} s and had to be killed"
            ending = ("timeout", limit) if pid else self._after_death(slot, False, 0.0, "", output)
        except BrokenProcessPool as error:
            slot.renew()
            codes = re.search(r"exit codes of the workers are \{(.*)\}", str(error))
            ending = self._after_death(slot, pid != 0, excess_mb, f" ({codes[1]})" if codes else "", output)
        except Exception as error:
            ending = "failed", f"its outcome could not be sent back: {error}"
        if ending is None:
            slot.start()
            return None
        outcome = Outcome(task.id, *ending[:1], {}, ending[1], worker=pid, attempts=slot.attempts, output=output)
        slot.begin(None)
        return outcome._replace(place=slot.place.in_record())

    def _after_death(
        self, slot: _Slot, begun: bool, excess_mb: float, how: str, output: str
    ) -> tuple[Status, str] | None:
        """Return how an evaluation whose worker died ends; None if it starts again. Only its own deaths are charged."""
        if excess_mb:
            # Earlier evaluations may have left memory in use, so in a used worker the excess does not count.
            over = f"used {excess_mb:.0f} MB, more than the limit of {self._memory_mb:.0f} MB"
            return None if slot.n_before else ("failed", over)
        if not begun:
            slot.attempts -= 1
            self._false_starts, self._last_start = self._false_starts + 1, how + last_words(output)
            return None
        slot.deaths += 1
        dead = f"its worker process died, {slot.deaths} times{how}"
        return None if slot.deaths <= self._options.retries else ("crashed", dead)

    def _watch(self) -> None:
        """Keep the last of what workers print, and end evaluations that use too much memory.

        Both from outside the worker, where neither a kill nor code that keeps the interpreter's lock stops it.
        Resident memory, and no ``setrlimit``: torch and CUDA reserve many times the address space that they use.
        """
        next_look = 0.0
        while not self._closed:
            multiprocessing.connection.wait([slot.output for slot in self._slots], timeout=_TICK_S)
            for slot in self._slots:
                with slot.lock:
                    slot.read()
            if self._memory_mb < _INFINITE and time.monotonic() > next_look:
                begin, used_s = time.monotonic(), time.thread_time()
                self._check_memory()
                # On a host with many processes a look takes long: spend a twentieth of a core on it at most.
                next_look = begin + max(_TICK_S, 20 * (time.thread_time() - used_s))

    def _check_memory(self) -> None:
        parent_of = parents()
        for slot in self._slots:
            task, pid, mark = slot.task, slot.pid, slot.mark
            if task is None or not pid:
                continue
            used = memory_mb(family({pid}, parent_of), self._memory_mb)
            with slot.lock:
                if used > self._memory_mb and (slot.task, slot.pid) == (task, pid):
                    slot.excess_mb = used
                    end_marked({mark})

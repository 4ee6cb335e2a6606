"""Evaluations in worker processes, through joblib's loky."""

import os
import signal
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joblib.externals.loky import BrokenProcessPool, ProcessPoolExecutor

from evo_moo.errors import EvoMooError
from evo_moo.evaluation import THREAD_VARIABLES, Outcome, Status, Task, evaluate_task
from evo_moo.goals import Goals
from evo_moo.plugins import ProblemSource

GRACE_S = 60.0


@dataclass
class _Slot:
    """One worker process with the task that it runs.

    Each slot is an executor of its own, so that a worker that dies takes no other evaluation with it.
    """

    executor: ProcessPoolExecutor
    task: Task | None = None
    future: "Future[Outcome] | None" = None
    attempts: int = 0
    deadline: float = float("inf")


class LokyPool:
    """Worker processes through joblib's loky; each builds the problem once and uses one thread.

    Args:
        source: How a worker builds the problem.
        goals: Objectives and limits of the run.
        n_workers: Number of processes.
        timeout_s: Time limit of one evaluation; a worker that does not heed it is killed.
        retries: How often an evaluation whose worker died is started again.
        output: File that takes what the workers print.
    """

    is_immediate = False

    def __init__(
        self,
        source: ProblemSource,
        goals: Goals,
        n_workers: int,
        timeout_s: float | None = None,
        retries: int = 1,
        output: Path | None = None,
    ) -> None:
        self._initargs = (source, goals, timeout_s, os.getpid(), str(output or os.devnull))
        self._timeout_s, self._retries = timeout_s, retries
        self._slots = [_Slot(self._executor()) for _ in range(n_workers)]

    @property
    def free(self) -> int:
        """Number of idle workers."""
        return sum(slot.task is None for slot in self._slots)

    @property
    def running(self) -> int:
        """Number of busy workers."""
        return len(self._slots) - self.free

    def submit(self, task: Task) -> None:
        """Give the task to an idle worker."""
        slot = next(slot for slot in self._slots if slot.task is None)
        slot.task, slot.attempts = task, 0
        self._start(slot)

    def next_finished(self, wait_s: float) -> list[Outcome]:
        """Wait for the first outcomes; a worker that died is replaced and its evaluation started again."""
        futures = [slot.future for slot in self._slots if slot.future is not None]
        done, _ = wait(futures, timeout=wait_s, return_when=FIRST_COMPLETED)
        now = time.monotonic()
        outcomes = [
            self._collect(slot)
            for slot in self._slots
            if slot.future is not None and (slot.future in done or now > slot.deadline)
        ]
        return [outcome for outcome in outcomes if outcome is not None]

    def close(self) -> None:
        """Kill the workers."""
        for slot in self._slots:
            slot.executor.shutdown(wait=True, kill_workers=True)

    def _executor(self) -> ProcessPoolExecutor:
        environment = dict.fromkeys(THREAD_VARIABLES, "1")
        return ProcessPoolExecutor(max_workers=1, env=environment, initializer=_start_worker, initargs=self._initargs)

    def _start(self, slot: _Slot) -> None:
        slot.attempts += 1
        slot.future = slot.executor.submit(_run_in_worker, slot.task)
        if self._timeout_s is not None:
            slot.deadline = time.monotonic() + self._timeout_s + GRACE_S

    def _collect(self, slot: _Slot) -> Outcome | None:
        """Take the slot's outcome; None if its evaluation was started again."""
        task, future = slot.task, slot.future
        if task is None or future is None:
            return None
        status: Status = "crashed"
        if not future.done():
            status, reason = "timeout", f"ran longer than {self._timeout_s:g} s and had to be killed"
            self._replace_worker(slot)
        else:
            try:
                outcome = future.result()._replace(attempts=slot.attempts)
                slot.task = slot.future = None
                return outcome
            except BrokenProcessPool:
                reason = f"its worker process died, {slot.attempts} times"
                self._replace_worker(slot)
                if slot.attempts <= self._retries:
                    self._start(slot)
                    return None
            except Exception as error:
                status, reason = "failed", f"its outcome could not be sent back: {error}"
        slot.task = slot.future = None
        return Outcome(task.id, status, {}, reason, attempts=slot.attempts)

    def _replace_worker(self, slot: _Slot) -> None:
        slot.executor.shutdown(wait=True, kill_workers=True)
        slot.executor = self._executor()


_worker: dict[str, Any] = {}


def _start_worker(source: ProblemSource, goals: Goals, timeout_s: float | None, parent: int, output: str) -> None:
    """Prepare a worker process: its output, its signals, its problem."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, args=(parent,), daemon=True).start()
    with open(output, "ab", buffering=0) as file:  # noqa: PTH123
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    _worker.update(goals=goals, timeout_s=timeout_s)
    try:
        _worker["problem"] = source.build()
    except EvoMooError as error:
        _worker["error"] = str(error)


def _run_in_worker(task: Task) -> Outcome:
    if "error" in _worker:
        return Outcome(task.id, "failed", {}, f"the worker could not build the problem: {_worker['error']}")
    return evaluate_task(_worker["problem"], _worker["goals"], task, _worker["timeout_s"])


def _exit_with_parent(parent: int) -> None:
    """End this process when the main one is gone, so that a killed run leaves no training behind."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)

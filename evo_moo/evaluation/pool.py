"""Where evaluations run: in this process, in batches, or (``loky_pool``) in worker processes.

Every pool has the same four parts: ``free`` (the number of tasks that it takes now), ``submit``, ``next_finished``
and ``close``.
"""

import os
import time
from typing import Protocol

from evo_moo.errors import MetricError
from evo_moo.evaluation.evaluate import evaluate_task
from evo_moo.evaluation.profile_cache import ProfileCache
from evo_moo.evaluation.task import Outcome, Task
from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Returned, read_returned
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.threads import one_thread


class Pool(Protocol):
    """Evaluates tasks, and returns their outcomes in the order in which they end.

    Attributes:
        is_immediate: Whether ``next_finished`` evaluates all that was submitted, at once and quickly.
        in_process: Whether evaluations run in this process, within ``next_finished``.
    """

    is_immediate: bool
    in_process: bool

    @property
    def n_workers(self) -> int:
        """Number of tasks that can be evaluated at once, now; 0 where workers are still to come."""

    @property
    def free(self) -> int:
        """Number of tasks that can be submitted now."""

    @property
    def running(self) -> int:
        """Number of submitted tasks without an outcome."""

    def submit(self, task: Task) -> None:
        """Take a task; there must be a free place."""

    def next_finished(self, wait_s: float) -> list[Outcome]:
        """Return what has ended, waiting up to ``wait_s`` seconds for the first; empty if nothing has."""

    def close(self) -> None:
        """End at once, and with it the running evaluations."""


class SerialPool:
    """Evaluates one task at a time in this process; what it prints goes where this process prints.

    Args:
        problem: The problem.
        goals: Objectives and limits of the run.
        timeout_s: Time limit of one evaluation.
        profile_cache: Whether the profiles of this run are reused. Those of other runs are not: the problem's file
            may have changed since this process read it.
    """

    is_immediate, in_process = False, True
    n_workers = 1

    def __init__(
        self, problem: SearchProblem, goals: Goals, timeout_s: float | None = None, profile_cache: bool = False
    ) -> None:
        self._problem, self._goals, self._timeout_s = problem, goals, timeout_s
        self._profiles = ProfileCache(problem, None) if profile_cache else None
        self._task: Task | None = None

    @property
    def free(self) -> int:
        """One, unless a task waits."""
        return 0 if self._task else 1

    @property
    def running(self) -> int:
        """One, if a task waits."""
        return 1 - self.free

    def submit(self, task: Task) -> None:
        """Keep the task; it is evaluated when its outcome is asked for."""
        self._task = task

    def next_finished(self, wait_s: float) -> list[Outcome]:
        """Evaluate the waiting task."""
        if self._task is None:
            return []
        task, self._task = self._task, None
        with one_thread():
            return [evaluate_task(self._problem, self._goals, task, self._timeout_s, profiles=self._profiles)]

    def close(self) -> None:
        """Forget the waiting task."""
        self._task = None


class BatchPool:
    """Evaluates a whole generation in one vectorised call of a plain pymoo problem, in this process."""

    free = 1 << 30
    n_workers = 1
    is_immediate = in_process = True

    def __init__(self, problem: SearchProblem, goals: Goals) -> None:
        self._problem, self._goals = problem, goals
        self._tasks: list[Task] = []

    @property
    def running(self) -> int:
        """Number of waiting tasks."""
        return len(self._tasks)

    def submit(self, task: Task) -> None:
        """Keep the task for the next batch."""
        self._tasks.append(task)

    def next_finished(self, wait_s: float) -> list[Outcome]:
        """Evaluate all waiting tasks; if the batch raises, each by itself, so that only culprits fail."""
        tasks, self._tasks = self._tasks, []
        if not tasks:
            return []
        started_at, clock, pid = time.time(), time.perf_counter(), os.getpid()
        try:
            rows = self._problem.evaluate_batch([task.configuration for task in tasks])
        except Exception:
            return [evaluate_task(self._problem, self._goals, task) for task in tasks]
        duration_s = (time.perf_counter() - clock) / len(tasks)
        read = [read_returned(row, self._problem.by_context) for row in rows]
        outcomes = [self._outcome(*each) for each in zip(tasks, read, strict=True)]
        return [outcome._replace(started_at=started_at, duration_s=duration_s, worker=pid) for outcome in outcomes]

    def _outcome(self, task: Task, returned: Returned) -> Outcome:
        try:
            return Outcome(task.id, "ok", returned.checked(self._goals.metric_names), returned.notes())
        except MetricError as error:
            return Outcome(task.id, "failed", {}, str(error))

    def close(self) -> None:
        """Forget the waiting tasks."""
        self._tasks = []

"""A worker process: it builds the problem once, evaluates, and leaves nothing behind."""

import contextlib
import ctypes
import gc
import math
import multiprocessing
import os
import signal
import sys
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection

from evo_moo.errors import EvoMooError
from evo_moo.evaluation.evaluate import evaluate_task
from evo_moo.evaluation.places import Place
from evo_moo.evaluation.problem_version import problem_version
from evo_moo.evaluation.processes import adopt_orphans, end_children, end_with_parent, own_children
from evo_moo.evaluation.profile_cache import ProfileCache
from evo_moo.evaluation.task import Outcome, PoolOptions, Task
from evo_moo.plugins import ProblemSource
from evo_moo.problem.goals import Goals
from evo_moo.problem.search_problem import SearchProblem


@dataclass
class _Worker:
    """What this process knows from its start.

    Attributes:
        goals: Objectives and limits of the run.
        timeout_s: Time limit of one evaluation.
        place: Its GPU and cores, which stay locked as long as this process lives.
        output: Takes all that evaluations print.
        reports: Takes what ``start`` names.
        problem: The problem; None if it could not be built.
        profiles: The profiles that are known, if they are reused.
        error: Why the problem could not be built.
        n_begun: Number of evaluations so far.
    """

    goals: Goals
    timeout_s: float | None
    place: Place
    output: Connection
    reports: Connection
    problem: SearchProblem | None = None
    profiles: ProfileCache | None = None
    error: str = ""
    n_begun: int = 0


_worker: _Worker


def start(
    source: ProblemSource,
    goals: Goals,
    options: PoolOptions,
    place: Place,
    parent: int,
    output: Connection,
    reports: Connection,
) -> None:
    """Prepare this process: its cores, its signals, its output, its problem.

    Args:
        source: How to build the problem.
        goals: Objectives and limits of the run.
        options: The time limit of one evaluation, how it starts processes, and whether known profiles are reused.
        place: Its GPU and cores; its environment has them already.
        parent: Process id of the pool's owner; the worker does not outlive it.
        output: Takes all that evaluations print.
        reports: Takes a message when an evaluation begins, and when its clock stops or goes on: the process id,
            the number of evaluations before, the seconds left.
    """
    global _worker
    place.pin()
    multiprocessing.set_start_method(options.start_method, force=True)  # instead of loky's, which only loky can use
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _leave_sigterm_to_parent()
    adopt_orphans()
    end_with_parent(parent)
    _worker = _Worker(goals, options.timeout_s, place, output, reports)
    _redirect_output()
    try:
        _worker.problem = source.rebuild()
        if options.profile_cache:
            _worker.profiles = ProfileCache(_worker.problem, problem_version(_worker.problem, source))
    except EvoMooError as error:
        _worker.error = str(error)


def run(task: Task) -> Outcome:
    """Evaluate one configuration; processes that it leaves running are ended."""
    pid, n_before = os.getpid(), _worker.n_begun

    def report(left_s: float) -> None:
        if os.getpid() == pid:  # and not a forked child
            _worker.reports.send((pid, n_before, left_s))

    report(math.inf if _worker.timeout_s is None else _worker.timeout_s)
    _worker.n_begun += 1
    if _worker.problem is None:
        return Outcome(task.id, "failed", {}, f"the worker could not build the problem: {_worker.error}")
    _redirect_output()
    before = own_children()
    outcome = evaluate_task(_worker.problem, _worker.goals, task, _worker.timeout_s, report, _worker.profiles)
    try:
        _end_new_children(before)
    except Exception:
        traceback.print_exc()
    _flush()
    return outcome


def _leave_sigterm_to_parent() -> None:
    """Let SIGTERM pass: a scheduler that stops a job sends it to every process, but only the main one may judge.

    Forked children heed it again. It is held back while they change over, so that none is lost. SIGUSR1, by which
    SLURM may announce its time limit, passes too.
    """
    signal.signal(signal.SIGTERM, lambda *_: None)
    if hasattr(signal, "SIGUSR1"):
        signal.signal(signal.SIGUSR1, lambda *_: None)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]),
            after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM]),
            after_in_child=_heed_sigterm,
        )


def _heed_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])


def _redirect_output() -> None:
    """Send both outputs to the pool, whatever the evaluation before did to them; by the line, for crashes."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(_worker.output.fileno(), number)
        setattr(sys, name, os.fdopen(number, "w", 1, "utf-8", "backslashreplace", closefd=False))


def _flush() -> None:
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
        ctypes.CDLL(None).fflush(None)  # what C code printed


def _end_new_children(before: set[int]) -> None:
    """End what the evaluation started; a pool that the problem made when it was built stays."""
    if not own_children() - before:
        return
    gc.collect()  # loaders and pools that are garbage end their processes themselves
    # joblib keeps its workers for the next call; killed behind its back they would break that call.
    joblib_pool = sys.modules.get("joblib.externals.loky.reusable_executor")
    if joblib_pool is not None and joblib_pool._executor is not None:
        executor = joblib_pool._executor
        getattr(executor, "terminate", executor.shutdown)(kill_workers=True)
    forkserver = sys.modules.get("multiprocessing.forkserver")
    if forkserver is not None and forkserver._forkserver._forkserver_pid not in {None, *before}:
        forkserver._forkserver._stop()  # likewise: the next evaluation that needs one starts it
    end_children(keep=before)

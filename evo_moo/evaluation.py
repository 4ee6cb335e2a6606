"""One evaluation, as a worker runs it: profile, check the limits, evaluate, check the numbers.

Whatever the problem does ends in an ``Outcome``; nothing of it escapes as an exception.
"""

import contextlib
import inspect
import math
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Literal, NamedTuple

from evo_moo import measurement
from evo_moo.curves import Bounds, Report, TrainingStopped
from evo_moo.errors import MetricError, StopNow, place_of
from evo_moo.goals import Goals, Metrics, checked_metrics
from evo_moo.measurement import compute_slot
from evo_moo.problem import Configuration, SearchProblem
from evo_moo.profile_cache import Profile, ProfileCache
from evo_moo.weights import Weights

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")

Status = Literal["ok", "partial", "stopped", "failed", "timeout", "crashed", "infeasible"]
USABLE = ("ok", "partial", "stopped", "infeasible")
"""Statuses of outcomes that an optimizer learns from."""


class Task(NamedTuple):
    """What to evaluate, as plain data.

    Attributes:
        id: Number of the evaluation.
        configuration: Names to values.
        seed: Seed of every random choice of the evaluation.
        workspace: Folder of this evaluation's own; made only if the problem asks for it.
        fidelity: How thoroughly to evaluate it; None is as thoroughly as can be.
        is_partial: Whether that is less than the full fidelity.
        previous: Folder of the weights to go on from.
        weights: Folder for the weights that a longer evaluation may go on from.
        replicate: Number of the repetition, 0 for the first evaluation of a configuration.
        bounds: What it is judged by while it runs; None: it runs to its end.
    """

    id: int
    configuration: Configuration
    seed: int
    workspace: str | None = None
    fidelity: int | None = None
    is_partial: bool = False
    previous: str | None = None
    weights: str | None = None
    replicate: int = 0
    bounds: Bounds | None = None


class Outcome(NamedTuple):
    """How an evaluation ended.

    Attributes:
        id: Number of the evaluation.
        status: ``ok``; ``partial`` (well, at less than the full fidelity); ``stopped`` (its learning curve showed
            that it will not reach the front); ``infeasible`` (over a hard limit, so not trained); ``failed`` (it
            raised, or gave no finite numbers); ``timeout``; ``crashed`` (its worker died).
        metrics: Names to numbers; of an infeasible or stopped one those known so far; otherwise empty.
        reason: One line on why it is not ``ok``.
        traceback: The problem's traceback, where there is one.
        started_at: Unix time in seconds.
        duration_s: Wall time in seconds.
        worker: Process id.
        attempts: How many times it was started.
        output: The last of what it printed, where it ran in a worker process.
        profile_measured_at: Unix time in seconds at which a reused profile was made; 0 if it has its own.
        cost: What the evaluation counts, in full evaluations; the engine knows it.
        curve: What it reported while it ran, as ``Report.curve`` gives it; of one that was stopped also
            ``share_trained`` and the ``expected`` metrics. None where it reported nothing.
    """

    id: int
    status: Status
    metrics: Metrics
    reason: str = ""
    traceback: str = ""
    started_at: float = 0.0
    duration_s: float = 0.0
    worker: int = 0
    attempts: int = 1
    output: str = ""
    profile_measured_at: float = 0.0
    cost: float = 1.0
    curve: dict[str, Any] | None = None


class _TimeLimitReached(BaseException):
    """Interrupts an evaluation; not an ``Exception``, so that a problem does not catch it by accident."""


def evaluate_task(
    problem: SearchProblem,
    goals: Goals,
    task: Task,
    timeout_s: float | None = None,
    on_clock: Callable[[float], None] = lambda left_s: None,
    profiles: ProfileCache | None = None,
) -> Outcome:
    """Evaluate one configuration and say how it ended.

    Args:
        problem: The problem.
        goals: The objectives and limits of the run.
        task: What to evaluate.
        timeout_s: The evaluation is interrupted after so many seconds, not counting those in which it waits for
            a latency measurement of others.
        on_clock: Is told the seconds that are left: infinity when such a wait begins, the rest when it ends.
        profiles: Gives profiles that are known; None profiles every configuration anew.
    """
    started_at, clock = time.time(), time.perf_counter()
    status: Status = "ok"
    profile = Profile({})
    metrics: Metrics = {}
    reason = trace = ""
    report = Report()
    try:
        with _time_limit(timeout_s, on_clock):
            known = profiles.profile if profiles else lambda config: Profile(problem.call_profile(config))
            profile = known(task.configuration)
            report = Report(goals, task.bounds, profile.metrics)
            status, metrics, reason = _evaluate_within_limits(problem, goals, task, profile.metrics, report)
    except TrainingStopped as stop:
        status, metrics, reason = "stopped", profile.metrics | report.metrics, str(stop)
    except _TimeLimitReached:
        status, reason = "timeout", f"ran longer than {timeout_s:g} s"
        trace = traceback.format_exc(limit=-20)
    except MetricError as error:
        status, reason = "failed", f"{error}{_definition_of(problem)}"
    except StopNow:
        raise
    except BaseException as error:
        status, reason = "failed", _in_one_line(error)
        trace = traceback.format_exc(limit=-20)
    duration_s = time.perf_counter() - clock
    outcome = Outcome(task.id, status, metrics, reason, trace, started_at, duration_s, os.getpid())
    return outcome._replace(profile_measured_at=profile.measured_at, curve=_curve(report, status))


def _curve(report: Report, status: Status) -> dict[str, Any] | None:
    curve = report.curve()
    if curve is None or status != "stopped":
        return curve
    return curve | {"share_trained": report.share_trained(), "expected": report.expected()}


def _evaluate_within_limits(
    problem: SearchProblem, goals: Goals, task: Task, profile: Metrics, report: Report
) -> tuple[Status, Metrics, str]:
    broken = goals.broken_limits(profile)
    if broken:
        return "infeasible", profile, "; ".join(broken)
    with compute_slot():
        evaluated = problem.call_evaluate(
            task.configuration,
            seed=task.seed,
            workspace=task.workspace,
            fidelity=task.fidelity,
            weights=Weights(task.previous, task.weights),
            replicate=task.replicate,
            report=report,
        )
    return "partial" if task.is_partial else "ok", checked_metrics(profile | evaluated, goals.metric_names), ""


def _definition_of(problem: SearchProblem) -> str:
    """Name the file and line where the problem's evaluation is defined."""
    code = getattr(inspect.unwrap(problem.evaluated_function), "__code__", None)
    return f" ({Path(code.co_filename).name}, line {code.co_firstlineno})" if code else ""


def _in_one_line(error: BaseException) -> str:
    """Name the error and the line of the problem's code that led to it."""
    place = place_of(error)
    shown = f" ({place[0].name}, line {place[1]})" if place else ""
    name = "MemoryError" if isinstance(error, MemoryError) else type(error).__name__  # numpy has one of its own
    return f"{name}: {' '.join(str(error).split())[:300]}{shown}"


@contextlib.contextmanager
def _time_limit(timeout_s: float | None, on_clock: Callable[[float], None]) -> Iterator[None]:
    """Interrupt the block by a signal; without one (Windows, other threads) the pool's own limit remains.

    While the process waits for the measurements of others, the clock stands still.
    """
    usable = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if timeout_s is None or not usable:
        yield
        return
    left_s = timeout_s

    def interrupt(signum: int, frame: FrameType | None) -> None:
        raise _TimeLimitReached

    def on_wait(waiting: bool) -> None:
        nonlocal left_s
        if waiting:
            left_s = signal.setitimer(signal.ITIMER_REAL, 0)[0]
        elif left_s:
            signal.setitimer(signal.ITIMER_REAL, left_s)
        on_clock(math.inf if waiting else left_s)

    previous = signal.signal(signal.SIGALRM, interrupt)
    before, measurement.on_wait = measurement.on_wait, on_wait
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        measurement.on_wait = before


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let the numeric libraries of this process use one thread, as they do in a worker.

    The number of threads decides the order of sums, and so the last bits of a training's result.
    """
    import threadpoolctl

    torch = sys.modules.get("torch")
    n_threads = torch.get_num_threads() if torch is not None else 0
    outside = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    if torch is not None:
        torch.set_num_threads(1)
    try:
        with threadpoolctl.threadpool_limits(1):
            yield
    finally:
        if torch is not None:
            torch.set_num_threads(n_threads)
        for name, value in outside.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})

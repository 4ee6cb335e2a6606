"""One evaluation, as a worker runs it: profile, check the limits, evaluate, check the numbers.

Whatever the problem does, it ends in an ``Outcome`` and not in an exception.
"""

import contextlib
import inspect
import math
import os
import signal
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from evo_moo.errors import MetricError, ProgramError, StopNow, place_of
from evo_moo.evaluation.profile_cache import Profile, ProfileCache, new_profile
from evo_moo.evaluation.slots import compute_slot, listening
from evo_moo.evaluation.task import MeasuredPoint, Outcome, Status, Task
from evo_moo.files import sync_below
from evo_moo.problem.calling import Circumstances
from evo_moo.problem.goals import Goals
from evo_moo.problem.learning_curve import Report, TrainingStopped
from evo_moo.problem.metrics import Metrics, Returned
from evo_moo.problem.points import Point, point_in_words
from evo_moo.problem.search_problem import Configuration, SearchProblem
from evo_moo.problem.weights import Weights

MOST_WORDS = 4096
"""Characters that are kept of what a program said that failed."""


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
    """Evaluate one configuration, and return how it ended.

    Args:
        problem: The problem.
        goals: The objectives and limits of the run.
        task: What to evaluate.
        timeout_s: The evaluation is interrupted after so many seconds, not counting those in which it waits for
            a latency measurement of others.
        on_clock: Called with the seconds that are left: infinity when such a wait begins, the rest when it ends.
        profiles: The profiles that are known; None profiles every configuration anew.
    """
    started_at, clock = time.time(), time.perf_counter()
    status: Status = "ok"
    profile = Profile({})
    returned, metrics, points = Returned({}, {}, {}), Metrics(), tuple[Point, ...]()
    of_points: tuple[MeasuredPoint, ...] = ()
    reason = trace = ""
    report = Report()
    try:
        with _time_limit(timeout_s, on_clock):
            if task.only_profile or not problem.is_profiled_by_point:
                names = (problem.point_space if problem.is_profiled_by_point else problem.space).variables
                profiled = {name: value for name, value in task.configuration.items() if name in names}
                profile = _profile(problem, profiled, profiles, anew=task.only_profile)
            returned = Returned(profile.metrics, profile.facts, profile.faults)
            report = Report(goals, task.bounds, returned.metrics, problem.by_context)
            if task.only_profile:
                metrics = returned.metrics
            elif broken := _surely_broken(goals, profile):
                status, metrics, reason = "infeasible", returned.metrics, "; ".join(broken)
            else:
                status = "partial" if task.is_partial else "ok"
                if problem.post_training:
                    points, of_points, reason = _points(problem, goals, task, report, returned, profiles)
                else:
                    with compute_slot():
                        evaluated = problem.call_evaluate(task.configuration, **_circumstances(task, report))
                    returned = returned.followed_by(evaluated)
                    metrics, reason = returned.checked(goals.metric_names), returned.notes()
    except TrainingStopped as stop:
        status, metrics, reason = "stopped", returned.metrics | report.metrics, str(stop)
    except _TimeLimitReached as limit:
        status, reason = "timeout", f"ran longer than {timeout_s:g} s"
        said = getattr(limit, "__notes__", None)  # of a program, where one was interrupted
        trace = traceback.format_exc(limit=-20) if said is None else "\n".join(said)
    except MetricError as error:
        status, reason = "failed", f"{error}{_definition_of(problem)}"
    except ProgramError as error:
        status, reason, trace = "failed", str(error), error.output
    except StopNow:
        raise
    except BaseException as error:
        words = _words_of_program(error)
        status, reason = "failed", _in_one_line(error) + last_words(words)
        trace = "\n".join(filter(None, [traceback.format_exc(limit=-20), words]))
    duration_s = time.perf_counter() - clock
    if task.weights is not None:  # before the outcome is recorded, from which a longer training goes on
        sync_below(Path(task.weights))
    outcome = Outcome(task.id, status, metrics, reason, trace, started_at, duration_s, os.getpid())
    outcome = outcome._replace(profile_measured_at=profile.measured_at, measurements=profile.measurements)
    outcome = outcome._replace(points=points, of_points=of_points)
    return outcome._replace(facts=returned.facts, curve=report.curve(stopped=status == "stopped"))


def _profile(
    problem: SearchProblem, configuration: Configuration, profiles: ProfileCache | None, *, anew: bool = False
) -> Profile:
    if profiles is None:
        return new_profile(problem, configuration)
    return profiles.profile(configuration, anew=anew)


def _circumstances(task: Task, report: Report) -> Circumstances:
    return {
        "seed": task.seed,
        "workspace": task.workspace,
        "fidelity": task.fidelity,
        "weights": Weights(task.previous, task.weights),
        "replicate": task.replicate,
        "report": report,
    }


def _points(
    problem: SearchProblem, goals: Goals, task: Task, report: Report, known: Returned, profiles: ProfileCache | None
) -> tuple[tuple[Point, ...], tuple[MeasuredPoint, ...], str]:
    """Train, and return the points that are offered, what was measured of them, and what has no number in words.

    Raises:
        MetricError: A point lacks a metric that is needed, or none could be made; all faults are named.
    """
    with compute_slot():
        offered = problem.call_training(task.configuration, **_circumstances(task, report))
    points, measured, notes, faults = list[Point](), list[MeasuredPoint](), list[str](), list[str]()
    for number, (choices, returned, fault) in enumerate(offered, 1):
        if fault:
            points.append(Point(choices, {}, fault))
            continue
        if problem.is_profiled_by_point:
            profile = _profile(problem, task.configuration | choices, profiles)
            known = Returned(profile.metrics, profile.facts, profile.faults)
            measured.append(MeasuredPoint(number, profile.measured_at, profile.measurements))
        whole = known.followed_by(returned._replace(facts={}))  # a point keeps numbers only: a note says so of texts
        try:
            points.append(Point(choices, whole.checked(goals.metric_names)))
        except MetricError as error:
            faults.append(f"{point_in_words(number, choices)}: {error}")
        if note := whole.notes():
            notes.append(f"{point_in_words(number, choices)} has {note}")
    if not faults and all(point.fault for point in points):
        faults = [f"no point could be made; {point_in_words(1, points[0].choices)}: {points[0].fault}"]
    if faults:
        raise MetricError("; ".join(faults))
    return tuple(points), tuple(measured), "; ".join(notes)


def _surely_broken(goals: Goals, profile: Profile) -> list[str]:
    """Describe the limits that a profile exceeds; none where what is in doubt may as well keep them."""
    broken, whole = goals.broken_limits(profile.metrics), profile.pooled()
    if not broken or whole is None or not whole.in_doubt:
        return broken
    ends = ({name: interval[end] for name, interval in whole.intervals.items()} for end in (0, 1))
    return broken if all(goals.broken_limits(profile.metrics | end) for end in ends) else []


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


def _words_of_program(error: BaseException) -> str:
    """Return the end of what a program said that an evaluation ran and that failed; empty where that was not kept."""
    if not isinstance(error, subprocess.CalledProcessError | subprocess.TimeoutExpired):
        return ""
    said = error.stderr or error.output or ""
    return (said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said))[-MOST_WORDS:]


def last_words(output: str) -> str:
    """Return the last line of what a program said, as it ends a reason; empty where it said nothing."""
    lines = output.split("\n")
    return next((f"; it said: {line.strip()[:300]}" for line in reversed(lines) if line.strip()), "")


def can_interrupt() -> bool:
    """Return whether an evaluation in this thread can be interrupted: by a signal, which the main thread receives."""
    return hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()


@contextlib.contextmanager
def _time_limit(timeout_s: float | None, on_clock: Callable[[float], None]) -> Iterator[None]:
    """Interrupt the block by a signal; without one (Windows, other threads) the pool's own limit remains.

    While the process waits for the measurements of others, the clock stands still.
    """
    if timeout_s is None or not can_interrupt():
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
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    try:
        with listening(on_wait):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)

"""One evaluation as plain data: what to evaluate, and what came of it."""

from typing import Any, Literal, NamedTuple

from evo_moo.evaluation.places import Devices
from evo_moo.problem.learning_curve import Bounds, LearningCurve
from evo_moo.problem.measurements import Measurement, Pooled
from evo_moo.problem.metrics import Facts, Metrics
from evo_moo.problem.points import Offered, Point, numbered
from evo_moo.problem.search_problem import Configuration

Status = Literal["ok", "partial", "stopped", "failed", "timeout", "crashed", "infeasible"]
USABLE = ("ok", "partial", "stopped", "infeasible")
"""Statuses of outcomes that an optimizer learns from."""


class PoolOptions(NamedTuple):
    """How worker processes treat every evaluation.

    Attributes:
        timeout_s: Time limit of one evaluation; a process that does not heed it is killed.
        retries: How often an evaluation whose process died is started again.
        memory_mb: Limit on the memory of one evaluation with all that it starts, in MB.
        profile_cache: Whether known profiles are reused; see ``evo_moo.evaluation.profile_cache``.
        start_method: How evaluations start processes, as in ``multiprocessing.set_start_method``; None is Python's own.
        devices: What each worker has of its host.
    """

    timeout_s: float | None = None
    retries: int = 1
    memory_mb: float | None = None
    profile_cache: bool = False
    start_method: str | None = None
    devices: Devices = Devices()


class Task(NamedTuple):
    """What to evaluate, as plain data.

    Attributes:
        id: Number of the evaluation.
        configuration: Names to values.
        seed: Seed of every random choice of the evaluation.
        workspace: A folder for this evaluation alone; made only if the problem asks for it.
        fidelity: How thoroughly to evaluate it; None is as thoroughly as can be.
        is_partial: Whether that is less than the full fidelity.
        previous: Folder of the weights to go on from.
        weights: Folder for the weights that a longer evaluation may go on from.
        replicate: Number of the replicate, 0 for the first evaluation of a configuration.
        bounds: What its learning curve is judged by; None: it runs to its end.
        only_profile: Whether to measure its profile again, and nothing else.
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
    only_profile: bool = False


class MeasuredPoint(NamedTuple):
    """What was measured of one point, where the profile depends on the choices after a training.

    Attributes:
        number: Number of the point.
        measured_at, measurements, pooled: As ``profile_measured_at`` and so on of an ``Outcome``.
    """

    number: int
    measured_at: float
    measurements: tuple[Measurement, ...]
    pooled: Pooled | None = None


class Outcome(NamedTuple):
    """How an evaluation ended.

    Attributes:
        id: Number of the evaluation.
        status: ``ok``; ``partial`` (well, at less than the full fidelity); ``stopped`` (its learning curve showed
            that it will not reach the front); ``infeasible`` (over a hard limit, so not trained); ``failed`` (it
            raised, or gave no finite numbers); ``timeout``; ``crashed`` (its worker died).
        metrics: Names to numbers; of an infeasible or stopped one those known so far; otherwise empty, also of one with
            points, each of which has its own.
        reason: One line on why it is not ``ok``, or on what has no number.
        traceback: The problem's traceback, where there is one.
        started_at: Unix time in seconds.
        duration_s: Wall time in seconds.
        worker: Process id.
        attempts: How many times it was started.
        output: The last of what it printed, where it ran in a worker process.
        profile_measured_at: Unix time in seconds at which a reused profile was made; 0 if it has its own.
        measurements: What was measured of its architecture, this time and before.
        pooled: What all measurements of the run say of its architecture; the engine sets it.
        cost: The cost of the evaluation, in full evaluations; the engine sets it.
        curve: What it reported while it ran; None where it reported nothing.
        facts: What it returned beside numbers: texts, and short lists and tables.
        points: What it offers, of a problem with post-training variables.
        of_points: What was measured of the points.
        place: The worker's number, GPU and cores, as in ``Place.in_record``; empty where it has nothing of its own.
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
    measurements: tuple[Measurement, ...] = ()
    pooled: Pooled | None = None
    cost: float = 1.0
    curve: LearningCurve | None = None
    facts: Facts = {}
    points: tuple[Point, ...] = ()
    of_points: tuple[MeasuredPoint, ...] = ()
    place: dict[str, Any] = {}

    @property
    def offered(self) -> Offered:
        """What it offers, as an optimizer learns it."""
        return numbered(self.points, self.metrics)

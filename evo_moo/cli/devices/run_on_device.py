"""An old run on a device that it never saw: predicted latencies, the front, a pick, and what to measure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evo_moo.analysis.result import Result
from evo_moo.cli.devices.adding import add_table, keep
from evo_moo.cli.devices.store import TO_FILL, file_of, known_devices, read_device
from evo_moo.errors import NoChoiceError, UsageError
from evo_moo.evaluation.machine import cpu_model
from evo_moo.problem.contexts import AT
from evo_moo.problem.goals import Goals
from evo_moo.run.preparation.recorded_job import recorded_job
from evo_moo.toolkit.devices.device_files import DeviceFile, write_networks
from evo_moo.toolkit.devices.device_front import DeviceFront
from evo_moo.toolkit.devices.latency_model import LatencyModel
from evo_moo.toolkit.devices.measuring import measure_networks
from evo_moo.toolkit.devices.table import LATENCY, LatencyTable, device_of_metric, tables_of_metrics

if TYPE_CHECKING:
    from evo_moo.problem.search_problem import SearchProblem
    from evo_moo.storage.evaluation_row import Evaluation

OWN = "the run's own"
"""Stands for the name of the device on which a run measured."""
MOST_WORTH = 5


@dataclass(frozen=True)
class RunOnDevice:
    """An old run on a device.

    Attributes:
        device: Name of the device.
        goals: The run's goals beside latencies.
        evaluations: What was evaluated in full and keeps the limits.
        front: The front among these on the device.
        worth: Rows of the networks that are worth measuring.
        to_fill: The table to be filled in with these, if one was written.
        n_verified: Number of networks that were measured now.
        limit_ms: The deadline, if there is one.
        safe: Number of standard deviations by which a pick keeps it.
        picked: Row of the pick under the deadline.
        left_out: Objectives and limits of the run that are of other devices.
    """

    device: str
    goals: Goals
    evaluations: "Sequence[Evaluation]"
    front: DeviceFront
    worth: Sequence[int]
    to_fill: Path | None
    n_verified: int
    limit_ms: float | None
    safe: float
    picked: int | None
    left_out: tuple[str, ...]

    def member(self, row: int) -> dict[str, Any]:
        """Return one network as plain data."""
        evaluation, predicted = self.evaluations[row], self.front.predicted
        return {
            "id": evaluation.id,
            **{o.metric: evaluation.metrics[o.metric] for o in self.goals.objectives},
            LATENCY: float(predicted.mean_ms[row]),
            "std_ms": float(predicted.std_ms[row]),
            "by": predicted.by[row],
            "configuration": evaluation.configuration,
        }

    def to_json(self) -> dict[str, Any]:
        """Return plain data: the front, the fastest first, then every configuration that is not on it."""
        rows = self.front.rows.tolist()
        others = [row for row in range(len(self.evaluations)) if row not in set(rows)]
        return {
            "device": self.device,
            "front": [self.member(row) for row in rows],
            "worth_measuring": [self.evaluations[row].id for row in self.worth],
            "to_fill": str(self.to_fill) if self.to_fill else None,
            "verified": self.n_verified,
            "left_out": list(self.left_out),
            **({} if self.picked is None else {"picked": self.member(self.picked), "limit_ms": self.limit_ms}),
            "others": [self.member(row) for row in others],
        }


def run_on_device(
    run_dir: Path,
    name: str,
    place: str | None,
    *,
    verify: int,
    measured: Path | None,
    under: float | None,
    safe: float,
) -> RunOnDevice:
    """Predict the latencies of a run's configurations on a device, and measure those in doubt if that is asked.

    Args:
        run_dir: The run folder.
        name: Name of the device.
        place: Where the problem lies now; None: where it was.
        verify: Number of networks to measure.
        measured: A table with more latencies of the device.
        under: A deadline in milliseconds.
        safe: Number of standard deviations by which a pick keeps it.

    Raises:
        UsageError: The device is not known, a table is wrong, or the run has nothing to show.
        NoChoiceError: Nothing keeps the deadline.
        EvoMooError: The problem cannot be built, or not be measured.
    """
    job, problem, _ = recorded_job(run_dir, place, {}, "from Python, take evo_moo.toolkit.devices")
    use, result = place or job.problem.use, Result.read(run_dir)
    if measured is not None:
        add_table(problem, use, name, measured)
    file = _file_of_device(problem, use, name, result)
    goals, left_out = _other_goals(result.goals)
    evaluations = [e for e in result.measured if goals.has_objectives(e.metrics) and goals.violation(e.metrics) == 0]
    if not evaluations:
        raise UsageError(f"`{run_dir}` must have an evaluation that ended well and keeps the limits, but has none")
    model = LatencyModel(problem, [*_tables(problem, result), *_other_devices(problem, use, name)])

    def front_and_worth(most: int) -> tuple[DeviceFront, list[int]]:
        front = _front(model, goals, evaluations, file)
        decide = front.worth_measuring(most) if under is None else front.worth_measuring_under(under, safe, most)
        return front, decide.tolist()

    front, rows = front_and_worth(verify or MOST_WORTH)
    to_fill, n_verified = None, 0
    if verify and rows:
        chosen = {f"evaluation_{evaluations[row].id}": evaluations[row].configuration for row in rows}
        if file.machine and file.machine == cpu_model():
            new, n_verified = measure_networks(problem, name, [*chosen.values()], file.deployment), len(rows)
            file = file._replace(table=file.table.joined(problem, new))
            keep(problem, file_of(use, name), file)
            front, rows = front_and_worth(MOST_WORTH)
        else:
            to_fill = file_of(use, name).with_name(f"{name}{TO_FILL}.csv")
            write_networks(to_fill, problem, chosen)
    picked = None if under is None else front.pick_under(under, safe)
    if under is not None and picked is None and to_fill is None:
        raise _no_choice(front, evaluations, under, safe)
    return RunOnDevice(name, goals, evaluations, front, rows, to_fill, n_verified, under, safe, picked, tuple(left_out))


def _file_of_device(problem: "SearchProblem", use: str, name: str, result: Result) -> DeviceFile:
    if name in {context.name for context in result.goals.contexts} and not file_of(use, name).is_file():
        shown = f"`evo-moo show {result.run_dir} --context {name}` shows the front there"
        rule = f"a device must be new to `{result.run_dir}`"
        raise UsageError(f"{rule}, but {name} is a context that it searched; {shown}")
    return read_device(use, name, problem)


def _front(model: LatencyModel, goals: Goals, evaluations: "Sequence[Evaluation]", file: DeviceFile) -> DeviceFront:
    configurations = [e.configuration for e in evaluations]
    keys = [model.problem.architecture_key(config) for config in configurations]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    others = goals.F([e.metrics for e in evaluations])
    return DeviceFront(others, model.predict(configurations, file.table), np.array([numbers[key] for key in keys]))


def _no_choice(front: DeviceFront, evaluations: "Sequence[Evaluation]", limit_ms: float, safe: float) -> NoChoiceError:
    safely = front.predicted.mean_ms + safe * front.predicted.std_ms
    fastest = int(np.argmin(safely))
    mean, std = front.predicted.mean_ms[fastest], front.predicted.std_ms[fastest]
    return NoChoiceError(
        f"mean + {safe:g} std must be at most {limit_ms:g} ms, but of the fastest, evaluation "
        f"{evaluations[fastest].id}, is {safely[fastest]:.4g} ({mean:.4g} ± {std:.2g}); verify it, or allow more",
        evaluations[fastest],
    )


def _other_goals(goals: Goals) -> tuple[Goals, list[str]]:
    """Return the goals beside those of devices, and the names of these."""

    def is_of_device(metric: str) -> bool:
        return device_of_metric(metric) is not None or AT in metric

    limits = tuple(limit for limit in goals.limits if not is_of_device(limit.metric))
    objectives = tuple(o for o in goals.objectives if not is_of_device(o.metric))
    if not objectives:
        raise UsageError("a run must have an objective beside latencies, to have a front on a device, but has none")
    kept = {o.metric for o in objectives} | {limit.metric for limit in limits}
    return replace(goals, objectives=objectives, limits=limits, contexts=()), [
        name for name in goals.metric_names if name not in kept
    ]


def _tables(problem: "SearchProblem", result: Result) -> list[LatencyTable]:
    """Return the latencies that a run measured, by device; what the problem computes it knows of itself."""
    computed = problem.call_compute(next(iter(result.measured)).configuration).metrics
    tables = tables_of_metrics(problem, ((e.configuration, e.metrics) for e in result.measured))
    names = {device_of_metric(name) for name in computed}
    return [replace(table, device=table.device or OWN) for table in tables if table.device not in names]


def _other_devices(problem: "SearchProblem", use: str, name: str) -> Iterator[LatencyTable]:
    for other in known_devices(use):
        if other != name:
            yield read_device(use, other, problem).table

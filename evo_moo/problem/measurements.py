"""Measured times of one architecture, and the one value that all its measurements make.

Measurements that were not disturbed are pooled; where there are none, the disturbed ones are, and the value is *in
doubt*. The pooled value is the mean of the logarithms, each weighed by the inverse of its variance, and its standard
error is multiplied by the Birge ratio where the measurements differ by more than their intervals say: the procedure of
the Particle Data Group (Workman et al., "Review of particle physics", PTEP 2022, section 5.2.2). So each repetition
makes the value better, and no value is chosen because it is the best.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metrics

Interval = tuple[float, float]
REPEATABILITY, OF_DISTURBED = 0.01, 0.05
"""Standard deviations, relative, of what one measurement and the next differ by, whatever their intervals say."""
WIDEST = 0.2
"""Width of an interval, as a share of the value, above which the value is in doubt."""
_NORMAL_95 = 1.96


class Timing(NamedTuple):
    """A measured time, or what follows from it.

    Attributes:
        value: The value, such as milliseconds.
        low: The lower end of the 95 % confidence interval.
        high: The upper end.
        reference: The workload by whose nominal time the value is scaled; empty: by none.
        nominal_ms: The nominal time that the value was scaled by.
        power: The value is proportional to this power of the nominal time: 1 for a latency, -1 for a throughput.
    """

    value: float
    low: float
    high: float
    reference: str = ""
    nominal_ms: float = 1.0
    power: int = 0

    def scaled(self, nominal_ms: Mapping[str, float]) -> Self:
        """Return the same measurement with the nominal time that is known now."""
        known_ms = nominal_ms.get(self.reference, self.nominal_ms)
        factor = (known_ms / self.nominal_ms) ** self.power
        scaled = self._replace(value=self.value * factor, low=self.low * factor, high=self.high * factor)
        return scaled._replace(nominal_ms=known_ms)


class Measurement(NamedTuple):
    """One measurement of an architecture.

    Attributes:
        at: Unix time in seconds, by which a measurement is told from another.
        timings: Names of metrics to what was measured.
        is_sound: Whether the machine was quiet.
    """

    at: float
    timings: dict[str, Timing]
    is_sound: bool = True

    def to_record(self) -> list[Any]:
        """Return plain data."""
        return [self.at, {name: list(timing) for name, timing in self.timings.items()}, self.is_sound]

    @classmethod
    def of_record(cls, record: Sequence[Any]) -> Self:
        """Read what ``to_record`` returned.

        Raises:
            ValueError: It is something else.
            TypeError: It is something else.
        """
        at, timings, is_sound = record
        known = {str(name): Timing(*values) for name, values in dict(timings).items()}
        if not all(math.isfinite(t.value * t.low * t.high) and t.nominal_ms > 0 for t in known.values()):
            raise ValueError("a measured time that is no number")
        return cls(float(at), known, bool(is_sound))


class Pooled(NamedTuple):
    """What all measurements of an architecture say.

    Attributes:
        metrics: Names of metrics to their values.
        intervals: Names of metrics to their 95 % confidence intervals, where they were measured against a reference.
        in_doubt: Whether every measurement was disturbed, or an interval is wide.
    """

    metrics: Metrics
    intervals: dict[str, Interval]
    in_doubt: bool

    def to_record(self) -> dict[str, Any]:
        """Return plain data, without the values."""
        return {"intervals": self.intervals, "in_doubt": self.in_doubt}

    def at_best(self, metrics: Metrics, signs: Mapping[str, int]) -> Metrics:
        """Return metrics with the better end of each interval; ``signs`` are -1 for what is maximised, else 1."""
        return metrics | {name: interval[signs.get(name, 1) < 0] for name, interval in self.intervals.items()}

    def at_worst(self, metrics: Metrics, signs: Mapping[str, int]) -> Metrics:
        """Return metrics with the worse end of each interval; ``signs`` are -1 for what is maximised, else 1."""
        return metrics | {name: interval[signs.get(name, 1) > 0] for name, interval in self.intervals.items()}


def lowest_nominal_ms(measurements: Iterable[Measurement]) -> dict[str, float]:
    """Return the lowest nominal time of each reference: others only ever add to a time."""
    lowest: dict[str, float] = {}
    for timing in (timing for measurement in measurements for timing in measurement.timings.values()):
        if timing.reference:
            lowest[timing.reference] = min(timing.nominal_ms, lowest.get(timing.reference, math.inf))
    return lowest


def pooled(measurements: Sequence[Measurement], nominal_ms: Mapping[str, float]) -> Pooled:
    """Pool the measurements of one architecture, of which there must be one.

    Args:
        measurements: The measurements.
        nominal_ms: Nominal times of the references as they are known now.
    """
    chosen = [m for m in measurements if m.is_sound] or measurements
    metrics, intervals = dict[str, float](), dict[str, Interval]()
    for name in dict.fromkeys(name for measurement in chosen for name in measurement.timings):
        timings = [m.timings[name].scaled(nominal_ms) for m in chosen if name in m.timings]
        metrics[name], interval = _pooled(timings, REPEATABILITY if chosen[0].is_sound else OF_DISTURBED)
        if timings[0].reference:
            intervals[name] = interval
    is_wide = any(high - low > WIDEST * abs(metrics[name]) for name, (low, high) in intervals.items())
    return Pooled(metrics, intervals, is_wide or not chosen[0].is_sound)


def front_rows(
    goals: Goals, candidates: Sequence[tuple[int | str, Metrics]], doubts: Mapping[int | str, Pooled]
) -> npt.NDArray[np.int64]:
    """Return the rows of the Pareto front, sorted by the first objective.

    A value in doubt displaces a sound one only where the worse end of its interval does: so the front holds the sound
    rows of both fronts, with the values as they are and with each value in doubt at its worse end.

    Args:
        goals: Objectives and limits.
        candidates: Ids, of evaluations or of their points, and metrics.
        doubts: What the measurements say of those that are in doubt, by id.
    """
    signs = {objective.metric: objective.sign for objective in goals.objectives}
    plain = [metrics for _, metrics in candidates]
    wary = [doubts[key].at_worst(metrics, signs) if key in doubts else metrics for key, metrics in candidates]
    front, spared = (goals.front_rows(rows) for rows in (plain, wary))
    rows = np.union1d(front, [row for row in spared if candidates[row][0] not in doubts]).astype(np.int64)
    by_objectives: npt.NDArray[np.int64] = rows[np.lexsort(goals.F([plain[row] for row in rows]).T[::-1])]
    return by_objectives


def _pooled(timings: Sequence[Timing], least: float) -> tuple[float, Interval]:
    """Return the pooled value and its interval; ``least`` is the least relative standard deviation of each."""
    values = [timing.value for timing in timings]
    if min(timing.low for timing in timings) <= 0:
        return float(np.median(values)), (min(values), max(values))
    logs = np.log(values)
    errors = np.array([max(math.log(t.high / t.low) / (2 * _NORMAL_95), least) for t in timings])
    weights = errors**-2 / np.sum(errors**-2)
    mean = float(weights @ logs)
    birge = math.sqrt(float(np.sum(((logs - mean) / errors) ** 2)) / max(len(values) - 1, 1))
    half = _NORMAL_95 * float(np.sum(errors**-2)) ** -0.5 * max(birge, 1.0)
    value = values[0] if len(set(values)) == 1 else math.exp(mean)  # equal ones stay what they are, to the last digit
    return value, (value * math.exp(-half), value * math.exp(half))

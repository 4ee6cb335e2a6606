"""Latencies of one device, by architecture."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from evo_moo.problem import Configuration, SearchProblem
from evo_moo.toolkit.devices.device import Array
from evo_moo.values import NONE, value_text

LATENCY = "latency_ms"
_OF_DEVICE = re.compile(r"latency_ms@(.+)|latency_ms\[(.+)\]|latency_(.+)_ms")


@dataclass(frozen=True)
class LatencyTable:
    """Latencies of networks on one device.

    Attributes:
        device: Name of the device.
        configurations: The networks, each architecture once.
        latencies_ms: Their latencies, ``(n,)``, in milliseconds.
        stds_ms: Standard deviations of these by the measurement itself; by default 0.
    """

    device: str
    configurations: Sequence[Configuration]
    latencies_ms: Sequence[float]
    stds_ms: Sequence[float] = ()

    def rows(self) -> list[tuple[Configuration, float, float]]:
        """Return configurations with their latencies and standard deviations."""
        stds = self.stds_ms or [0.0] * len(self.latencies_ms)
        return list(zip(self.configurations, self.latencies_ms, stds, strict=True))

    def by_architecture(self, problem: SearchProblem) -> dict[str, tuple[float, float]]:
        """Return the key of each architecture to the latency and the standard deviation."""
        return {problem.architecture_key(config): (ms, std) for config, ms, std in self.rows()}

    def column(self, problem: SearchProblem, configurations: Iterable[Configuration]) -> Array:
        """Return the latencies of configurations, ``(n,)``; NaN where the table has none."""
        known = self.by_architecture(problem)
        return np.array([known.get(problem.architecture_key(c), (np.nan, 0.0))[0] for c in configurations])

    def joined(self, problem: SearchProblem, newer: Self) -> Self:
        """Return a table with the rows of both; where both have an architecture, the newer measurement counts."""
        fresh = newer.by_architecture(problem).keys()
        kept = [row for row in self.rows() if problem.architecture_key(row[0]) not in fresh]
        configurations, latencies_ms, stds_ms = zip(*kept, *newer.rows(), strict=True)
        return type(self)(self.device, configurations, latencies_ms, stds_ms)


def comparable(value: Any) -> str:
    """Write an option or a cell so that the same ones compare: 3, 3.0 and "3", True and "true", None and "none"."""
    text = value.strip() if isinstance(value, str) else value_text(value)
    try:
        return f"{float(text):.12g}"
    except ValueError:
        return text.lower() if text.lower() in ("true", "false", NONE) else text


def device_of_metric(name: str) -> str | None:
    """Return the device whose latency a metric is: of ``latency_ms@pixel3`` pixel3, of ``latency_ms`` an empty name.

    ``latency_ms[pixel3]`` and ``latency_pixel3_ms`` are the same. Of any other metric it is None.
    """
    if name == LATENCY:
        return ""
    found = _OF_DEVICE.fullmatch(name)
    return next(filter(None, found.groups())) if found else None


def tables_of_metrics(
    problem: SearchProblem, rows: Iterable[tuple[Configuration, Mapping[str, float]]]
) -> list[LatencyTable]:
    """Return a table for each device of which metrics hold latencies, such as those of a run, or of ``compute``.

    Args:
        problem: The problem.
        rows: Configurations and their metrics. Of several of one architecture the first counts.
    """
    found: dict[str, dict[str, tuple[Configuration, float]]] = {}
    for config, metrics in rows:
        key = problem.architecture_key(config)
        for name, value in metrics.items():
            device = device_of_metric(name)
            if device is not None and 0 < value < np.inf:
                found.setdefault(device, {}).setdefault(key, (config, float(value)))
    return [
        LatencyTable(device, [c for c, _ in known.values()], [ms for _, ms in known.values()])
        for device, known in found.items()
    ]

"""Latencies of a device that is not at hand: a table or a function in place of the measurement.

A problem with one objective per device:

    PIXEL3 = DeviceLatency.from_csv("latencies.csv", "pixel3")

    class OnPhones(SearchProblem):
        objectives = {"accuracy": "max", PIXEL3.metric: "min"}      # latency_ms[pixel3]

        def profile(self, config):
            return PIXEL3(config)
"""

import csv
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from evo_moo.errors import MetricError
from evo_moo.toolkit.devices.table import LATENCY, comparable
from evo_moo.values import value_text

Configuration = Mapping[str, Any]


class DeviceLatency:
    """The latency of configurations on one device, by any function of the configuration.

    Args:
        device: Name of the device.
        latency_ms: Takes a configuration and gives milliseconds: a lookup, a sum over measured layers, a fitted
            model.
    """

    def __init__(self, device: str, latency_ms: Callable[[Configuration], float]) -> None:
        self.device, self.latency_ms = device, latency_ms

    @property
    def metric(self) -> str:
        """Name of the metric, such as ``latency_ms[pixel3]``."""
        return f"{LATENCY}[{self.device}]"

    def __call__(self, config: Configuration) -> dict[str, float]:
        """Return the latency under its metric's name, as ``profile`` returns it.

        Raises:
            MetricError: The function gave no positive finite number, or the table has no such configuration.
        """
        latency_ms = float(self.latency_ms(config))
        if not 0 < latency_ms < math.inf:
            raise MetricError(f"`{self.metric}` must be a positive number, but is {latency_ms!r}")
        return {self.metric: latency_ms}

    @classmethod
    def from_table(cls, device: str, rows: Iterable[Mapping[str, Any]]) -> Self:
        """Look configurations up in rows of measured ones.

        Args:
            device: Name of the device.
            rows: Names of variables to values, and the latency under ``latency_ms[device]`` or ``latency_ms``.
                Other columns that begin with ``latency_ms`` are passed over. A variable that is missing or empty
                does not exist in that configuration; the option None is ``none``. Of several rows of one configuration
                the median counts.
                Variables that no row names do not matter to the latency.

        Returns:
            The table as a function.

        Raises:
            MetricError: A row has no latency, or there is no row.
        """
        rows = list(rows)
        if not rows:
            raise MetricError(f"the table of `{device}` must have at least one row, but is empty")
        variables = sorted({name for row in rows for name in row if not name.startswith(LATENCY)})
        seen: dict[tuple[str, ...], list[float]] = defaultdict(list)
        for number, row in enumerate(rows, 1):
            cell = row.get(f"{LATENCY}[{device}]", row.get(LATENCY))
            try:
                seen[_key(row, variables)].append(float(cell))
            except (TypeError, ValueError):
                raise MetricError(
                    f"row {number} of the table must have a number under `{LATENCY}[{device}]` or `{LATENCY}`, "
                    f"but has {cell!r}"
                ) from None
        table = {key: statistics.median(values) for key, values in seen.items()}

        def look_up(config: Configuration) -> float:
            try:
                return table[_key(config, variables)]
            except KeyError:
                shown = ", ".join(f"{name}={value_text(config[name])}" for name in variables if name in config)
                raise MetricError(
                    f"the table of `{device}` must have every configuration that is asked, but has none of its "
                    f"{len(table)} for {shown}; measure it, or give a function instead"
                ) from None

        return cls(device, look_up)

    @classmethod
    def from_csv(cls, path: str | Path, device: str) -> Self:
        """Look configurations up in a CSV file with a header; see ``from_table``.

        Raises:
            MetricError: A row has no latency, or there is no row.
            OSError: The file cannot be read.
        """
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            return cls.from_table(device, csv.DictReader(file))


def _key(values: Mapping[str, Any], variables: Iterable[str]) -> tuple[str, ...]:
    return tuple(comparable(values.get(name, "")) for name in variables)

"""The latency of any network on a device of which ten networks were measured, with its doubt.

model = LatencyModel(problem, known)                 # tables of other devices, of a problem, files or a run
predicted = model.predict(configurations, phone)     # phone: a table of at least the ten reference networks
predicted.mean_ms, predicted.std_ms
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from evo_moo.errors import MetricError
from evo_moo.pareto import thinned
from evo_moo.problem import Configuration, SearchProblem
from evo_moo.toolkit.devices.device import Array, Device
from evo_moo.toolkit.devices.inputs import architecture_inputs
from evo_moo.toolkit.devices.mixture import calibrated, mixture
from evo_moo.toolkit.devices.references import references
from evo_moo.toolkit.devices.table import LatencyTable, device_of_metric, tables_of_metrics

if TYPE_CHECKING:
    from evo_moo.toolkit.devices.latency_net import LatencyNet

MEASURED, MIXTURE, NET = "measured", "mixture", "net"
MOST_LEARNT, FEWEST_ROWS = 2000, 10
UNKNOWN = (math.nan, math.nan)
LEAST_SHARE = 0.1
"""Of the fastest reference network: no network is predicted to be faster."""


@dataclass(frozen=True)
class Predicted:
    """Latencies of networks on a device.

    Attributes:
        mean_ms: ``(n,)`` milliseconds.
        std_ms: ``(n,)`` their standard deviations: of what was measured that of the measurement itself.
        by: How each is known: ``"measured"``, ``"mixture"`` or ``"net"``.
    """

    mean_ms: Array
    std_ms: Array
    by: tuple[str, ...]

    @property
    def is_measured(self) -> npt.NDArray[np.bool_]:
        """Which were measured on the device, ``(n,)``."""
        return np.array([by == MEASURED for by in self.by], dtype=bool)


class LatencyModel:
    """Predicts latencies on devices by those of known devices and by the work of the networks.

    What was measured on the device is known. Else a mixture of all that is known of a network predicts it: latencies
    on other devices, what the problem computes, and the work of the network that it builds. Where no device is known
    to have run it, the latency net predicts it, if there is one. The doubt is the spread of mixtures that leave
    measurements out, and how far these miss them; both weighed as known devices show, each predicted by the others.

    Attributes:
        problem: The problem.
        references: The ten reference networks, in their order.

    Args:
        problem: The problem. Latencies of devices that it computes are known of every network.
        known: Tables of other known devices. One that lacks reference networks, such as that of an old run, is
            completed by a ridge regression on its own rows.
        net: Predicts networks that no known device has run; ``with_net`` trains one.

    Raises:
        ProblemError: The problem has no reference networks.
    """

    def __init__(
        self, problem: SearchProblem, known: Sequence[LatencyTable] = (), net: "LatencyNet | None" = None
    ) -> None:
        self.problem, self._net = problem, net
        self.references = references(problem)
        self._work: dict[str, dict[str, float]] = {}
        self._known = [self._completed(table) for table in known]
        self._latencies = [table.by_architecture(problem) for table in self._known]

    def with_net(self, seed: int = 0) -> "LatencyModel":
        """Return a model whose latency net has learnt the known devices; takes about 20 s of one core.

        Raises:
            MetricError: No device is known.
        """
        from evo_moo.toolkit.devices.latency_net import N_ARCHITECTURES, train_latency_net

        space = self.problem.space
        drawn = space.decode(space.sample(N_ARCHITECTURES, np.random.default_rng(seed)))
        rows = [(config, self.problem.call_compute(config).metrics) for config in [*self.references, *drawn]]
        tables = [*self._known, *tables_of_metrics(self.problem, rows)]
        by_key = {self.problem.architecture_key(c): c for table in tables for c in table.configurations}
        columns = [table.column(self.problem, by_key.values()) for table in tables]
        devices = [self._device(table) for table in tables]
        latencies = np.array(columns, dtype=float).reshape(len(tables), len(by_key)).T
        inputs = architecture_inputs(self.problem, [*by_key.values()] or self.references)
        return LatencyModel(self.problem, self._known, train_latency_net(inputs, latencies, devices, seed=seed))

    def predict(self, configurations: Sequence[Configuration], device: LatencyTable) -> Predicted:
        """Return the latencies of networks on a device.

        Args:
            configurations: The networks.
            device: What was measured on it: the ten reference networks at least.

        Raises:
            MetricError: A reference network was not measured.
        """
        self._require_references(device)
        measured = device.by_architecture(self.problem)
        keys = [self.problem.architecture_key(config) for config in configurations]
        values = np.array([measured.get(key, UNKNOWN) for key in keys]).reshape(-1, 2)
        by = np.array([MEASURED if key in measured else MIXTURE for key in keys], dtype=object)
        if len(left := np.flatnonzero(by == MIXTURE)):
            values[left], by[left] = self._mixed([configurations[int(i)] for i in left], device)
        return Predicted(values[:, 0], values[:, 1], tuple(by))

    def _mixed(self, configurations: list[Configuration], device: LatencyTable) -> tuple[Array, list[str]]:
        """Return means and standard deviations ``(n, 2)`` of what was not measured, and how they are known."""
        n_measured, n_references = len(device.configurations), len(self.references)
        rows = sorted(device.rows(), key=lambda row: not self._is_reference(row[0]))
        known_ms = np.array([ms for _, ms, _ in rows])
        columns, of_devices = self._columns([*(config for config, _, _ in rows), *configurations])
        usable = _is_known(columns[:n_references]).all(axis=0) & (columns[:n_references] > 0).any(axis=0)
        columns, of_devices, is_known = columns[:, usable], of_devices[usable], _is_known(columns[:, usable])
        values, by = np.empty((len(configurations), 2)), np.full(len(configurations), MIXTURE, dtype=object)
        for pattern in np.unique(is_known[n_measured:], axis=0):
            asked = np.flatnonzero((is_known[n_measured:] == pattern).all(axis=1))
            seen = np.flatnonzero(is_known[:n_measured][:, pattern].all(axis=1))
            parts = (columns[seen][:, pattern], columns[n_measured + asked][:, pattern])
            values[asked] = _mixture(known_ms[seen], *parts, of_devices[pattern])
            if self._net is not None and not of_devices[pattern].any():
                values[asked], by[asked] = self._by_net([configurations[i] for i in asked], device, values[asked]), NET
        return values, by.tolist()

    def _by_net(self, configurations: list[Configuration], device: LatencyTable, mixed: Array) -> Array:
        """Return what the net predicts, ``(n, 2)``; the doubt is that of the mixture, and what the two disagree by."""
        seen, inputs = self._device(device), architecture_inputs(self.problem, configurations)
        mean = np.maximum(self._net.predict_ms(inputs, seen), LEAST_SHARE * seen.low_ms) if self._net else mixed[:, 0]
        return np.column_stack([mean, np.hypot(mean * mixed[:, 1] / mixed[:, 0], mean - mixed[:, 0])])

    def _completed(self, table: LatencyTable) -> LatencyTable:
        """Return a table with estimates of the reference networks that it lacks.

        A ridge regression of the logarithm on the table's own rows makes them, its penalty chosen by leaving rows out;
        it sees the architecture, and the logarithms of the work.
        """
        column = table.column(self.problem, self.references)
        lacking = [config for config, ms in zip(self.references, column, strict=True) if np.isnan(ms)]
        if not lacking or len(table.configurations) < FEWEST_ROWS:
            return table
        from sklearn.linear_model import RidgeCV

        rows = thinned(len(table.configurations), MOST_LEARNT)
        learnt = [table.configurations[i] for i in rows]
        facts = [self._facts(self.problem.architecture_key(c), c) for c in [*learnt, *lacking]]
        names = [name for name in facts[0] if device_of_metric(name) is None]
        work = np.log1p([[max(each.get(name, 0.0), 0.0) for name in names] for each in facts])
        inputs = np.hstack([architecture_inputs(self.problem, [*learnt, *lacking]), work])
        scaled = (inputs - inputs.mean(axis=0)) / np.maximum(inputs.std(axis=0), 1e-12)
        n = len(learnt)
        model = RidgeCV(np.logspace(-3, 3, 13)).fit(scaled[:n], np.log([table.latencies_ms[i] for i in rows]))
        estimates = np.exp(model.predict(scaled[n:]))
        return LatencyTable(table.device, lacking, estimates.tolist()).joined(self.problem, table)

    def _columns(self, configurations: list[Configuration]) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Return all that is known of configurations, ``(n, n_columns)``, and which columns are of known devices."""
        keys = [self.problem.architecture_key(config) for config in configurations]
        rows = [self._facts(key, config) for key, config in zip(keys, configurations, strict=True)]
        names = list(dict.fromkeys(name for row in rows for name in row))
        tables = [[known.get(key, UNKNOWN)[0] for key in keys] for known in self._latencies]
        computed = [[row.get(name, np.nan) for row in rows] for name in names]
        is_device = [True] * len(tables) + [device_of_metric(name) is not None for name in names]
        columns = np.array([*tables, *computed], dtype=float).reshape(len(is_device), len(configurations)).T
        return columns, np.array(is_device, dtype=bool)

    def _facts(self, key: str, config: Configuration) -> dict[str, float]:
        """Return what is computed of a network, and its work if the problem builds it."""
        if key not in self._work:
            facts = dict(self.problem.call_compute(config).metrics)
            if self.problem.has_network:
                from evo_moo.toolkit.devices.work import work_of

                facts |= work_of(*self.problem.network(config))
            self._work[key] = facts
        return self._work[key]

    def _is_reference(self, config: Configuration) -> bool:
        return self.problem.architecture_key(config) in self._reference_keys

    @cached_property
    def _reference_keys(self) -> list[str]:
        return [self.problem.architecture_key(config) for config in self.references]

    def _device(self, table: LatencyTable) -> Device:
        return Device(table.device, tuple(table.column(self.problem, self.references)))

    def _require_references(self, device: LatencyTable) -> None:
        if n := int(np.isnan(device.column(self.problem, self.references)).sum()):
            n_all = len(self.references)
            raise MetricError(
                f"device `{device.device}` must have latencies of all {n_all} reference networks, but lacks {n}; "
                "measure them"
            )


def _mixture(known_ms: Array, columns: Array, asked: Array, of_devices: npt.NDArray[np.bool_]) -> Array:
    mixed = mixture(columns, known_ms, asked)
    weights = calibrated(columns, asked, of_devices)
    return np.column_stack([mixed.mean, mixed.mean * mixed.doubt(weights)])


def _is_known(columns: Array) -> npt.NDArray[np.bool_]:
    return np.isfinite(columns) & (columns >= 0)

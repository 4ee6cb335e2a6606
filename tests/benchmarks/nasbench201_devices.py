"""NAS-Bench-201 on 19 devices: what benchmarks across devices share. Takes nasbench201.npz in EVO_MOO_DATA."""

import os
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from evo_moo.problems.nasbench201 import SHAPE, NASBench201, read_table

from evo_moo.pareto import hypervolume, pareto_rows
from evo_moo.toolkit.devices.device import Device

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
SEEN = ["1080ti_1", "1080ti_32", "1080ti_256", "silver_4114", "silver_4210r", "samsung_a50", "pixel3"]
SEEN += ["essential_ph_1", "samsung_s7", "titanx_1", "titanx_32", "titanx_256", "gold_6240"]
UNSEEN = ["titan_rtx_256", "gold_6226", "fpga", "pixel2", "raspi4", "eyeriss"]
REFERENCES = [11982, 431, 55, 9, 14451, 8636, 9881, 13479, 6196, 1462]
"""Numbers of the reference cells in the order of the official table: those of HELP and MODNAS."""
USELESS = 90.0
"""Errors in percent from which a cell has learnt nothing of ten classes."""


class Cells(NamedTuple):
    """All cells, in the order of the rows of the space.

    Attributes:
        X: ``(15625, 6)`` rows of the space.
        error: ``(15625,)`` test errors on CIFAR-10 after 200 epochs, in percent.
        latency_ms: Names of devices to ``(15625,)`` latencies.
        devices: Names of devices to what their references say of them.
    """

    X: Array
    error: Array
    latency_ms: dict[str, Array]
    devices: dict[str, Device]

    def F(self, device: str, rows: Rows) -> Array:
        """Return errors and latencies of cells that learnt something, scaled to [0, 1] over the whole space."""
        table = np.column_stack([self.error, self.latency_ms[device]])
        rows = rows[self.error[rows] < USELESS]
        return np.asarray((table[rows] - table.min(axis=0)) / np.ptp(table, axis=0))

    def front(self, device: str) -> Rows:
        """Return the cells of the true front."""
        table = np.column_stack([self.error, self.latency_ms[device]])
        return pareto_rows(table, np.zeros(len(table)))

    def share(self, device: str, rows: Rows) -> float:
        """Return the hypervolume of cells, up to (1, 1), as a share of the true front's."""
        found, whole = (hypervolume(self.F(device, of), (1.0, 1.0)) for of in (rows, self.front(device)))
        return found / whole


def cells() -> Cells:
    """Read the table; ends the program where there is none."""
    path = Path(os.environ.get("EVO_MOO_DATA", "")) / "nasbench201.npz"
    if not os.environ.get("EVO_MOO_DATA") or not path.exists():
        print("skipped: set EVO_MOO_DATA to a folder that has nasbench201.npz")
        sys.exit()
    table = read_table(path)
    place = np.ravel_multi_index(table["arch"].astype(int).T, SHAPE)
    by_row = np.argsort(place)
    latencies = dict(zip(map(str, table["devices"]), table["latency_ms"][by_row].T.astype(float), strict=True))
    devices = {name: Device(name, tuple(latencies[name][place[REFERENCES]])) for name in SEEN + UNSEEN}
    X = np.array(list(np.ndindex(SHAPE)), dtype=float)
    return Cells(X, 100 - table["test_acc_200"][by_row, 0].astype(float), latencies, devices)


def space_of_cells() -> NASBench201:
    """Return the problem, whose space is that of the cells."""
    return NASBench201()


def rows_of(X: Array) -> Rows:
    """Return the numbers of cells by rows ``(n, 6)`` of the space."""
    return np.ravel_multi_index(X.astype(int).T, SHAPE)


def spread(values: list[float], digits: int = 3) -> str:
    """Write mean and standard deviation over seeds."""
    return f"{np.mean(values):.{digits}f} ± {np.std(values, ddof=1):.{digits}f}"


def said(claim: str, holds: bool) -> None:
    """Print whether a claim holds."""
    print(f"  {'holds' if holds else 'FAILS'}: {claim}", flush=True)

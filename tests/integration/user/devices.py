"""A network for several devices at once: one training, and a latency on each."""

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
from filelock import FileLock

from evo_moo import Integer, SearchProblem
from evo_moo.problem import Metric


class Devices(SearchProblem):
    """Widths and depths of a network; the chip has no room for the deep, the phone little for the wide."""

    variables = {"width": Integer(1, 12), "depth": Integer(1, 12), "kernel": Integer(1, 6)}
    contexts = {"device": ["server", "phone", "chip"]}
    objectives = {"error": "min", "latency_ms": "min"}
    constraints = {"latency_ms": {"at_most": 60}}
    metrics = {"latency_ms": Metric("ms", by_context=True)}

    def evaluate(self, config):
        return one_by_one(config["width"], config["depth"], config["kernel"])

    def pareto_front(self, goals=None, **options):
        grid = np.meshgrid(np.arange(1, 13), np.arange(1, 13), np.arange(1, 7), indexing="ij")
        columns = one_by_one(*(axis.ravel().astype(float) for axis in grid))
        of_each = columns.pop("latency_ms")
        columns |= {f"latency_ms@{name}": values for name, values in of_each.items()}
        return (goals or self.goals).front_of(columns)


class Hard(Devices):
    """Two limits that no network keeps on the chip."""

    constraints = {"latency_ms": {"at_most": 60}, "energy_mj": {"at_most": 12}}
    metrics = {"latency_ms": Metric("ms", by_context=True), "energy_mj": Metric("mJ", by_context=True)}

    def evaluate(self, config):
        metrics = super().evaluate(config)
        energy = {"server": 9.0, "phone": 1.0 + config["width"], "chip": 20.0 + config["depth"]}
        return metrics | {"energy_mj": energy}


class KillsItsRun(Hard):
    """Kills the main process when an evaluation begins whose turn has come; the turns are lines of a file."""

    def __init__(self, turns: str = "") -> None:
        super().__init__()
        self.turns = Path(turns)

    def evaluate(self, config, *, workspace):
        run = json.loads((workspace.parents[1] / "writer.json").read_text())["pid"]
        with FileLock(self.turns.with_suffix(".lock")):
            turns = [int(line) for line in self.turns.read_text().split()]
            if turns and config["width"] >= turns[0] and os.getppid() == run:
                self.turns.write_text("\n".join(map(str, turns[1:])))
                os.kill(run, signal.SIGKILL)
                time.sleep(60)
        return super().evaluate(config)


def one_by_one(width, depth, kernel):
    """The metrics of networks; of arrays, arrays."""
    return {
        "error": 1 / width + 1 / depth + 0.1 / kernel,
        "latency_ms": {
            "server": 2 + depth * (1 + width / 8) + kernel,
            "phone": 1 + width * depth * kernel / 4,
            "chip": 3 + 6 * depth + width / 2 + 2 * kernel,
        },
    }

"""What short trainings first are worth: hypervolume over cost on NAS-Bench-201, 12 against 200 epochs.

Real accuracies of 15,625 cells on CIFAR-10, CIFAR-100 and ImageNet16-120, and their measured latencies, both to be
made good. Full-length search and the ladder [12, 200], of which one in eta rises, have the same seeds; cost counts in
trainings of 200 epochs. The hypervolume is a share of that of the table's true front, up to its worst values among the
15,625.

Needs the table: the environment variable ``EVO_MOO_DATA`` names its folder.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import evo_moo
from evo_moo.optimizer.algorithms import Array
from evo_moo.optimizer.optimizer import Optimizer
from evo_moo.optimizer.refinement.refinement import Refinement
from evo_moo.optimizer.surrogate_optimizer import SurrogateOptimizer
from evo_moo.pareto import hypervolume, pareto_rows

SEEDS, POP_SIZE, ETAS = range(1, 6), 20, (3, 4, 6)
FULL = (60, 120, 240)
FULL_WITH_MODELS = (60, 120)
RUNGS = (12, 200)
TABLES = [("cifar10", "gold_6226"), ("cifar100", "raspi4"), ("ImageNet16-120", "fpga")]


class Cells(evo_moo.SearchProblem):
    """Error and latency of a cell; ``evaluate`` looks up its accuracy after 12 or 200 epochs."""

    objectives = {"error": "min", "latency_ms": "min"}
    metrics = {"latency_ms": evo_moo.Metric("ms", cheap=True)}
    fidelity = evo_moo.Fidelity("epochs", *RUNGS)

    def __init__(self, folder: Path, dataset: str, device: str) -> None:
        with np.load(folder / "nasbench201.npz", allow_pickle=False) as table:
            column, on = list(table["datasets"]).index(dataset), list(table["devices"]).index(device)
            self.rows = {tuple(row): i for i, row in enumerate(table["arch"].tolist())}
            self.errors = {12: 100 - table["test_acc_12"][:, column], 200: 100 - table["test_acc_200"][:, column]}
            self.latency_ms = table["latency_ms"][:, on]
            ops = [str(op) for op in table["ops"]]
        self.codes = {op: code for code, op in enumerate(ops)}
        self.variables = {f"edge_{edge}": evo_moo.Choice(ops) for edge in range(6)}

    def evaluate(self, config: dict[str, Any], *, fidelity: int, weights: object = None) -> dict[str, float]:
        row = self.rows[tuple(self.codes[config[f"edge_{edge}"]] for edge in range(6))]
        return {"error": float(self.errors[fidelity][row]), "latency_ms": float(self.latency_ms[row])}


class Spending:
    """What a search spends, and the hypervolume of its full trainings at each cost, as a share of the whole.

    Attributes:
        found: The shares so far.
    """

    def __init__(self, problem: Cells, costs: Sequence[float]) -> None:
        truth = np.array([problem.errors[200], problem.latency_ms]).T
        self._ref, self._best, self._costs = truth.max(axis=0), truth.min(axis=0), list(costs)
        self._spent, self._F = 0.0, np.empty((0, 2))
        self._whole = self._volume(truth[pareto_rows(truth, np.zeros(len(truth)))])
        self.found: list[float] = []

    def allows(self, cost: float) -> bool:
        """Tell whether another evaluation is within the last cost; if so it is spent."""
        while len(self.found) < len(self._costs) and self._spent + cost > self._costs[len(self.found)] + 1e-9:
            self.found.append(self._volume(self._F) / self._whole)
        self._spent += cost
        return len(self.found) < len(self._costs)

    def take(self, metrics: dict[str, float]) -> None:
        """Note a full training."""
        self._F = np.vstack([self._F, [metrics["error"], metrics["latency_ms"]]])

    def _volume(self, F: Array) -> float:
        return hypervolume((F - self._best) / (self._ref - self._best), np.ones(2))


def volumes(problem: Cells, optimizer: Optimizer | Refinement, costs: Sequence[float]) -> list[float]:
    """Search, and give the hypervolume of the full trainings at each cost."""
    spending = Spending(problem, costs)
    while True:
        (candidate,) = optimizer.ask(1)
        if not spending.allows(candidate.cost):
            return spending.found
        metrics = problem.evaluate(candidate.configuration, fidelity=candidate.fidelity or 200)
        optimizer.tell(candidate.id, metrics)
        if not candidate.is_partial:
            spending.take(metrics)


def ladder(problem: Cells, seed: int, mode: str, surrogate: bool, eta: int) -> Refinement:
    own = inner(problem, seed, mode, surrogate)
    return Refinement(own, RUNGS, eta, continues=True, metrics=problem.metrics, seed=seed)


def inner(problem: Cells, seed: int, mode: str, surrogate: bool) -> Optimizer:
    settings: dict[str, Any] = {"pop_size": POP_SIZE, "seed": seed, "mode": mode}
    return SurrogateOptimizer(problem, repeats=False, **settings) if surrogate else Optimizer(problem, **settings)


def compare(problem: Cells, mode: str, surrogate: bool) -> None:
    full = FULL_WITH_MODELS if surrogate else FULL
    thirds = [n / 3 for n in full]
    found = {
        "at full length": [volumes(problem, inner(problem, seed, mode, surrogate), list(full)) for seed in SEEDS],
        "at full length, a third": [volumes(problem, inner(problem, seed, mode, surrogate), thirds) for seed in SEEDS],
    }
    for eta in ETAS:
        runs = [volumes(problem, ladder(problem, seed, mode, surrogate, eta), thirds) for seed in SEEDS]
        found[f"ladder of eta {eta}, a third"] = runs
    for name, runs in found.items():
        print(f"  {name:25}", "  ".join(f"{value:.4f}" for value in np.median(runs, axis=0)), flush=True)


def main() -> None:
    if "EVO_MOO_DATA" not in os.environ:
        print("skipped: EVO_MOO_DATA names no folder")
        return
    for surrogate, modes in ((False, ("generational", "steady-state")), (True, ("generational",))):
        for dataset, device in TABLES:
            problem = Cells(Path(os.environ["EVO_MOO_DATA"]), dataset, device)
            for mode in modes:
                full = FULL_WITH_MODELS if surrogate else FULL
                how = "models" if surrogate else "NSGA-II"
                print(f"{dataset}, {device}, {mode}, {how}: median over {len(SEEDS)} seeds at the cost of {full}")
                compare(problem, mode, surrogate)


if __name__ == "__main__":
    main()

"""What short trainings first are worth: hypervolume over cost on NAS-Bench-201, 12 against 200 epochs.

Real accuracies of 15,625 cells on CIFAR-10, CIFAR-100 and ImageNet16-120, and their measured latencies, both to be
made good. Full-length search and the ladder [12, 200], of which one in six rises, have the same seeds; cost counts in
trainings of 200 epochs. The hypervolume is a share of that of the table's true front, up to its worst values among the
15,625.

Needs the table: the environment variable ``EVO_MOO_DATA`` names its folder.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np

import evo_moo
from evo_moo.optimizer import Optimizer
from evo_moo.pareto import hypervolume, pareto_rows
from evo_moo.refinement import Refinement
from evo_moo.surrogate_optimizer import SurrogateOptimizer

SEEDS, POP_SIZE, ETA = range(1, 11), 20, 6
FULL = (60, 120, 240)
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


def volumes(problem: Cells, optimizer: Optimizer | Refinement, costs: list[float]) -> list[float]:
    """Search, and give the hypervolume of the full trainings at each cost."""
    truth = np.array([problem.errors[200], problem.latency_ms]).T
    ref, best = truth.max(axis=0), truth.min(axis=0)
    unit = (truth[pareto_rows(truth, np.zeros(len(truth)))] - best) / (ref - best)
    whole = hypervolume(unit, np.ones(2))
    found, F, spent = [], np.empty((0, 2)), 0.0
    while len(found) < len(costs):
        (candidate,) = optimizer.ask(1)
        if spent + candidate.cost > costs[len(found)] + 1e-9:
            found.append(hypervolume((F - best) / (ref - best), np.ones(2)) / whole)
        spent += candidate.cost
        metrics = problem.evaluate(candidate.configuration, fidelity=candidate.fidelity or 200)
        optimizer.tell(candidate.id, metrics)
        if not candidate.is_partial:
            F = np.vstack([F, [metrics["error"], metrics["latency_ms"]]])
    return found


def ladder(problem: Cells, seed: int, mode: str, surrogate: bool) -> Refinement:
    own = inner(problem, seed, mode, surrogate)
    return Refinement(own, RUNGS, ETA, continues=True, metrics=problem.metrics, seed=seed)


def inner(problem: Cells, seed: int, mode: str, surrogate: bool) -> Optimizer:
    settings: dict[str, Any] = {"pop_size": POP_SIZE, "seed": seed, "mode": mode}
    return SurrogateOptimizer(problem, **settings) if surrogate else Optimizer(problem, **settings)


def compare(problem: Cells, mode: str, surrogate: bool, seeds: range) -> None:
    thirds = [n / 3 for n in FULL]
    plain = np.array([volumes(problem, inner(problem, seed, mode, surrogate), list(FULL)) for seed in seeds])
    refined = np.array([volumes(problem, ladder(problem, seed, mode, surrogate), thirds) for seed in seeds])
    for i, n in enumerate(FULL):
        wins = int((refined[:, i] > plain[:, i]).sum())
        print(
            f"  full length at {n:3}: {np.median(plain[:, i]):.4f}   ladder at {n / 3:3.0f}: "
            f"{np.median(refined[:, i]):.4f}   ladder ahead in {wins} of {len(seeds)}",
            flush=True,
        )


def main() -> None:
    if "EVO_MOO_DATA" not in os.environ:
        print("skipped: EVO_MOO_DATA names no folder")
        return
    for dataset, device in TABLES:
        problem = Cells(Path(os.environ["EVO_MOO_DATA"]), dataset, device)
        for mode in ("generational", "steady-state"):
            print(f"{dataset}, {device}, {mode}, NSGA-II, median share of the hypervolume over {len(SEEDS)} seeds")
            compare(problem, mode, False, SEEDS)


if __name__ == "__main__":
    main()

"""What short trainings first, and stopping early, are worth on real trainings: distorted digits, 18 epochs.

Small convolutional networks, accurate against few operations. Every search has the same seeds and the same budget,
counted in trainings of 18 epochs. The hypervolume is that of validation error, up to 0.5, and the decimal logarithm of
the operations, 3 to 7.5, as a share of that box. All proposals come from NSGA-II, without models.
"""

import sys
from typing import Any

import numpy as np
from evo_moo.problems.digits_cnn import DigitsCNN

import evo_moo
from evo_moo.pareto import hypervolume
from evo_moo.storage.evaluation_row import Evaluation

SEEDS, POP_SIZE, COSTS = range(1, 6), 10, (10, 20, 40)
WAYS: dict[str, dict[str, Any] | None] = {
    "full length": None,
    "ladder, eta 3": {"rungs": [2, 6, 18], "eta": 3},
    "ladder, eta 4": {"rungs": [2, 6, 18], "eta": 4},
    "ladder, eta 6": {"rungs": [2, 6, 18], "eta": 6},
    "full length, risk 0.1": {"rungs": [18], "risk": 0.1},
    "ladder, eta 3, risk 0.1": {"rungs": [2, 6, 18], "eta": 3, "risk": 0.1},
}


class Digits(DigitsCNN):
    """Without the latency, whose measurement would take longer than the trainings."""

    objectives = {"accuracy": "max", "flops": "min"}

    def __init__(self) -> None:
        super().__init__(epochs=18, copies=1)
        self.metrics = {name: metric for name, metric in self.metrics.items() if not name.startswith("latency")}

    def profile(self, config: dict[str, Any]) -> dict[str, float]:
        return {}


def volumes(evaluations: list[Evaluation]) -> list[float]:
    """Give the hypervolume of the full trainings at each cost."""
    spent = np.cumsum([e.cost for e in evaluations])
    F = np.array([_point(e) for e in evaluations])
    return [hypervolume(F[spent <= cost + 1e-6], np.ones(2)) for cost in COSTS]


def _point(e: Evaluation) -> list[float]:
    if e.status != "ok":
        return [2.0, 2.0]
    return [(1 - e.metrics["accuracy"]) / 0.5, (np.log10(e.metrics["flops"]) - 3) / 4.5]


def main() -> None:
    found: dict[str, list[list[float]]] = {name: [] for name in WAYS}
    for seed in SEEDS:
        for name, refinement in WAYS.items():
            result = evo_moo.search(
                "tests.benchmarks.bench_digits_ladder:Digits",
                termination=("n_evals", COSTS[-1]),
                pop_size=POP_SIZE,
                seed=seed,
                mode="steady-state",
                surrogate="none",
                refinement=refinement,
                workers=1,
            )
            found[name].append(volumes(result.evaluations))
            counts = {status: sum(e.status == status for e in result.evaluations) for status in ("ok", "stopped")}
            values = "  ".join(f"{value:.4f}" for value in found[name][-1])
            print(f"seed {seed}  {name:25} {values}  {counts} of {len(result.evaluations)}", flush=True)
    print(f"median over {len(SEEDS)} seeds at the cost of {COSTS}")
    for name, rows in found.items():
        print(f"  {name:25}", "  ".join(f"{value:.4f}" for value in np.median(rows, axis=0)))


if __name__ == "__main__":
    sys.exit(main())

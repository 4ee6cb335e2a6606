"""Short trainings first beside other programs: NAS-Bench-201, 12 against 200 epochs, at equal cost.

- Optuna: its pruners (successive halving, Hyperband, median) refuse studies of more than one objective, so its NSGA-II
  and its TPE train every cell for 200 epochs.
- MO-ASHA, of 40 lines below, after Schmucker et al., "Multi-objective Asynchronous Successive Halving", 2021: random
  cells on the ladder [12, 200], promoted by non-dominated rank and epsilon-net. It is no other program, but what one
  would do.
- evo-moo with NSGA-II at full length and on the ladder [12, 200], and on the ladder with models.

Cost counts in trainings of 200 epochs; a cell that goes on from 12 costs 188/200 more. Hypervolume as in
``bench_refinement``. Needs Optuna (the extra ``benchmarks``) and the folder that ``EVO_MOO_DATA`` names.
"""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from evo_moo.optimizer.optimizer import Optimizer
from evo_moo.optimizer.refinement.refinement import Refinement
from evo_moo.optimizer.surrogate_optimizer import SurrogateOptimizer
from evo_moo.pareto import pareto_rows
from tests.benchmarks.bench_refinement import POP_SIZE, RUNGS, TABLES, Cells, Spending, volumes

SEEDS, COSTS, ETA = range(1, 6), (20, 40, 80), 4
SHORT = RUNGS[0] / RUNGS[1]


def moasha(problem: Cells, seed: int) -> list[float]:
    """Promote the best of ``ETA`` of the short trainings, else begin with a random cell."""
    rng, spending, promoted = np.random.default_rng(seed), Spending(problem, COSTS), set[int]()
    configs: list[dict[str, Any]] = []
    F: list[list[float]] = []
    while True:
        chosen = moasha_order(np.array(F))[: len(F) // ETA] if F else []
        rising = [i for i in chosen if i not in promoted]
        if not spending.allows(1 - SHORT if rising else SHORT):
            return spending.found
        if rising:
            promoted.add(rising[0])
            spending.take(problem.evaluate(configs[rising[0]], fidelity=RUNGS[1]))
            continue
        configs += problem.space.decode(problem.space.sample(1, rng))
        metrics = problem.evaluate(configs[-1], fidelity=RUNGS[0])
        F.append([metrics["error"], metrics["latency_ms"]])


def moasha_order(F: np.ndarray) -> list[int]:
    """Put rows in order: by fronts, each begun with its first member, then whichever is farthest from those before."""
    order: list[int] = []
    left = np.arange(len(F))
    while len(left):
        front = left[pareto_rows(F[left], np.zeros(len(left)))].tolist()
        left = np.setdiff1d(left, front)
        net = [front.pop(0)]
        while front:
            gaps = np.linalg.norm(F[front][:, None] - F[net][None], axis=2).min(axis=1)
            net.append(front.pop(int(gaps.argmax())))
        order += net
    return order


def optuna_of(sampler: str) -> Any:
    def run(problem: Cells, seed: int) -> list[float]:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        own = (
            optuna.samplers.NSGAIISampler(population_size=POP_SIZE, seed=seed)
            if sampler == "nsga2"
            else optuna.samplers.TPESampler(multivariate=True, seed=seed)
        )
        study, spending = optuna.create_study(directions=["minimize"] * 2, sampler=own), Spending(problem, COSTS)
        while spending.allows(1.0):
            trial = study.ask()
            config = {
                name: trial.suggest_categorical(name, choice.options) for name, choice in problem.variables.items()
            }
            metrics = problem.evaluate(config, fidelity=RUNGS[1])
            study.tell(trial, [metrics["error"], metrics["latency_ms"]])
            spending.take(metrics)
        return spending.found

    return run


def evo_moo_of(kind: type[Optimizer], *, ladder: bool) -> Any:
    def run(problem: Cells, seed: int) -> list[float]:
        inner = kind(
            problem, pop_size=POP_SIZE, seed=seed, mode="steady-state" if kind is Optimizer else "generational"
        )
        if not ladder:
            return volumes(problem, inner, COSTS)
        return volumes(
            problem, Refinement(inner, RUNGS, ETA, continues=True, metrics=problem.metrics, seed=seed), COSTS
        )

    return run


WAYS = {
    "Optuna NSGA-II, full length": optuna_of("nsga2"),
    "Optuna TPE, full length": optuna_of("tpe"),
    "MO-ASHA (own)": moasha,
    "evo-moo NSGA-II, full length": evo_moo_of(Optimizer, ladder=False),
    "evo-moo NSGA-II, ladder": evo_moo_of(Optimizer, ladder=True),
    "evo-moo models, ladder": evo_moo_of(SurrogateOptimizer, ladder=True),
}


def main() -> None:
    if "EVO_MOO_DATA" not in os.environ:
        print("skipped: EVO_MOO_DATA names no folder")
        return
    for dataset, device in TABLES:
        problem = Cells(Path(os.environ["EVO_MOO_DATA"]), dataset, device)
        print(f"{dataset}, {device}: median share of the hypervolume over {len(SEEDS)} seeds at the cost of {COSTS}")
        for name, run in WAYS.items():
            found = np.median([run(problem, seed) for seed in SEEDS], axis=0)
            print(f"  {name:30}", "  ".join(f"{value:.4f}" for value in found), flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""MO-ASHA of Syne Tune 0.16 on NAS-Bench-201: ``python`` this in an environment that has ``syne-tune`` and numpy alone.

Its scheduler stops trainings (it does not promote them): each random cell trains for 12 epochs, and on to 200 unless
the scheduler stops it. Cost and hypervolume as in ``bench_refinement_peers``, whose tables these are.
"""

import os
import sys
from pathlib import Path

import numpy as np

SEEDS, COSTS, ETA, RUNGS = range(1, 6), (20, 40, 80), 4, (12, 200)
TABLES = [("cifar10", "gold_6226"), ("cifar100", "raspi4"), ("ImageNet16-120", "fpga")]


def volume(F: np.ndarray, best: np.ndarray, ref: np.ndarray) -> float:
    """Give the hypervolume of two minimised objectives, with the box from ``best`` to ``ref`` as 1."""
    area, height = 0.0, 1.0
    for x, y in sorted(((F - best) / (ref - best)).tolist()):
        if y < height:
            area, height = area + (1 - x) * (height - y), y
    return area


def search(errors: dict[int, np.ndarray], latency: np.ndarray, arch: np.ndarray, seed: int) -> list[float]:
    from syne_tune.backend.trial_status import Trial
    from syne_tune.config_space import choice
    from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA

    truth = np.array([errors[200], latency]).T
    ref, best = truth.max(axis=0), truth.min(axis=0)
    rows = {tuple(row): i for i, row in enumerate(arch.tolist())}
    space = {f"edge_{edge}": choice(list(range(5))) for edge in range(6)}
    np.random.seed(seed)  # it draws cells from the global generator
    scheduler = MOASHA(
        space,
        metrics=["error", "latency"],
        time_attr="epoch",
        max_t=RUNGS[1],
        grace_period=RUNGS[0],
        reduction_factor=ETA,
        random_seed=seed,
    )
    found, F, spent, number = [], np.empty((0, 2)), 0.0, 0
    while len(found) < len(COSTS):
        config = scheduler.suggest().config
        row = rows[tuple(config[f"edge_{edge}"] for edge in range(6))]
        trial, number = Trial(number, config, None), number + 1
        scheduler.on_trial_add(trial)
        for epochs, cost in ((RUNGS[0], RUNGS[0] / RUNGS[1]), (RUNGS[1], 1 - RUNGS[0] / RUNGS[1])):
            while len(found) < len(COSTS) and spent + cost > COSTS[len(found)] + 1e-9:
                found.append(volume(F, best, ref) / volume(truth, best, ref))
            spent += cost
            result = {"error": float(errors[epochs][row]), "latency": float(latency[row]), "epoch": epochs}
            if epochs == RUNGS[1]:
                scheduler.on_trial_complete(trial, result)
                F = np.vstack([F, truth[row]])
            elif scheduler.on_trial_result(trial, result) == "STOP":
                break
    return found


def main() -> None:
    with np.load(Path(os.environ["EVO_MOO_DATA"]) / "nasbench201.npz", allow_pickle=False) as table:
        for dataset, device in TABLES:
            column, on = list(table["datasets"]).index(dataset), list(table["devices"]).index(device)
            errors = {n: 100 - table[f"test_acc_{n}"][:, column].astype(float) for n in RUNGS}
            latency = table["latency_ms"][:, on].astype(float)
            found = np.median([search(errors, latency, table["arch"], seed) for seed in SEEDS], axis=0)
            print(f"{dataset}, {device}: Syne Tune MO-ASHA ", "  ".join(f"{v:.4f}" for v in found), flush=True)


if __name__ == "__main__":
    sys.exit(main())

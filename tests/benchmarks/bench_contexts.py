"""Several devices in one search against a search for each: NAS-Bench-201, accuracy against the latency on each device.

Run: EVO_MOO_DATA=FOLDER python -m tests.benchmarks.bench_contexts [N_EVALS [SEEDS [MODEL]]]

Scored by the share of each device's true hypervolume that the evaluated cells reach, averaged over three devices:

- one search with the devices as contexts, of N_EVALS trainings;
- three separate searches of a third of them each, and, at three times the price, of N_EVALS each: every device is
  scored by the trainings of its own search;
- the same trainings shared: every device is scored by all that the three small searches trained;
- one search on one device, read out on all, the mean over which device it is.
"""

import os
import sys
from collections.abc import Callable, Mapping

import numpy as np
from evo_moo.problems.nasbench201 import NASBench201

import evo_moo
from evo_moo.pareto import share_of_front

TRIOS = (("gold_6226", "fpga", "pixel3"), ("titan_rtx_256", "raspi4", "eyeriss"))


def trained(devices: list[str], n_evals: int, seed: int, model: str) -> list[Mapping[str, object]]:
    """Return the configurations that a search on some devices trains."""
    problem = NASBench201(devices=devices)
    result = evo_moo.search(problem, termination=("n_evals", n_evals), surrogate=model, seed=seed, workers=1)
    return [e.configuration for e in result.evaluations]


def main(n_evals: int = 200, n_seeds: int = 5, model: str = "auto") -> None:
    """Print each way's shares: mean and standard deviation over seeds."""
    if not os.environ.get("EVO_MOO_DATA"):
        print("needs EVO_MOO_DATA, the folder of nasbench201.npz")
        return
    for trio in TRIOS:
        problems = {device: NASBench201(devices=device) for device in trio}
        fronts = {device: problem.pareto_front() for device, problem in problems.items()}

        def share(device: str, configurations: list[Mapping[str, object]]) -> float:
            problem, front = problems[device], fronts[device]  # noqa: B023
            F = problem.goals.F([problem.compute(c) | problem.evaluate(c) for c in configurations])
            return share_of_front(F, front) or 0.0

        ways: dict[str, Callable[[int], float]] = {
            f"contexts, {n_evals} in all": lambda seed: _mean(share, trio, trained([*trio], n_evals, seed, model)),  # noqa: B023
        }
        table: dict[str, list[float]] = {}
        for seed in range(1, n_seeds + 1):
            for name, way in ways.items():
                table.setdefault(name, []).append(way(seed))
            third = [trained([device], n_evals // 3, seed, model) for device in trio]
            whole = [trained([device], n_evals, seed, model) for device in trio]
            shared = [one for part in third for one in part]
            more = {
                f"separate, {n_evals // 3} each": np.mean(
                    [share(d, part) for d, part in zip(trio, third, strict=True)]
                ),
                "the same, trainings shared": _mean(share, trio, shared),
                f"separate, {n_evals} each": np.mean([share(d, part) for d, part in zip(trio, whole, strict=True)]),
                f"one device, {n_evals}, read out on all": np.mean([_mean(share, trio, part) for part in whole]),
            }
            for name, value in more.items():
                table.setdefault(name, []).append(float(value))
        print(f"{', '.join(trio)}, models {model}, seeds 1 to {n_seeds}")
        for name, values in table.items():
            print(f"  {name:40} {np.mean(values):.4f} ± {np.std(values, ddof=min(1, n_seeds - 1)):.4f}")


def _mean(share: Callable[..., float], trio: tuple[str, ...], configurations: list[Mapping[str, object]]) -> float:
    return float(np.mean([share(device, configurations) for device in trio]))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]), *sys.argv[3:])

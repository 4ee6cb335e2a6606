"""A mutation that a hypernetwork informs beside the plain one: NSGA-II on NAS-Bench-201, three devices at once.

Run: EVO_MOO_DATA=FOLDER python -m tests.benchmarks.bench_informed_mutation [N_EVALS]

The hypernetwork is MODNAS's device tables, of 300 labels and 13 other devices; or tables that were never trained, which
know nothing and should be used ever less; or those trained to seek what is worst. Scored by the mean share of the true
hypervolume over the three devices, which no search of the tables saw.
"""

import sys
from typing import Any

import numpy as np
from evo_moo.problems.nasbench201 import NASBench201
from torch import Tensor

from evo_moo import Optimizer
from evo_moo.optimizer.informed_mutation import INFORMED
from evo_moo.threads import one_thread
from evo_moo.toolkit.modnas.fronts import Fronts
from evo_moo.toolkit.modnas.search import Settings, search
from tests.benchmarks.bench_modnas import Bench
from tests.benchmarks.nasbench201_devices import UNSEEN, Cells, cells, rows_of, spread

SEEDS, DEVICES, COUNTS = (0, 1, 2), UNSEEN[:3], (50, 100, 200)


class Informed(NASBench201):
    """The cells, with a mutation by a hypernetwork."""

    def __init__(self, fronts: Fronts, table: Cells) -> None:
        super().__init__(devices=DEVICES)
        self._fronts, self._devices = fronts, table.devices

    def mutate(self, config: Any, *, weights: Any, context: str, rng: np.random.Generator) -> Any:
        """Return a cell with one operation drawn as the hypernetwork recommends."""
        return self._fronts.mutate(config, list(weights.values()), self._devices[context], rng)


def evolved(problem: NASBench201, table: Cells, seed: int, n_evals: int) -> list[float]:
    """Return the mean shares after each of COUNTS, and the share of informed children in the first and second half."""
    optimizer, rows, informed, shares = Optimizer(problem, pop_size=20, seed=seed), list[int](), list[bool](), []
    while len(rows) < n_evals:
        for candidate in optimizer.ask(1):
            rows += rows_of(candidate.x[None]).tolist()
            informed.append(candidate.origin == INFORMED)
            optimizer.tell(
                candidate, problem.compute(candidate.configuration) | problem.evaluate(candidate.configuration)
            )
            if len(rows) in COUNTS:
                shares.append(float(np.mean([table.share(device, np.unique(rows)) for device in DEVICES])))
    return [*shares, float(np.mean(informed[20:110])), float(np.mean(informed[110:]))]


def main(n_evals: int = 200) -> None:
    """Print the shares by each mutation: mean and standard deviation over seeds."""
    table, found = cells(), dict[str, list[list[float]]]()
    with one_thread():
        for seed in SEEDS:
            bench = Bench(table, seed)

            def worse(loss: Any) -> Any:
                def negative(one_hots: Tensor, features: Tensor) -> Tensor:
                    return -loss(one_hots, features)  # type: ignore[no-any-return]

                return negative

            misled = bench.tables()
            search(misled, bench.decisions, bench.seen, [worse(loss) for loss in bench.losses], Settings(), seed=seed)
            ways = {"trained": bench.searched(bench.tables()), "never trained": bench.tables(), "misled": misled}
            found.setdefault("plain mutation", []).append(evolved(NASBench201(devices=DEVICES), table, seed, n_evals))
            for name, hypernetwork in ways.items():
                fronts = Fronts(bench.decisions, hypernetwork, tuple(bench.losses))
                found.setdefault(f"tables {name}", []).append(evolved(Informed(fronts, table), table, seed, n_evals))
    print(f"{'mutation':22}" + "".join(f"{n:>16}" for n in COUNTS) + f"{'informed to 110':>18}{'later':>16}")
    for name, values in found.items():
        print(f"{name:22}" + "".join(f"{spread(list(column)):>16}" for column in zip(*values, strict=True)))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))

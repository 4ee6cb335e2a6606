"""COSMOS on the tables of its publication, beside its ablations and what costs nothing: who wins, and by how much?

Run: EVO_MOO_DATA=… python -m tests.benchmarks.bench_cosmos [adult|compas_leak|compas|credit …] [quick]

For each table and three seeds: the hypervolume of (cross-entropy, difference of counts of true positives) on the test
data, up to (2, 2) as published, by batches of 256; and the ``tight`` one on all test rows, as a share of a box that a
constant predictor and a plain network span. The cost is in passes of samples, and in seconds of one processor. Under
each table stands which expectations hold. About half an hour on one thread; ``quick`` leaves out
what takes several trainings.
"""

import functools
import sys
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from evo_moo.pareto import hypervolume
from evo_moo.threads import one_thread
from evo_moo.toolkit.conditioned import scores
from evo_moo.toolkit.conditioned.losses import Loss, Samples, bce, deo_count, eo_rate
from evo_moo.toolkit.conditioned.networks import ConditionedMLP
from evo_moo.toolkit.conditioned.preferences import dirichlet, rays
from evo_moo.toolkit.conditioned.tables import read_table
from evo_moo.toolkit.conditioned.training import Judge, Settings, outputs_along, train_conditioned

SEEDS = (1, 2, 3)
EPOCHS, BATCH, REFERENCE = 50, 256, (2.0, 2.0)
BOXES = {"adult": (0.56, 0.14), "compas_leak": (0.70, 0.34), "compas": (0.70, 0.25), "credit": (0.54, 0.02)}
RATE_BOXES = {"adult": (0.56, 0.14), "compas": (0.70, 0.16)}
EXPECTED = {"adult": (3.335, 3.360), "compas_leak": (3.70, 3.74), "compas": (2.77, 2.80), "credit": (3.105, 3.130)}
ALPHA = {"credit": (0.1, 0.5)}
COUNTS = [scores.mean_bce, scores.deo_count]
SHIFTS = np.linspace(-5, 0, 25)
COSMOS, PLAIN, SEPARATE, SHIFTED = "COSMOS, lambda 0.01", "lambda 0", "25 nets x 50 epochs", "BCE net, 25 shifts"
BCE_NET = "BCE net"


class Front(NamedTuple):
    """Test logits along the rays, and what they cost."""

    logits: Tensor
    n_passes: int
    cpu_s: float


class Bench:
    """A table, and the methods on it."""

    def __init__(self, name: str) -> None:
        self.name, self.parts = name, read_table(name).parts("all")
        test = self.parts["test"]
        self.shuffled = torch.randperm(len(test.y), generator=torch.Generator().manual_seed(1))

    @property
    def test(self) -> Samples:
        return self.parts["test"]

    def build(self, conditioning: str = "concat") -> ConditionedMLP:
        return ConditionedMLP(self.test.X.shape[1], 2, conditioning=conditioning)

    def cosmos(
        self, seed: int, penalty: float = 0.01, aim: str = "preference", fair: Loss = deo_count, stops: bool = True
    ) -> Front:
        """Train one conditioned network."""
        settings = Settings(EPOCHS, BATCH, penalty=penalty, aim=aim, alpha=ALPHA.get(self.name, 0.5))
        judge = Judge(self.parts["validation"], lambda *found: hypervolume(self.published(*found), REFERENCE))
        clock = time.process_time()
        trained = train_conditioned(
            self.build, self.parts["train"], [bce, fair], settings, seed=seed, judge=judge if stops else None
        )
        logits = outputs_along(trained.network, self.test.X, torch.tensor(rays(2), dtype=torch.float32))
        return Front(logits, trained.n_passes, time.process_time() - clock)

    def separate(
        self, seed: int, weights: Sequence[np.ndarray], epochs: int = EPOCHS, fair: Loss = deo_count, stops: bool = True
    ) -> Front:
        """Train a plain network for each preference; the epochs that are best by it on the validation data."""
        clock, logits, n_passes = time.process_time(), [], 0
        for i, r in enumerate(weights):
            judge = Judge(self.parts["validation"], lambda *found, r=r: -float(self.published(*found)[0] @ r))
            trained = train_conditioned(
                functools.partial(self.build, "none"),
                self.parts["train"],
                [bce, fair],
                Settings(epochs, BATCH, penalty=0.0),
                seed=1000 * seed + i,
                judge=judge if stops else None,
                preferences=lambda r=r: r,
                ray_set=r[None],
            )
            logits.append(outputs_along(trained.network, self.test.X, torch.tensor(r[None], dtype=torch.float32)))
            n_passes += trained.n_passes
        return Front(torch.cat(logits), n_passes, time.process_time() - clock)

    def constant(self) -> Front:
        """Return the log odds of the training labels for everyone."""
        positive = self.parts["train"].y.double().mean()
        return Front(torch.logit(positive).float().expand(1, len(self.test.y)), 0, 0.0)

    def published(self, logits: Tensor, samples: Samples) -> np.ndarray:
        return scores.front_of(logits, samples, COUNTS, BATCH)

    def by_batches(self, front: Front) -> float:
        return hypervolume(
            self.published(front.logits[:, self.shuffled], self.test.at(self.shuffled)), np.array(REFERENCE)
        )

    def tight(self, front: Front) -> float:
        return scores.tight_volume(scores.front_of(front.logits, self.test, COUNTS), BOXES[self.name])

    def rates(self, front: Front) -> float:
        """Return the hypervolume of cross-entropy and the difference of true positive rates, in a box of its own."""
        return scores.tight_volume(
            scores.front_of(front.logits, self.test, [scores.mean_bce, scores.eo_gap]), RATE_BOXES[self.name]
        )


def methods(bench: Bench, seed: int, quick: bool) -> dict[str, Callable[[], Front]]:
    """Return what is compared by name."""
    found: dict[str, Callable[[], Front]] = {
        COSMOS: lambda: bench.cosmos(seed),
        PLAIN: lambda: bench.cosmos(seed, 0.0),
        BCE_NET: lambda: bench.separate(seed, [np.array([1.0, 0.0])]),
        "lambda 1": lambda: bench.cosmos(seed, 1.0),
        "lambda 1, inverse aim": lambda: bench.cosmos(seed, 1.0, "inverse"),
        "constant": bench.constant,
    }
    if bench.name in RATE_BOXES:
        found["eo_rate, sharpness 4"] = lambda: bench.cosmos(seed, fair=functools.partial(eo_rate, sharpness=4.0))
    if not quick:
        found["lambda 0.1"] = lambda: bench.cosmos(seed, 0.1)
        found["25 nets x 2 epochs"] = lambda: bench.separate(seed, rays(2), 2)
        found["5 nets x 50 epochs"] = lambda: bench.separate(seed, rays(2, 5))
    if not quick and bench.name == "compas_leak":
        found[SEPARATE] = lambda: bench.separate(seed, rays(2))
    return found


def spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}"


def said(claim: str, holds: bool) -> None:
    print(f"  {'holds' if holds else 'FAILS'}: {claim}", flush=True)


def run_table(name: str, quick: bool) -> None:
    """Print the table of one data set, and what holds."""
    bench = Bench(name)
    fronts: dict[str, list[Front]] = {}
    for method in methods(bench, 1, quick):
        for seed in SEEDS:
            with one_thread():
                front = methods(bench, seed, quick)[method]()
            fronts.setdefault(method, []).append(front)
            words = f"{bench.by_batches(front):.4f}, tight {bench.tight(front):.4f}, {front.cpu_s:.1f} CPU s"
            print(f"{name}, {method}, seed {seed}: {words}", file=sys.stderr, flush=True)
    shifts = torch.tensor(SHIFTS, dtype=torch.float32)[:, None]
    fronts[SHIFTED] = [front._replace(logits=front.logits + shifts) for front in fronts[BCE_NET]]
    shuffled = bench.test.at(bench.shuffled)
    utopia = [2 * (2 - bench.published(front.logits[:, bench.shuffled], shuffled)[0, 0]) for front in fronts[BCE_NET]]
    print(f"\n{name}: {len(bench.parts['train'].y)} rows to train, {bench.test.X.shape[1]} columns, seeds {SEEDS}")
    head = ("method", "hypervolume (2, 2)", "tight", "on front", "passes", "CPU s")
    print(f"{head[0]:26} {head[1]:18} {head[2]:17} {head[3]:>8} {head[4]:>7} {head[5]:>6}")
    unit = fronts[COSMOS][0].n_passes
    volumes, tights = ({m: [of(f) for f in fs] for m, fs in fronts.items()} for of in (bench.by_batches, bench.tight))
    for method, made in fronts.items():
        n = np.mean([scores.n_on_front(scores.front_of(f.logits, bench.test, COUNTS)) for f in made])
        cost = f"{made[0].n_passes / unit:7.2f} {np.mean([f.cpu_s for f in made]):6.1f}"
        print(f"{method:26} {spread(volumes[method]):18} {spread(tights[method]):17} {n:8.1f} {cost}")
    print(f"{'utopia (no front)':26} {spread(utopia)}")
    mean = {method: float(np.mean(found)) for method, found in volumes.items()}
    low, high = EXPECTED[name]
    said(f"C2/C3 mean hypervolume of COSMOS in [{low}, {high}]: {mean[COSMOS]:.4f}", low <= mean[COSMOS] <= high)
    if SEPARATE in mean:
        share = unit / fronts[SEPARATE][0].n_passes
        claim = f"C4 COSMOS {mean[COSMOS]:.4f} >= 25 nets x 50 epochs {mean[SEPARATE]:.4f} - 0.005"
        said(f"{claim}, at {share:.0%} of passes", mean[COSMOS] >= mean[SEPARATE] - 0.005 and share <= 0.15)
    change = abs(mean[COSMOS] - mean[PLAIN])
    said(f"C5 lambda 0.01 and 0 differ by {change:.4f} <= 0.005", change <= 0.005)
    if name == "adult":
        loss = mean[COSMOS] - mean["lambda 1"]
        said(f"C5 lambda 1 is worse by {loss:.3f} >= 0.1", loss >= 0.1)
    if name in RATE_BOXES:
        ours, free = (float(np.mean(tights[m])) for m in (COSMOS, SHIFTED))
        said(f"C6 tight of COSMOS {ours:.4f} >= of 25 shifts {free:.4f}", ours >= free)
    if name == "compas" or (name in RATE_BOXES and not quick):
        run_rates(bench)
    if name == "adult":
        audit(bench, fronts)


def run_rates(bench: Bench) -> None:
    """Compare by true positive rates, with random preferences at equal cost; no training stops early."""
    for sharpness in (1.0, 4.0):
        fair, shares = functools.partial(eo_rate, sharpness=sharpness), dict[str, list[float]]()
        for seed in SEEDS:
            draw = dirichlet(0.5, 2, seed)
            weights = [draw() for _ in range(10)]
            with one_thread():
                fronts = {
                    "COSMOS": bench.cosmos(seed, fair=fair, stops=False),
                    "10 random nets x 5 epochs": bench.separate(seed, weights, 5, fair, stops=False),
                }
            for method, front in fronts.items():
                shares.setdefault(method, []).append(bench.rates(front))
        print(f"  cross-entropy and true positive rates, trained by eo_rate of sharpness {sharpness:g}:")
        for method, values in shares.items():
            print(f"    {method:26} {spread(values)}")
        ours, random = (float(np.mean(values)) for values in shares.values())
        said(f"C7 COSMOS {ours:.4f} > random preferences at equal cost {random:.4f}", ours > random)


def audit(bench: Bench, fronts: dict[str, list[Front]]) -> None:
    """Print the difference of true positive rates beside that of counts, which the training lowers."""
    print("  preference, cross-entropy, difference of counts, difference of true positive rates (seed 1):")
    table = scores.front_of(fronts[COSMOS][0].logits, bench.test, [*COUNTS, scores.eo_gap])
    for ray, row in list(zip(rays(2), table, strict=True))[::4]:
        print(f"    {ray[0]:.3f}   " + "  ".join(f"{value:.4f}" for value in row))
    ends, plain = ([scores.eo_gap(f.logits, bench.test)[-1].item() for f in fronts[m]] for m in (COSMOS, BCE_NET))
    claim = "C9 at the end of equal counts true positive rates differ more than those of the BCE net"
    said(f"{claim}: {spread(ends)} > {spread(plain)}", min(ends) > max(plain))


def main() -> None:
    """Run the tables that are named, or all."""
    for name in [name for name in EXPECTED if name in sys.argv] or list(EXPECTED):
        run_table(name, "quick" in sys.argv)


if __name__ == "__main__":
    main()

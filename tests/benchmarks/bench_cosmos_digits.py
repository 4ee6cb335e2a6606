"""Two digits on one canvas: does a network of some hundred steps hear the preference, and what does that cost?

Run: EVO_MOO_DATA=… python -m tests.benchmarks.bench_cosmos_digits [SEEDS] [quick]

8,000 training pairs of MNIST digits on 36 x 36 pixels, 15 epochs, three seeds; validation and test pairs are of other
digits. For each way to condition: the hypervolume of the two cross-entropies on the test pairs up to (2, 2), the width
of the front, largest minus smallest loss at the top left, and whether a larger weight means a smaller loss. About half
an hour on one thread; ``quick`` leaves out the five separate networks.
"""

import functools
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from evo_moo.pareto import hypervolume
from evo_moo.threads import one_thread
from evo_moo.toolkit.conditioned import scores
from evo_moo.toolkit.conditioned.canvases import two_on_a_canvas
from evo_moo.toolkit.conditioned.losses import Samples, ce
from evo_moo.toolkit.conditioned.networks import ConditionedCNN
from evo_moo.toolkit.conditioned.preferences import rays
from evo_moo.toolkit.conditioned.training import ALIVE, Settings, outputs_along, train_conditioned
from evo_moo.toolkit.datasets import find_images

SEEDS = (1, 2, 3)
PAIRS, EPOCHS, ALPHA, REFERENCE = 8000, 15, 1.2, (2.0, 2.0)
LOSSES = [functools.partial(ce, head=0), functools.partial(ce, head=1)]
SCORES = [functools.partial(scores.mean_ce, head=0), functools.partial(scores.mean_ce, head=1)]
CONDITIONED = [
    *(("film", penalty, "preference") for penalty in (2.0, 0.0)),
    ("film", 2.0, "inverse"),
    *(("tconv", penalty, "preference") for penalty in (2.0, 0.0)),
]


class Run(NamedTuple):
    """The front of a method on the test pairs, and what it cost."""

    front: np.ndarray
    spread: float
    n_passes: int
    cpu_s: float

    @property
    def volume(self) -> float:
        return hypervolume(self.front, REFERENCE)

    @property
    def slope(self) -> float:
        """The loss at the top left where it counts most minus where it counts least."""
        return float(self.front[0, 0] - self.front[-1, 0])


def pairs() -> dict[str, Samples]:
    images = find_images("mnist_6k.npz").load()
    return {
        "train": two_on_a_canvas(*images.train, PAIRS, 0),
        "test": two_on_a_canvas(*images.test, PAIRS // 4, 2),
    }


def conditioned(parts: dict[str, Samples], seed: int, conditioning: str, penalty: float, aim: str) -> Run:
    """Train one network for all preferences."""
    return trained(parts, seed, conditioning, Settings(EPOCHS, penalty=penalty, aim=aim, alpha=ALPHA), rays(2))


def separate(parts: dict[str, Samples], seed: int, weights: np.ndarray) -> Run:
    """Train a plain network for each preference."""
    settings = Settings(EPOCHS, penalty=0.0)
    runs = [trained(parts, 1000 * seed + i, "none", settings, row[None], row) for i, row in enumerate(weights)]
    front = np.concatenate([run.front for run in runs])
    return Run(front, 0.0, sum(run.n_passes for run in runs), sum(run.cpu_s for run in runs))


def trained(
    parts: dict[str, Samples],
    seed: int,
    conditioning: str,
    settings: Settings,
    ray_set: np.ndarray,
    fixed: np.ndarray | None = None,
) -> Run:
    clock = time.process_time()
    with one_thread():
        found = train_conditioned(
            lambda: ConditionedCNN(conditioning=conditioning),
            parts["train"],
            LOSSES,
            settings,
            seed=seed,
            preferences=None if fixed is None else lambda: fixed,
            ray_set=ray_set,
        )
        outputs = outputs_along(found.network, parts["test"].X, torch.tensor(ray_set, dtype=torch.float32))
    front = scores.front_of(outputs, parts["test"], SCORES)
    return Run(front, found.spread, found.n_passes, time.process_time() - clock)


def spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f}" + (f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else "")


def told(name: str, run: Run) -> None:
    words = f"hypervolume {run.volume:.3f}, width {scores.width(run.front):.3f}, slope {run.slope:.3f}"
    print(f"{name}: {words}, spread {run.spread:.3f}, {run.cpu_s:.0f} CPU s", file=sys.stderr, flush=True)


def said(claim: str, holds: bool) -> None:
    print(f"  {'holds' if holds else 'FAILS'}: {claim}", flush=True)


def main() -> None:
    """Print the table, and what holds."""
    parts, runs = pairs(), dict[str, list[Run]]()
    utopia, quick = list[float](), "quick" in sys.argv
    seeds = range(1, 1 + int(sys.argv[1])) if sys.argv[1:] and sys.argv[1].isdigit() else SEEDS
    for seed in seeds:
        for conditioning, penalty, aim in CONDITIONED:
            name = f"{conditioning}, lambda {penalty:g}" + (", inverse aim" if aim == "inverse" else "")
            runs.setdefault(name, []).append(conditioned(parts, seed, conditioning, penalty, aim))
            told(f"{name}, seed {seed}", runs[name][-1])
        plain = {"one net, equal weights": np.array([[0.5, 0.5]])} | ({} if quick else {"5 nets": rays(2, 5)})
        for name, weights in plain.items():
            runs.setdefault(name, []).append(separate(parts, seed, weights))
            told(f"{name}, seed {seed}", runs[name][-1])
        ends = separate(parts, seed, np.eye(2)).front
        utopia.append((2 - ends[0, 0]) * (2 - ends[1, 1]))
        print(f"utopia, seed {seed}: {utopia[-1]:.3f}", file=sys.stderr, flush=True)
    print(f"\n{PAIRS} pairs of MNIST, {EPOCHS} epochs, seeds {list(seeds)}")
    head = ("method", "hypervolume", "width", "slope", "spread", "passes", "CPU s")
    print(f"{head[0]:32} {head[1]:15} {head[2]:15} {head[3]:>7} {head[4]:>7} {head[5]:>7} {head[6]:>6}")
    unit = runs["film, lambda 2"][0].n_passes
    volume, width = ({m: [of(r) for r in found] for m, found in runs.items()} for of in (volume_of, width_of))
    for method, found in runs.items():
        slope, effect, cpu_s = np.mean([(r.slope, r.spread, r.cpu_s) for r in found], axis=0)
        line = f"{method:32} {spread(volume[method]):15} {spread(width[method]):15} {slope:7.3f} {effect:7.3f}"
        print(f"{line} {found[0].n_passes / unit:7.2f} {cpu_s:6.1f}")
    print(f"{'utopia (no front)':32} {spread(utopia)}")
    wide, flat = np.mean(width["film, lambda 2"]), np.mean(width["film, lambda 0"])
    said(
        f"C8 width of FiLM at lambda 2 {wide:.3f} >= 0.10 and 3 times that at lambda 0, {flat:.3f}",
        wide >= max(0.1, 3 * flat),
    )
    ours, plain = (float(np.mean(volume[m])) for m in ("film, lambda 2", "one net, equal weights"))
    said(f"C8 hypervolume of FiLM at lambda 2 {ours:.3f} >= of one net of equal weights {plain:.3f}", ours >= plain)
    if not quick:
        share = unit / runs["5 nets"][0].n_passes
        said(f"C8 one network takes {share:.0%} <= 30% of the passes of 5", share <= 0.3)
    dead = [r.spread for method in ("tconv, lambda 2", "tconv, lambda 0") for r in runs[method]]
    alive = [r.spread for method in runs if method.startswith("film") for r in runs[method]]
    claim = f"C8b outputs of FiLM differ along the rays by {min(alive):.3f} or more > {ALIVE}"
    said(f"{claim}, of the published maps by {max(dead):.3f} or less", min(alive) > ALIVE)


def volume_of(run: Run) -> float:
    return run.volume


def width_of(run: Run) -> float:
    return scores.width(run.front)


if __name__ == "__main__":
    main()

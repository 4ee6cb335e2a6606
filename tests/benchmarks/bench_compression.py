"""The same search with and without compression after the training: hypervolume of accuracy, latency and size on disk.

Run: python -m tests.benchmarks.bench_compression [digits|mnist [N_EVALS [SEEDS]]]; mnist takes mnist_6k.npz in
EVO_MOO_DATA.

Trainings are equal in number. Without compression, a training offers one network, in float32 by the same runtime and
with the size of its file; with it, also int8 and networks with fewer channels. Errors up to 0.5 count, latencies from
0.01 to 3 ms and sizes from 0.005 to 1 MB by their logarithms. Front and score are by the validation data, and again by
the test data. Nothing else may run on the machine.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from evo_moo.problems.digits_cnn import DigitsCNN
from evo_moo.problems.image_classifier import ImageClassifier

import evo_moo
from evo_moo.pareto import hypervolume
from evo_moo.toolkit.compression.compression import Compression

ENDS = {"latency_ms": (0.01, 3.0), "size_on_disk_mb": (0.005, 1.0)}
COMPRESS = {"precision": ["float32", "int8"], "pruned_channels": [0.0, 0.3, 0.6], "fine_tune_epochs": 1}


class _OneModel:
    """Serves each trained network in the same way, as it is."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.compress = Compression()
        self.metrics = self.metrics | self.compress.metrics

    def evaluate(self, config: dict[str, Any], *, seed: int) -> dict[str, float]:
        (point,) = super().evaluate(config, seed=seed)
        return dict(point.metrics)


class OneDigitsCNN(_OneModel, DigitsCNN):
    """Digits without compression."""


class OneImageClassifier(_OneModel, ImageClassifier):
    """Images without compression."""


PROBLEMS = {
    "digits": (DigitsCNN, OneDigitsCNN, {"copies": 3}),
    "mnist": (ImageClassifier, OneImageClassifier, {"data": "mnist_6k.npz", "epochs": 3}),
}


def volume(result: evo_moo.Result, prefix: str) -> float:
    """Return the hypervolume of a front, as a share of the box."""
    columns = [[(1 - e.metrics[f"{prefix}accuracy"]) / 0.5 for e in result.front]]
    for name, (low, high) in ENDS.items():
        shares = [np.log(e.metrics[name] / low) / np.log(high / low) for e in result.front]
        columns.append([max(share, 0.0) for share in shares])
    return hypervolume(np.array(columns).T, np.ones(3))


def main() -> None:
    """Print the table."""
    arguments = dict(enumerate(sys.argv[1:]))
    data, n_evals, n_seeds = arguments.get(0, "digits"), int(arguments.get(1, 40)), int(arguments.get(2, 5))
    many, one, options = PROBLEMS[data]
    problems = {"without": one(**options), "with": many(**options, compress=COMPRESS)}
    found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in problems}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EVO_MOO_CACHE_DIR"] = folder
        for seed in range(1, n_seeds + 1):
            for kind, problem in problems.items():
                result = evo_moo.search(
                    problem,
                    objectives={"accuracy": "max", "latency_ms": "min", "size_on_disk_mb": "min"},
                    termination=("n_evals", n_evals),
                    seed=seed,
                    run_dir=Path(folder) / f"{kind}-{seed}",
                )
                found[kind].append((volume(result, ""), volume(result, "test_")))
                spent_s = sum(e.duration_s or 0.0 for e in result.evaluations if e.cost)
                shares = ", ".join(f"{share:.4f}" for share in found[kind][-1])
                print(f"{data} {kind:7} seed {seed}: {shares}; front {len(result.front)}, {spent_s:.0f} s", flush=True)
    for kind, volumes in found.items():
        mean, deviation = np.mean(volumes, axis=0), np.std(volumes, axis=0, ddof=1)
        shown = ", ".join(f"{m:.4f} ± {d:.4f}" for m, d in zip(mean, deviation, strict=True))
        print(f"{data} {kind:7} validation, test: {shown} ({n_seeds} seeds, {n_evals} trainings)", flush=True)


if __name__ == "__main__":
    main()

"""The main job with models and without, judged by what its fronts hold when they are trained again.

Run: python -m tests.benchmarks.bench_main_job [SEEDS [FOLDER]]

Searches take turns; each front is trained again with five new seeds, and its members count by the means: error on the
test data, up to 0.5, against the logarithm of the latency, 0.02 to 1 ms. Beside it stand the operations, 3e3 to 2e6,
which no clock disturbs. A run takes about 5 minutes on 2 cores; one that is in FOLDER already goes on. Nothing else
may run on the machine.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

from evo_moo.analysis.confirmation_ledger import read_confirmation
from evo_moo.pareto import hypervolume, pareto_rows

N_SEEDS = 5
WORST_ERROR, LATENCY_MS, OPERATIONS = 0.5, (0.02, 1.0), (3e3, 2e6)


def search(folder: Path, model: str, seed: int) -> None:
    """Run the main job and confirm its front, from an empty cache of latencies."""
    environment = os.environ | {"EVO_MOO_CACHE_DIR": str(folder.with_suffix(".cache"))}
    begun = ["resume", folder] if folder.is_dir() else ["run", "digits_cnn", "--seed", seed, "--surrogate", model]
    orders = [[*begun, *([] if folder.is_dir() else ["--run-dir", folder])], ["confirm", folder, "--seeds", N_SEEDS]]
    for order in orders:
        command = [sys.executable, "-m", "evo_moo", *map(str, order)]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


def confirmed(folder: Path) -> tuple[float, float, str]:
    """Return the hypervolumes by latency and by operations, and a line about the front."""
    confirmation = read_confirmation(folder, n_seeds=N_SEEDS)
    error = 1 - np.nanmean(confirmation.values["accuracy"], axis=1)
    latency_ms = np.exp(np.nanmean(np.log(confirmation.values["latency_ms"]), axis=1))
    operations = np.array([member.metrics["flops"] for member in confirmation.members])
    volumes = [volume(error, cost, *ends) for cost, ends in ((latency_ms, LATENCY_MS), (operations, OPERATIONS))]
    searched = [member.metrics["accuracy"] for member in confirmation.members]
    kept = len(pareto_rows(np.column_stack([error, latency_ms]), np.zeros(len(error))))
    words = (
        f"{len(error):2} members, {latency_ms.min():.3f} to {latency_ms.max():.3f} ms, accuracy {1 - error.max():.3f} "
        f"to {1 - error.min():.3f}; order {kendalltau(searched, -error).statistic:.2f}, on the front {kept}"
    )
    return volumes[0], volumes[1], words


def volume(error: np.ndarray, cost: np.ndarray, low: float, high: float) -> float:
    """Return the hypervolume of errors and logarithms of costs, as a share of the box."""
    scaled = np.maximum(np.log(cost / low) / np.log(high / low), 0.0)
    return hypervolume(np.column_stack([error / WORST_ERROR, scaled]), np.ones(2))


def main() -> None:
    """Print the table."""
    n_seeds = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdigit() else 5
    folder = Path(sys.argv[2] if len(sys.argv) > 2 else tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    volumes: dict[str, list[tuple[float, float]]] = {"auto": [], "none": []}
    for seed in range(1, n_seeds + 1):
        for model, found in volumes.items():
            search(folder / f"{model}-{seed}", model, seed)
            *shares, words = confirmed(folder / f"{model}-{seed}")
            found.append((shares[0], shares[1]))
            print(
                f"{model:5} seed {seed}: {shares[0]:.3f} by latency, {shares[1]:.3f} by operations; {words}", flush=True
            )
    for model, found in volumes.items():
        mean, deviation = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) if n_seeds > 1 else np.zeros(2)
        ends = [f"{m:.3f} ± {d:.3f}" for m, d in zip(mean, deviation, strict=True)]
        print(f"{model:5} {ends[0]} by latency, {ends[1]} by operations ({n_seeds} seeds)")


if __name__ == "__main__":
    main()

"""Thresholds chosen after the training against thresholds as variables of it: hypervolume at equal trainings.

Run: python -m tests.benchmarks.bench_thresholds [DATA [N_EVALS [SEEDS]]], DATA as of `fair_tabular`, by default compas.

The box is the one of balanced accuracy from 0.5 to 1 and demographic parity difference up to 0.5. A front is drawn by
the validation rows, and scored by them and by the test rows, where what was chosen by luck does not last.
"""

import sys
from typing import Any

import numpy as np
from evo_moo.problems.fair_tabular import FairTabular, build_model

import evo_moo
from evo_moo.pareto import hypervolume
from evo_moo.toolkit.fairness import reweighting

N_EVALS, N_SEEDS, N_START = 60, 5, 20


class ThresholdsAsVariables(FairTabular):
    """The same models, each with one decision threshold for each group, which the search proposes."""

    def __init__(self, data: str) -> None:
        super().__init__(data)
        self.variables, self.post_training = self.variables | dict(self.post_training), {}

    def evaluate(self, config: dict[str, Any], *, seed: int) -> dict[str, float]:
        """Train, and decide by the thresholds."""
        X, y, group = self.parts["train"]
        model = build_model(config, seed).fit(X, y, sample_weight=reweighting(y, group, config["reweighting"]))
        thresholds = np.array([[value for name, value in config.items() if name.startswith("threshold_")]])
        metrics = {}
        for prefix, part in (("", "validation"), ("test_", "test")):
            table = self._metrics(part, model.predict_proba(self.parts[part][0])[:, 1], thresholds)
            metrics |= {f"{prefix}{name}": float(values[0]) for name, values in table.items()}
        return metrics


def volumes(problem: FairTabular, surrogate: str, n_evals: int, seed: int) -> tuple[float, float]:
    """Return the hypervolumes of the front on the validation rows and on the test rows."""
    result = evo_moo.search(problem, termination=("n_evals", n_evals), surrogate=surrogate, seed=seed, workers=1)
    return tuple(
        hypervolume(
            np.array(
                [
                    [(1 - e.metrics[f"{prefix}balanced_accuracy"]) / 0.5, e.metrics[f"{prefix}{GAP}"] / 0.5]
                    for e in result.front
                ]
            ),
            np.ones(2),
        )
        for prefix in ("", "test_")
    )


GAP = "demographic_parity_difference"


def main() -> None:
    """Print the table."""
    data = sys.argv[1] if len(sys.argv) > 1 else "compas"
    n_evals, n_seeds = (int(n) for n in (sys.argv[2:4] + [str(N_EVALS), str(N_SEEDS)][len(sys.argv[2:4]) :]))
    for surrogate in ("none", "auto"):
        for kind in (FairTabular, ThresholdsAsVariables):
            found = [volumes(kind(data), surrogate, n_evals, seed) for seed in range(1, n_seeds + 1)]
            mean, deviation = np.mean(found, axis=0), np.std(found, axis=0, ddof=1)
            shown = ", ".join(f"{m:.4f} ± {d:.4f}" for m, d in zip(mean, deviation, strict=True))
            print(f"{data} {surrogate:5} {kind.__name__:22} validation, test: {shown} ({n_seeds} seeds)", flush=True)


if __name__ == "__main__":
    main()

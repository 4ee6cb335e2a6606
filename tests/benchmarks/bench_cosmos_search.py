"""Trainings that offer a whole front each, as candidates of a search, against trainings of one preference.

Run: python -m tests.benchmarks.bench_cosmos_search [SEEDS]; takes adult.csv.gz in EVO_MOO_DATA.

24 trainings of conditioned networks, of 20 epochs, chosen by NSGA-II, at random, and with models; against NSGA-II over
the same variables and a fixed preference, with 24 trainings of 20 epochs, and 96 of 5. Objectives are error, the gap of
true positive rates, and the number of parameters; fronts are chosen by the validation rows and scored by the test rows:
error up to 0.25, gap up to 0.5, parameters from 500 to 20,000 by their logarithm.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from evo_moo.problems.cosmos_fair import CosmosFair

import evo_moo
from evo_moo import Point, Real
from evo_moo.pareto import hypervolume
from evo_moo.toolkit.conditioned import training

WORST_ERROR, WORST_GAP, FEWEST, MOST = 0.25, 0.5, 500, 20_000


class Conditioned(CosmosFair):
    """One training, 25 preferences."""

    def __init__(self, epochs: int) -> None:
        super().__init__("adult")
        self.epochs = epochs
        self.variables = {name: variable for name, variable in self.variables.items() if name != "epochs"}
        self.objectives = {"accuracy": "max", "equal_opportunity_difference": "min", "n_params": "min"}

    def evaluate(self, config: dict[str, Any], *, seed: int) -> list[Point]:
        """Train for the number of epochs that was given."""
        return super().evaluate({**config, "epochs": self.epochs}, seed=seed)


class OnePreference(Conditioned):
    """One training, one preference, which is a variable."""

    def __init__(self, epochs: int) -> None:
        super().__init__(epochs)
        self.variables, self.post_training = self.variables | {"preference": Real(0.1, 0.9)}, {}
        self.n_rays = 1

    def evaluate(self, config: dict[str, Any], *, seed: int) -> dict[str, float]:
        """Train with the same weights of the losses in every batch."""
        fixed = np.array([config["preference"], 1 - config["preference"]])
        train: Callable[..., training.Trained] = training.train_conditioned

        def with_one(*arguments: Any, **options: Any) -> training.Trained:
            return train(*arguments, **{**options, "preferences": lambda: fixed, "ray_set": fixed[None]})

        training.train_conditioned = with_one
        try:
            (point,) = super().evaluate(config, seed=seed)
        finally:
            training.train_conditioned = train
        return dict(point.metrics)


ARMS = {
    "conditioned, NSGA-II": (Conditioned, 20, 24, {"surrogate": "none"}),
    "conditioned, random": (Conditioned, 20, 24, {"surrogate": "none", "algorithm": "random"}),
    "conditioned, models": (Conditioned, 20, 24, {"surrogate": "auto"}),
    "one preference, 24 x 20 epochs": (OnePreference, 20, 24, {"surrogate": "none"}),
    "one preference, 96 x 5 epochs": (OnePreference, 5, 96, {"surrogate": "none"}),
}


def volume(result: evo_moo.Result) -> float:
    """Return the hypervolume of a front on the test rows, as a share of the box."""
    rows = [
        [
            (1 - e.metrics["test_accuracy"]) / WORST_ERROR,
            e.metrics["test_equal_opportunity_difference"] / WORST_GAP,
            max(np.log(e.metrics["n_params"] / FEWEST) / np.log(MOST / FEWEST), 0.0),
        ]
        for e in result.front
    ]
    return hypervolume(np.array(rows), np.ones(3))


def main() -> None:
    """Print the table."""
    n_seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    for name, (problem, epochs, n_evals, how) in ARMS.items():
        found, spent_s = [], 0.0
        for seed in range(1, n_seeds + 1):
            result = evo_moo.search(
                problem(epochs), termination=("n_evals", n_evals), pop_size=8, seed=seed, workers=1, **how
            )
            found.append(volume(result))
            spent_s += sum(e.duration_s or 0.0 for e in result.evaluations if e.cost)
        shown = ", ".join(f"{share:.3f}" for share in found)
        spread = np.std(found, ddof=1) if n_seeds > 1 else 0.0
        print(f"{name:30} {np.mean(found):.3f} ± {spread:.3f} ({shown}), {spent_s / n_seeds:.0f} s each", flush=True)


if __name__ == "__main__":
    main()

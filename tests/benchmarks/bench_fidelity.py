"""How models learn best of short trainings: rank correlation with full ones, on configurations they have not seen.

A ladder is drawn at random: all configurations on the lowest rung, of each rung the best of ``eta`` on the next. Then a
model of each metric learns from it in four ways:

- ``top only``: from full evaluations alone;
- ``usual change``: each configuration once, what was stopped below the top as its last rung plus the median change from
  there to the top;
- ``fitted line``: the same by a line through all that reached the top (Theil and Sen), which is what the search does;
- ``feature``: every evaluation on every rung, with the logarithm of the fidelity as a feature of its own.

Kendall's tau at full fidelity over random configurations (``all``), and over those whose lowest rung would let them
rise (``good``). NAS-Bench-201 needs the folder that ``EVO_MOO_DATA`` names.
"""

import os
import sys
from typing import Any

import numpy as np

from evo_moo.optimizer.refinement.rungs import promotion_order
from evo_moo.plugins import load_problem, load_surrogate
from evo_moo.surrogate.features import Features
from evo_moo.surrogate.protocol import Array, Columns
from evo_moo.surrogate.targets import Target

N, N_HELD_OUT, ETA, SEEDS = 120, 400, 4, range(1, 6)
CASES: list[tuple[str, dict[str, Any], list[int], list[str]]] = [
    ("nasbench201", {"dataset": "cifar10"}, [12, 200], ["accuracy"]),
    ("nasbench201", {"dataset": "cifar100"}, [12, 200], ["accuracy"]),
    ("nasbench201", {"dataset": "ImageNet16-120"}, [12, 200], ["accuracy"]),
    ("synthetic", {"problem": "zdt2", "arguments": {"n_var": 6}, "misleading": 0.3}, [3, 9, 27], ["f2"]),
    ("synthetic", {"problem": "zdt2", "arguments": {"n_var": 6}, "misleading": 0.8}, [3, 9, 27], ["f2"]),
]


class Case:
    """A ladder drawn at random, and what models are tried on."""

    def __init__(self, name: str, options: dict[str, Any], rungs: list[int], seed: int) -> None:
        problem = load_problem(name, options)
        rng = np.random.default_rng(seed)
        X = np.unique(problem.space.sample(N + N_HELD_OUT, rng), axis=0)
        X = X[rng.permutation(len(X))]
        features = Features(problem.space)
        self.columns, self.Z, self.rungs = features.columns, features.matrix(X), rungs
        self.metrics = [
            [
                problem.call_profile(c).metrics | problem.call_evaluate(c, seed=1, fidelity=rung).metrics
                for c in problem.space.decode(X)
            ]
            for rung in rungs
        ]
        F = [problem.goals.F(rows) for rows in self.metrics]
        self.steps, climbing = [np.arange(N)], np.arange(N)
        for low in F[:-1]:
            best = promotion_order(low[climbing], np.zeros(len(climbing)))[: len(climbing) // ETA + 1]
            climbing = climbing[best]
            self.steps.append(climbing)
        held_out = np.arange(N, len(X))
        order = promotion_order(F[0][held_out], np.zeros(len(held_out)))
        self.held_out = {"all": held_out, "good": held_out[order[: len(order) // ETA]]}

    def values(self, metric: str) -> Array:
        """Give ``(n_rungs, n)`` values."""
        return np.array([[m[metric] for m in rows] for rows in self.metrics])


def top_only(case: Case, V: Array) -> tuple[Columns, Array, Array, Array]:
    keys = case.steps[-1]
    return case.columns, case.Z[keys], V[-1, keys], case.Z


def usual_change(case: Case, V: Array) -> tuple[Columns, Array, Array, Array]:
    guess, top = V[-1].copy(), case.steps[-1]
    for rung in range(len(V) - 1):
        ended = np.setdiff1d(case.steps[rung], case.steps[rung + 1])
        guess[ended] = V[rung, ended] + np.median(V[-1, top] - V[rung, top])
    keys = case.steps[0]
    return case.columns, case.Z[keys], guess[keys], case.Z


def fitted_line(case: Case, V: Array) -> tuple[Columns, Array, Array, Array]:
    from scipy.stats import theilslopes

    guess, top = V[-1].copy(), case.steps[-1]
    for rung in range(len(V) - 1):
        ended = np.setdiff1d(case.steps[rung], case.steps[rung + 1])
        slope, intercept, *_ = theilslopes(V[-1, top], V[rung, top])
        guess[ended] = slope * V[rung, ended] + intercept
    keys = case.steps[0]
    return case.columns, case.Z[keys], guess[keys], case.Z


def feature(case: Case, V: Array) -> tuple[Columns, Array, Array, Array]:
    known = case.columns
    columns = Columns((*known.names, "fidelity"), (*known.kinds, "numeric"), (*known.n_options, 0))
    scale = np.log(np.array(case.rungs) / case.rungs[0]) / np.log(case.rungs[-1] / case.rungs[0])
    Z = np.concatenate(
        [np.column_stack([case.Z[keys], np.full(len(keys), scale[r])]) for r, keys in enumerate(case.steps)]
    )
    y = np.concatenate([V[r, keys] for r, keys in enumerate(case.steps)])
    return columns, Z, y, np.column_stack([case.Z, np.ones(len(case.Z))])


def taus(case: Case, metric: str, family: str, way: Any) -> list[float]:
    from scipy.stats import kendalltau

    V = case.values(metric)
    columns, Z, y, Z_all = way(case, V)
    mean = load_surrogate(family)(columns, 1).fit(Z, Target.fit(y).transform(y)).predict(Z_all).mean
    return [float(kendalltau(mean[keys], V[-1, keys]).statistic) for keys in case.held_out.values()]


def main() -> None:
    for name, options, rungs, metrics in CASES:
        if name == "nasbench201" and "EVO_MOO_DATA" not in os.environ:
            print("nasbench201 is skipped: EVO_MOO_DATA names no folder")
            continue
        cases = [Case(name, options, rungs, seed) for seed in SEEDS]
        for metric in metrics:
            print(f"{name} {options}, {metric}: mean tau over {len(SEEDS)} ladders of {N}, all / good", flush=True)
            for family in ("gp", "rf"):
                for way in (top_only, usual_change, fitted_line, feature):
                    found = np.mean([taus(case, metric, family, way) for case in cases], axis=0)
                    print(f"  {family}  {way.__name__:13} {found[0]:.3f} / {found[1]:.3f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

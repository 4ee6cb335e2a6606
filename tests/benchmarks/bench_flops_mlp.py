"""The objective of Optuna's multi-objective tutorial: 30 evaluations by Optuna's own sampler and by evo-moo.

Both ask ``flops_mlp``, and the seed of an evaluation follows from the search's seed and the configuration: the same
configuration has the same metrics. On scikit-learn's digits, or where EVO_MOO_DATA names a folder, on its
Fashion-MNIST. The hypervolume is that of accuracy against the logarithm of the operations, as a share of the box that
all configurations lie in.
"""

import math
import os
import statistics

import numpy as np
import optuna

import evo_moo
from evo_moo.pareto import hypervolume
from evo_moo.plugins import load_problem
from evo_moo.seeding import evaluation_seed
from evo_moo.threads import one_thread

N_EVALS, SEEDS = 30, (1, 2, 3)
DATA = "fashion_mnist_900.npz" if "EVO_MOO_DATA" in os.environ else "digits"


def by_optuna(problem: evo_moo.SearchProblem, seed: int) -> list[dict[str, float]]:
    """The tutorial's own study, with the default sampler of the installed version."""
    found = []

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        config: dict[str, float] = {"n_layers": trial.suggest_int("n_layers", 1, 3)}
        for i in range(1, config["n_layers"] + 1):
            config[f"units_{i}"] = trial.suggest_int(f"n_units_l{i}", 4, 128)
            config[f"dropout_{i}"] = trial.suggest_float(f"dropout_{i}", 0.2, 0.5)
        config["lr"] = trial.suggest_float("lr", 1e-5, 1e-1, log=True)
        found.append(
            problem.call_profile(config).metrics
            | problem.call_evaluate(config, seed=evaluation_seed(seed, config)).metrics
        )
        return found[-1]["flops"], found[-1]["accuracy"]

    default = type(optuna.create_study(directions=["minimize", "maximize"]).sampler)
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=default(seed=seed))
    study.optimize(objective, n_trials=N_EVALS)
    return found


def by_evo_moo(seed: int, surrogate: str | None) -> list[dict[str, float]]:
    result = evo_moo.search("flops_mlp", "nsga2", 10, ("n_evals", N_EVALS), seed, 1, surrogate, options={"data": DATA})
    return [evaluation.metrics for evaluation in result.evaluations]


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    problem = load_problem("flops_mlp", {"data": DATA})
    n_inputs, n_classes = math.prod(problem.images.shape), problem.images.n_classes
    least, most = (2 * n for n in (4 * (n_inputs + n_classes), 128 * (n_inputs + 2 * 128 + n_classes)))

    def share(found: list[dict[str, float]]) -> float:
        cost = [(math.log(m["flops"]) - math.log(least)) / (math.log(most) - math.log(least)) for m in found]
        return hypervolume(np.column_stack([cost, [1 - m["accuracy"] for m in found]]), [1.0, 1.0])

    searches = {
        "Optuna's default": lambda seed: by_optuna(problem, seed),
        "evo-moo, surrogate auto": lambda seed: by_evo_moo(seed, "auto"),
        "evo-moo, nsga2 alone": lambda seed: by_evo_moo(seed, None),
    }
    print(f"flops_mlp on {DATA}: {N_EVALS} evaluations, hypervolume as a share of the box, seeds {SEEDS}")
    with one_thread():
        for name, search in searches.items():
            shares = [share(search(seed)) for seed in SEEDS]
            shown = " ".join(f"{value:.3f}" for value in shares)
            print(f"{name:24} median {statistics.median(shares):.3f} ({shown})", flush=True)


if __name__ == "__main__":
    main()

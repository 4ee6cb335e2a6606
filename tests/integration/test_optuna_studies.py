"""Objectives that import Optuna, unchanged; and Optuna's studies with the candidates of this engine."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evo_moo import search
from evo_moo.storage.reading import reading
from tests.integration.running import evo_moo

optuna = pytest.importorskip("optuna", reason="Optuna is not installed")

README = """
import optuna
import sklearn
import sklearn.datasets, sklearn.ensemble, sklearn.metrics, sklearn.model_selection, sklearn.svm

# Define an objective function to be minimized.
def objective(trial):

    # Invoke suggest methods of a Trial object to generate hyperparameters.
    regressor_name = trial.suggest_categorical("regressor", ["SVR", "RandomForest"])
    if regressor_name == "SVR":
        svr_c = trial.suggest_float("svr_c", 1e-10, 1e10, log=True)
        regressor_obj = sklearn.svm.SVR(C=svr_c)
    else:
        rf_max_depth = trial.suggest_int("rf_max_depth", 2, 32)
        regressor_obj = sklearn.ensemble.RandomForestRegressor(max_depth=rf_max_depth, n_estimators=10)

    X, y = sklearn.datasets.load_diabetes(return_X_y=True)
    X_train, X_val, y_train, y_val = sklearn.model_selection.train_test_split(X, y, random_state=0)

    regressor_obj.fit(X_train, y_train)
    y_pred = regressor_obj.predict(X_val)

    error = sklearn.metrics.mean_squared_error(y_val, y_pred)

    return error  # An objective value linked with the Trial object.

def pruned(trial):
    x = trial.suggest_float("x", 0, 1)
    for step in range(5):
        trial.report(x / (step + 1), step)
        if trial.should_prune() or x > 0.8:
            raise optuna.TrialPruned()
    return x

if __name__ == "__main__":
    study = optuna.create_study()
    study.optimize(objective, n_trials=100)
"""


@pytest.fixture(autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def binh_korn(trial: Any) -> tuple[float, float]:
    x, y = trial.suggest_float("x", 0, 5), trial.suggest_float("y", 0, 3)
    return 4 * x**2 + 4 * y**2, (x - 5) ** 2 + (y - 5) ** 2


def constrained(trial: Any) -> tuple[float, float]:
    x, y = trial.suggest_float("x", -15, 30), trial.suggest_float("y", -15, 30)
    trial.set_user_attr("constraint", ((x - 5) ** 2 + y**2 - 25, -((x - 8) ** 2) - (y + 3) ** 2 + 7.7))
    return 4 * x**2 + 4 * y**2, (x - 5) ** 2 + (y - 5) ** 2


def of_attribute(trial: Any) -> Any:
    return trial.user_attrs["constraint"]


def branched(trial: Any) -> float:
    if trial.suggest_categorical("kind", ["plane", "line"]) == "plane":
        x, y = trial.suggest_float("x", -10, 10), trial.suggest_float("y", -10, 10)
        return float((x - 2) ** 2 + (y + 3) ** 2)
    return 3 + abs(float(np.log(trial.suggest_float("z", 1e-3, 1e3, log=True))))


@pytest.mark.slow
def test_the_objective_of_the_readme_is_searched_unchanged(tmp_path: Path) -> None:
    (tmp_path / "study.py").write_text(README)
    quick = ["--n-evals", 24, "--surrogate", "none", "--workers", 1, "--set", "search.pop_size=8"]
    evo_moo("run", "study.py:objective", "--directions", "minimize", *quick, "--run-dir", "r", cwd=tmp_path)
    with reading(tmp_path / "r") as ledger:
        conditions = {name: kind.get("when") for name, kind in ledger.facts().space.items()}
        evaluations = list(ledger.evaluations())
    assert conditions == {
        "regressor": None,
        "svr_c": {"regressor": ["SVR"]},
        "rf_max_depth": {"regressor": ["RandomForest"]},
    }
    assert {e.status for e in evaluations} == {"ok"}
    evo_moo("run", "study.py:pruned", "--directions", "minimize", *quick, "--run-dir", "p", cwd=tmp_path)
    with reading(tmp_path / "p") as ledger:
        assert {e.status for e in ledger.evaluations() if not e.is_told} <= {"ok", "stopped"}


def test_the_objectives_of_the_tutorials_are_searched_unchanged() -> None:
    options: dict[str, Any] = {"termination": ("n_evals", 40), "workers": 1, "surrogate": "none", "pop_size": 10}
    result = search(binh_korn, directions=["minimize", "minimize"], **options)
    assert len(result.front) > 5 and result.goals.objectives[1].metric == "values_1"
    limited = search(constrained, directions=["minimize", "minimize"], constraints_func=of_attribute, **options)
    assert [limit.metric for limit in limited.goals.limits] == ["constraint_0", "constraint_1"]
    assert all(isinstance(e.facts["constraint"], list) for e in limited.evaluations if not e.is_told)


def sampler(seed: int = 0, **options: Any) -> Any:
    from evo_moo.optuna import EvoMooSampler

    return EvoMooSampler(seed=seed, **{"surrogate": "none", **options})


def values(study: Any) -> list[Any]:
    return [(trial.state.name, trial.params, trial.values) for trial in study.trials]


@pytest.mark.slow
def test_a_study_beats_random_trials() -> None:
    best: list[list[float]] = [[], []]
    for seed in range(2):
        for i, each in enumerate((sampler(seed, surrogate="gp"), optuna.samplers.RandomSampler(seed=seed))):
            study = optuna.create_study(sampler=each)
            study.optimize(branched, n_trials=30)
            best[i].append(study.best_value)
    assert sum(best[0]) < sum(best[1]), best


@pytest.mark.slow
def test_a_study_of_two_objectives_beats_random_trials() -> None:
    from pymoo.indicators.hv import HV

    shares = []
    for each in (sampler(1, surrogate="gp"), optuna.samplers.RandomSampler(seed=1)):
        study = optuna.create_study(directions=["minimize", "minimize"], sampler=each)
        study.optimize(binh_korn, n_trials=30)
        shares.append(HV(ref_point=np.array([140.0, 50.0]))(np.array([t.values for t in study.trials])))
    assert shares[0] > shares[1]


def test_a_study_follows_its_seed_and_its_conditions() -> None:
    studies = [optuna.create_study(sampler=sampler(seed)) for seed in (3, 3, 4)]
    for study in studies:
        study.optimize(branched, n_trials=30)
    assert values(studies[0]) == values(studies[1]) != values(studies[2])
    assert {frozenset(t.params) for t in studies[0].trials} == {frozenset({"kind", "x", "y"}), frozenset({"kind", "z"})}


def test_failed_pruned_and_enqueued_trials_pass() -> None:
    def objective(trial: Any) -> float:
        x = trial.suggest_float("x", 0, 1)
        trial.report(x, 0)
        if x > 0.6:
            raise optuna.TrialPruned
        if x > 0.3:
            raise ValueError("no data")
        return x

    study = optuna.create_study(sampler=sampler(2, n_startup_trials=5))
    study.enqueue_trial({"x": 0.25})
    study.optimize(objective, n_trials=15, catch=ValueError)
    study.enqueue_trial({"x": 0.125})
    study.optimize(objective, n_trials=15, catch=ValueError)
    assert [study.trials[i].params["x"] for i in (0, 15)] == [0.25, 0.125]
    assert {t.state.name for t in study.trials} == {"COMPLETE", "PRUNED", "FAIL"} and len(study.trials) == 30


def test_ask_and_tell_may_overlap() -> None:
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler(5, n_startup_trials=4))
    for _ in range(6):
        trials = [study.ask() for _ in range(3)]
        points = [(t.suggest_float("x", 0, 1), t.suggest_int("n", 1, 9, step=2)) for t in trials]
        for trial, point in reversed(list(zip(trials, points, strict=True))):
            study.tell(trial, point)
    assert len(study.trials) == 18 and {t.params["n"] for t in study.trials} <= {1, 3, 5, 7, 9}


def test_bounds_that_change_and_constraints_are_kept() -> None:
    def objective(trial: Any) -> float:
        n = trial.suggest_int("n", 2, 30)
        trial.suggest_int("of_n", 1, n)
        trial.suggest_categorical("kind", [int, None, "x"])
        return float(n)

    each = sampler(6, n_startup_trials=5, constraints_func=lambda trial: (10.0 - trial.params["n"],))
    study = optuna.create_study(sampler=each)
    study.optimize(objective, n_trials=25)
    assert all(t.params["of_n"] <= t.params["n"] for t in study.trials)
    assert min(t.params["n"] for t in study.trials[15:]) >= 2
    assert study.trials[0].system_attrs["constraints"] == [10.0 - study.trials[0].params["n"]]


def test_a_stored_study_goes_on(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/study.db"
    for n in (1, 2):
        study = optuna.create_study(storage=storage, study_name="s", sampler=sampler(7), load_if_exists=True)
        study.optimize(branched, n_trials=12)
        assert len(study.trials) == 12 * n

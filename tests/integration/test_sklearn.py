"""The search as an estimator of scikit-learn: its own checks, whole searches, faults, resumption."""

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_iris
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import get_scorer
from sklearn.model_selection import GroupKFold, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from evo_moo import Callback, Fidelity, Integer, NoChoiceError, Real, RunFolderError, RunStoppedError, UsageError
from evo_moo.sklearn import MultiObjectiveSearchCV, PredictTime

HERE = Path(__file__).parent
X, Y = load_iris(return_X_y=True)
QUICK = {"surrogate": "none", "pop_size": 4}
C = {"C": Real(1e-2, 1, log=True)}
TREE = {"max_depth": Integer(1, 6), "criterion": ["gini", "entropy"]}


def search_of_trees(**changes: Any) -> MultiObjectiveSearchCV:
    def n_leaves(tree: DecisionTreeClassifier, X: np.ndarray) -> int:  # travels to the workers as it stands here
        return tree.get_n_leaves()

    asked = {"scoring": "accuracy", "costs": {"n_leaves": n_leaves}, "n_evals": 12, "cv": 3, "random_state": 1}
    return MultiObjectiveSearchCV(DecisionTreeClassifier(), TREE, **asked | {"search_options": QUICK} | changes)


def plain_columns(search: MultiObjectiveSearchCV) -> dict[str, list[Any]]:
    """What no clock decides."""
    return {
        k: np.ma.filled(v, -1).tolist() for k, v in search.cv_results_.items() if "_time" not in k and k != "params"
    }


@pytest.mark.slow
@parametrize_with_checks(
    [
        MultiObjectiveSearchCV(LogisticRegression(), C, n_evals=2, cv=2, random_state=1, search_options=QUICK),
        MultiObjectiveSearchCV(
            Ridge(), {"alpha": Real(0.1, 1)}, n_evals=2, cv=2, random_state=1, search_options=QUICK, error_score="raise"
        ),
    ],
    expected_failed_checks=lambda search: (
        {} if search.error_score == "raise" else {"check_dtype_object": "where every fit fails, that is a ValueError"}
    ),
)
def test_checks_of_scikit_learn_pass(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.slow
def test_three_models_are_searched_by_a_script(tmp_path: Path) -> None:
    script = [sys.executable, str(HERE / "user/three_models.py"), "16", "search.joblib"]
    done = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    search = joblib.load(tmp_path / "search.joblib")
    assert len(search.cv_results_["params"]) == 16
    assert {"logistic", "forest", "boosting"} <= set(search.cv_results_["param_model"])
    assert search.cv_results_["mean_size_kb"][search.best_index_] <= 50
    assert all(set(member.metrics) >= {"accuracy", "predict_ms", "size_kb"} for member in search.best_front_)
    assert f"never saw: {float(done.stdout.split()[-1])}" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "name", "settings"),
    [
        ("xgboost", "XGBClassifier", {}),
        ("lightgbm", "LGBMClassifier", {"verbose": -1}),
        ("catboost", "CatBoostClassifier", {"verbose": 0, "allow_writing_files": False}),
    ],
)
def test_boosted_trees_are_searched_with_few_rounds_first(module: str, name: str, settings: dict[str, Any]) -> None:
    pytest.importorskip(module, reason=f"{module} is not installed")
    model = getattr(importlib.import_module(module), name)(**settings)
    search = MultiObjectiveSearchCV(
        model,
        {"max_depth": Integer(1, 4), "learning_rate": Real(0.02, 0.5, log=True)},
        scoring="neg_log_loss",
        costs=["size_kb"],
        cv=2,
        n_evals=8,
        random_state=1,
        fidelity=Fidelity("n_estimators", 2, 18),
        search_options={**QUICK, "refinement": {"rungs": [2, 18]}},
    ).fit(X, Y)
    assert set(search.cv_results_["fidelity"].tolist()) == {2, 18}
    assert set(search.cv_results_["status"][search.cv_results_["on_front"]]) == {"ok"}
    assert search.predict(X).shape == (150,) or search.predict(X).shape == (150, 1)


def test_short_fits_may_have_few_rows() -> None:
    table = search_of_trees(
        costs={"n_rows": lambda tree, X: tree.tree_.n_node_samples[0]},
        fidelity=Fidelity("n_samples", 20, 90),
        search_options={**QUICK, "refinement": {"rungs": [20, 90]}},
        n_evals=4,
    ).fit(X, Y)
    assert set(table.cv_results_["fidelity"]) == {20, 90}
    assert (table.cv_results_["mean_n_rows"] == table.cv_results_["fidelity"]).all()


def test_a_budget_below_one_full_fit_says_so() -> None:
    rungs = {**QUICK, "refinement": {"rungs": [10, 30, 90]}}
    search = search_of_trees(fidelity=Fidelity("n_samples", 10, 90), search_options=rungs, n_evals=1)
    with pytest.raises(UsageError, match="`n_evals` must let a configuration reach full length, but with 1 none did"):
        search.fit(X, Y)


def test_the_front_is_that_of_bare_cross_validations() -> None:
    search = search_of_trees(scoring=["accuracy", "neg_log_loss"], return_train_score=True).fit(X, Y)
    table = search.cv_results_
    for row in range(12):
        bare = cross_validate(search.estimator_of(row), X, Y, cv=3, scoring=["accuracy", "neg_log_loss"])
        assert table["mean_test_accuracy"][row] == pytest.approx(bare["test_accuracy"].mean())
        assert table["split2_test_neg_log_loss"][row] == pytest.approx(bare["test_neg_log_loss"][2])
    assert {"mean_fit_time", "std_score_time", "mean_train_accuracy", "rank_test_accuracy", "param_max_depth"} <= {
        *table
    }
    assert sorted(member.row for member in search.best_front_) == np.flatnonzero(table["on_front"]).tolist()
    assert len(pd.DataFrame(table)) == 12


def test_the_number_of_workers_changes_nothing() -> None:
    assert plain_columns(search_of_trees().fit(X, Y)) == plain_columns(search_of_trees(n_jobs=2).fit(X, Y))


@pytest.mark.parametrize(
    ("refit", "best"),
    [
        ("accuracy", lambda t: t["mean_test_accuracy"].max()),
        ({"limits": {"n_leaves": {"at_most": 2}}}, lambda t: t["mean_test_accuracy"][t["mean_n_leaves"] <= 2].max()),
        (lambda t: int(t["mean_test_accuracy"].argmin()), lambda t: t["mean_test_accuracy"].min()),
    ],
    ids=["an objective", "a rule", "a function"],
)
def test_refit_decides_what_is_fitted(refit: Any, best: Any) -> None:
    search = search_of_trees(refit=refit).fit(X, Y)
    assert search.best_score_ == best(search.cv_results_)
    assert search.score(X, Y) == get_scorer("accuracy")(search.best_estimator_, X, Y)
    assert search.best_estimator_.max_depth == search.best_params_["max_depth"]


def test_a_front_without_refit() -> None:
    search = search_of_trees(refit=False).fit(X, Y)
    assert len(search.best_front_) > 1
    assert not hasattr(search, "predict")
    assert not hasattr(search, "best_index_")
    with pytest.raises(AttributeError, match="`refit` is False"):
        search.score(X, Y)


def test_limits_that_nothing_keeps_leave_the_front() -> None:
    search = search_of_trees(refit={"limits": {"n_leaves": {"at_most": 1}}})
    with pytest.raises(NoChoiceError, match="n_leaves <= 1"):
        search.fit(X, Y)
    assert len(search.best_front_) > 1


def test_a_fitted_search_is_cloned_and_pickled(tmp_path: Path) -> None:
    search = search_of_trees(costs=["size_kb"]).fit(X, Y)
    joblib.dump(search, tmp_path / "search.joblib")
    again = joblib.load(tmp_path / "search.joblib")
    assert (again.predict(X) == search.predict(X)).all()
    assert again.best_front_[0].metrics == search.best_front_[0].metrics
    fresh = clone(search).set_params(estimator__min_samples_leaf=5, n_evals=8)
    assert not hasattr(fresh, "cv_results_")
    assert fresh.get_params()["estimator__min_samples_leaf"] == 5
    assert len(fresh.fit(X, Y).cv_results_["params"]) == 8


def failing(**changes: Any) -> MultiObjectiveSearchCV:
    class Fails(ClassifierMixin, BaseEstimator):
        """Fails on the fold whose training rows lack the first row, where it is told to."""

        def __init__(self, fails: bool = False, depth: int = 1) -> None:
            self.fails, self.depth = fails, depth

        def fit(self, X: np.ndarray, y: np.ndarray) -> "Fails":
            if self.fails and not (X == [5.1, 3.5, 1.4, 0.2]).all(axis=1).any():
                raise RuntimeError("the first row is missing")
            self.tree_ = DecisionTreeClassifier(max_depth=self.depth, random_state=0).fit(X, y)
            self.classes_ = self.tree_.classes_
            return self

        def predict(self, X: np.ndarray) -> np.ndarray:
            return self.tree_.predict(X)

    asked = {"scoring": "accuracy", "costs": {"depth": lambda fitted, X: fitted.tree_.get_depth()}, "random_state": 1}
    space = {"fails": [False, True], "depth": Integer(1, 6)}
    return MultiObjectiveSearchCV(Fails(), space, n_evals=8, cv=3, search_options=QUICK, **asked | changes)


def test_a_failing_fold_costs_its_configuration_only() -> None:
    with pytest.warns(
        FitFailedWarning, match="of 8 configurations failed on some fold.*RuntimeError: the first row is missing"
    ):
        search = failing().fit(X, Y)
    table = search.cv_results_
    fails = table["param_fails"].astype(bool)
    assert (table["status"] == np.where(fails, "failed", "ok")).all()
    assert np.isnan(table["mean_test_accuracy"][fails]).all()
    assert not table["on_front"][fails].any()
    assert table["rank_test_accuracy"][fails].min() > table["rank_test_accuracy"][~fails].max()


def test_a_failing_fold_may_have_a_score() -> None:
    with pytest.warns(FitFailedWarning, match="fold 0: RuntimeError: the first row is missing"):
        table = failing(error_score=0.0).fit(X, Y).cv_results_
    fails = table["param_fails"].astype(bool)
    folds = [table[f"split{k}_test_accuracy"][fails] for k in range(3)]
    assert (np.array(folds) == 0).sum() == fails.sum() > 0
    assert np.isfinite(table["mean_depth"]).all()


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_failure_may_be_raised(n_jobs: int) -> None:
    with pytest.raises(RuntimeError, match="the first row is missing"):
        failing(error_score="raise", n_jobs=n_jobs).fit(X, Y)


def test_a_search_in_which_all_fails_says_why() -> None:
    search = MultiObjectiveSearchCV(LogisticRegression(), {"C": Real(-2, -1)}, n_evals=8, search_options=QUICK)
    with pytest.raises(UsageError, match="all of the first 4 evaluations failed") as raised:
        search.fit(X, Y)
    assert "Traceback" not in str(raised.value)


def test_all_faults_are_said_at_once() -> None:
    search = MultiObjectiveSearchCV(
        DecisionTreeClassifier(),
        {"max_dept": Integer(1, 3), "criterion": ["gini"], "min_samples_leaf": Integer(3, 1)},
        scoring={"acc": "acuracy", "fit_time": "accuracy"},
        costs=["sise_kb"],
        constraints={"acc": {"at_leest": 0.5}},
        n_evals=0,
        cv="many",
        refit="f1",
        fidelity=Fidelity("n_rounds", 1, 4),
        error_score="warn",
        run_dir="anywhere",
        search_options={"popsize": 4, "pop_size": 1},
    )
    with pytest.raises(UsageError) as raised:
        search.fit(X, Y)
    keys = ["`space.max_dept`", "`min_samples_leaf`", "`scoring.acc`", "`scoring`", "`costs`", "`cv`", "`fidelity`"]
    keys += ["`error_score`", "`random_state`", "`search_options`", "`search.pop_size`", "`budget.n_evals`"]
    keys += ["`constraints.acc.at_leest`"]
    for key in keys:
        assert [fault for fault in raised.value.faults if fault.startswith(key)], (key, raised.value.faults)


def test_a_wrong_rule_of_refit_is_said_before_anything_is_fitted() -> None:
    for refit, words in [
        ("f1", "one of accuracy, n_leaves"),
        ({"order": ["f1"]}, "`order`"),
        ({"limit": 1}, "'limit'"),
    ]:
        with pytest.raises(UsageError, match=words):
            search_of_trees(refit=refit).fit(X, Y)


def test_groups_and_sample_weights_arrive() -> None:
    groups, weights = np.arange(150) % 5, np.where(Y == 2, 0.0, 1.0)
    search = search_of_trees(cv=GroupKFold(5), n_evals=4).fit(X, Y, groups=groups, sample_weight=weights)
    assert search.n_splits_ == 5
    assert set(search.predict(X)) == {0, 1}
    assert search.cv_results_["mean_test_accuracy"].max() < 0.7


def test_metadata_is_routed() -> None:
    weights = np.where(Y == 2, 0.0, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        scorers = {
            "plain": get_scorer("accuracy"),
            "weighted": get_scorer("accuracy").set_score_request(sample_weight="importance"),
        }
        tree = DecisionTreeClassifier().set_fit_request(sample_weight="importance")
        search = search_of_trees(scoring=scorers, cv=GroupKFold(3), n_evals=6, n_jobs=2, refit="weighted")
        search.set_params(estimator=tree).fit(X, Y, importance=weights, groups=np.arange(150) % 7)
        assert search.cv_results_["mean_test_weighted"].max() == 1
        assert search.cv_results_["mean_test_plain"].max() < 0.7
        assert search.score(X, Y, importance=weights) == 1
        with pytest.raises(TypeError, match="unknown"):
            search.fit(X, Y, unknown=weights)


class StopsAt(Callback):
    def __init__(self, n: int) -> None:
        self.n = n

    def on_evaluation(self, run: Any, evaluation: Any) -> None:
        if evaluation.id == self.n and not run.is_replay:
            raise RunStoppedError("enough")


def test_a_stopped_search_goes_on_as_its_twin(tmp_path: Path) -> None:
    twin = search_of_trees().fit(X, Y)
    stopped = search_of_trees(run_dir=tmp_path / "run", search_options={**QUICK, "callbacks": [StopsAt(6)]})
    with pytest.raises(RunStoppedError, match="`fit` as before goes on"):
        stopped.fit(X, Y)
    resumed = search_of_trees(run_dir=tmp_path / "run").fit(X, Y)
    assert plain_columns(resumed) == plain_columns(twin)
    assert plain_columns(search_of_trees(run_dir=tmp_path / "run").fit(X, Y)) == plain_columns(twin)
    leafy = DecisionTreeClassifier(min_samples_leaf=3)
    for data, estimator, part in [((X + 1, Y), DecisionTreeClassifier(), "X"), ((X, Y), leafy, "estimator")]:
        with pytest.raises(RunFolderError, match=f"digest_of_{part}`"):
            search_of_trees(run_dir=tmp_path / "run").set_params(estimator=estimator).fit(*data)


def tree_of_own(flips: bool) -> DecisionTreeClassifier:
    class Own(DecisionTreeClassifier):
        if flips:

            def fit(self, X: np.ndarray, y: np.ndarray) -> "Own":
                return DecisionTreeClassifier.fit(self, X, 2 - y)

        else:

            def fit(self, X: np.ndarray, y: np.ndarray) -> "Own":
                return DecisionTreeClassifier.fit(self, X, y)

    return Own()


def test_other_code_of_an_estimator_is_refused(tmp_path: Path) -> None:
    search = (
        search_of_trees(n_evals=4, run_dir=tmp_path / "run").set_params(estimator=tree_of_own(flips=False)).fit(X, Y)
    )
    with pytest.raises(RunFolderError, match="fit` has changed"):
        search.set_params(estimator=tree_of_own(flips=True)).fit(X, Y)


def test_a_data_frame_keeps_its_names() -> None:
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    search = search_of_trees(costs={"one_row_ms": PredictTime(n_rows=1)}, n_evals=4).fit(frame, pd.Series(Y))
    assert search.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    assert (search.cv_results_["mean_one_row_ms"] > 0).all()


def test_a_search_of_a_small_space_ends() -> None:
    pipeline = Pipeline([("scale", StandardScaler()), ("model", LogisticRegression())])
    space = {"scale": [StandardScaler(), "passthrough"], "model__fit_intercept": [True, False]}
    search = MultiObjectiveSearchCV(pipeline, space, n_evals=50, cv=2, random_state=0, search_options=QUICK).fit(X, Y)
    assert len(search.cv_results_["params"]) == 4

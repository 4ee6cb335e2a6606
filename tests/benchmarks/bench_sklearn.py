"""The price of a search over the bare cross-validations of the same configurations, one after the other.

Ratios of the processor's time, medians of interleaved repeats: of the algorithm alone, with the ledger of a run folder,
and with models that propose the candidates. Beside them ``RandomizedSearchCV`` with as many configurations.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

from scipy.stats import randint
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import RandomizedSearchCV, cross_validate
from sklearn.tree import DecisionTreeClassifier

from evo_moo.sklearn import MultiObjectiveSearchCV

N_EVALS, REPEATS = 60, 3
X, Y = load_breast_cancer(return_X_y=True)
SPACE = {"max_depth": randint(1, 30), "min_samples_leaf": randint(1, 30)}
HOW: dict[str, Any] = {"scoring": ["accuracy", "roc_auc"], "cv": 3}
ESTIMATORS = {
    "a tree": DecisionTreeClassifier(random_state=0),
    "30 trees": RandomForestClassifier(30, random_state=0),
}
KINDS = {"alone": ("none", False), "with a run folder": ("none", True), "with models": ("auto", False)}


def timed(call: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    start = time.process_time()
    returned = call(*arguments)
    return time.process_time() - start, returned


def searched(estimator: Any, surrogate: str, run_dir: str | None) -> MultiObjectiveSearchCV:
    more = {"run_dir": run_dir, "search_options": {"surrogate": surrogate}, "random_state": 1, "refit": False}
    return MultiObjectiveSearchCV(estimator, SPACE, n_evals=N_EVALS, **HOW, **more).fit(X, Y)


def drawn(estimator: Any) -> RandomizedSearchCV:
    return RandomizedSearchCV(estimator, SPACE, n_iter=N_EVALS, refit=False, random_state=1, **HOW).fit(X, Y)


def bare(estimators: list[Any]) -> None:
    for estimator in estimators:
        cross_validate(estimator, X, Y, **HOW)


def compare(name: str, estimator: Any) -> None:
    ratios: dict[str, list[float]] = {}
    for _ in range(REPEATS):
        for label, (surrogate, keeps) in KINDS.items():
            with tempfile.TemporaryDirectory() as folder:
                whole_s, search = timed(searched, estimator, surrogate, folder if keeps else None)
            bare_s, _ = timed(bare, [search.estimator_of(row) for row in range(N_EVALS)])
            ratios.setdefault(label, []).append(whole_s / bare_s)
        whole_s, search = timed(drawn, estimator)
        bare_s, _ = timed(bare, [clone(estimator).set_params(**params) for params in search.cv_results_["params"]])
        ratios.setdefault("RandomizedSearchCV", []).append(whole_s / bare_s)
    print(f"{name}: {N_EVALS} configurations, 3 folds, {bare_s / N_EVALS * 1e3:.1f} ms each without a search")
    for label, each in ratios.items():
        print(f"  {label:<20} {statistics.median(each):.2f} times ({min(each):.2f} to {max(each):.2f})", flush=True)


def main() -> None:
    for name, estimator in ESTIMATORS.items():
        compare(name, estimator)


if __name__ == "__main__":
    main()

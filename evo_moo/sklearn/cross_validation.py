"""The cross-validation of one configuration of an estimator, as a problem."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import sklearn
from sklearn.model_selection import cross_validate
from sklearn.utils.metaestimators import _safe_split

from evo_moo.errors import ProblemError, SpaceError
from evo_moo.problem.fidelity import Fidelity
from evo_moo.problem.goals import Limits
from evo_moo.problem.metrics import Metric
from evo_moo.problem.search_problem import Configuration, SearchProblem
from evo_moo.sklearn.costs import FIT_TIME, Cost
from evo_moo.sklearn.space import EstimatorSpace, on_one_thread

N_SAMPLES = "n_samples"
"""Name of the fidelity that is no parameter: the number of training rows of each fold."""
FOLDS = "folds_"
"""How the facts of an evaluation begin that have the values of each fold."""
TIMES = ("fit_time", "score_time")


class Data(NamedTuple):
    """What is cross-validated.

    Attributes:
        X: Rows.
        y: Targets; None without.
        params: What ``fit`` and the scorers get beside them, such as sample weights.
        splits: Numbers of the training and of the test rows of each fold.
    """

    X: Any
    y: Any
    params: Mapping[str, Any]
    splits: Sequence[tuple[Any, Any]]


class CrossValidation(SearchProblem):
    """The cross-validation of an estimator: means over the folds as metrics, each fold's values as facts.

    Args:
        space: The configurations.
        data: What is cross-validated.
        scorers: Names to scorers, which are maximised.
        costs: Names to costs, which are minimised.
        constraints: As in ``SearchProblem``.
        fidelity: A parameter of the estimator, or ``N_SAMPLES``, in short evaluations.
        error_score: Score of a fold that fails; NaN: the evaluation fails.
        return_train_score: Whether the training rows are scored, too.
        digests: What the data and the estimator are known by to a run folder.

    Attributes:
        faults: What is wrong with what was asked for.
    """

    faults: tuple[str, ...] = ()

    def __init__(
        self,
        space: EstimatorSpace,
        data: Data,
        scorers: Mapping[str, Callable[..., float]],
        costs: Mapping[str, Cost],
        *,
        constraints: Limits,
        fidelity: Fidelity | None,
        error_score: float,
        return_train_score: bool,
        digests: Mapping[str, str],
    ) -> None:
        self.estimators, self.data, self.scorers, self.costs = space, data, dict(scorers), dict(costs)
        self.variables, self.constraints, self.fidelity = space.variables, constraints, fidelity
        self.objectives = dict.fromkeys(scorers, "max") | dict.fromkeys(costs, "min")
        timed = Metric("s", timed=True)
        self.metrics = {"fit_time": FIT_TIME, "score_time": timed} | {name: cost.metric for name, cost in costs.items()}
        self.error_score, self.return_train_score, self.digests = error_score, return_train_score, digests
        self.config_of_sklearn = sklearn.get_config()

    def check(self) -> None:
        """Check the definition, and all that was asked for; errors as of ``SearchProblem``."""
        faults = list(self.faults)
        try:
            super().check()
        except (ProblemError, SpaceError) as error:
            faults += str(error).splitlines()
        if faults:
            raise ProblemError("\n".join(faults))

    def parameter_at(self, fidelity: int | None) -> dict[str, Any]:
        """Return the parameter that a fidelity sets, if any; None is the full length."""
        if self.fidelity is None or self.fidelity.name == N_SAMPLES:
            return {}
        return {self.fidelity.name: self.fidelity.high if fidelity is None else fidelity}

    def evaluate(self, config: Configuration, *, seed: int, fidelity: int | None = None) -> dict[str, Any]:
        """Cross-validate on one thread, and measure the fitted estimators."""
        X, y, params, splits = self.data
        if self.fidelity is not None and self.fidelity.name == N_SAMPLES:
            splits = [(_some(train, fidelity or self.fidelity.high), test) for train, test in splits]
        estimator = on_one_thread(self.estimators.estimator_of(config, seed, **self.parameter_at(fidelity)))
        measured = {name: cost.measure for name, cost in self.costs.items() if cost.measure is not None}
        error_score: Any = "raise" if np.isnan(self.error_score) else self.error_score
        with sklearn.config_context(**self.config_of_sklearn):
            folds = cross_validate(
                estimator,
                X,
                y,
                cv=splits,
                scoring=self.scorers,
                params=dict(params),
                error_score=error_score,
                return_train_score=self.return_train_score,
                return_estimator=bool(measured),
            )
            fitted = folds.pop("estimator", ())
            for name, measure in measured.items():
                folds[name] = [self._cost(measure, each, *split) for each, split in zip(fitted, splits, strict=True)]
        with warnings.catch_warnings(action="ignore"):  # of no number at all there is no mean, which is a failure
            means = {name.removeprefix("test_"): np.nanmean(values) for name, values in folds.items()}
        return means | {FOLDS + name: [_or_none(value) for value in values] for name, values in folds.items()}

    def _cost(self, measure: Callable[[Any, Any], float], fitted: Any, train: Any, test: Any) -> float:
        """Measure a fitted estimator; NaN where its fit failed and has an error score."""
        try:
            return float(measure(fitted, _safe_split(fitted, self.data.X, None, test, train)[0]))
        except Exception:
            if np.isnan(self.error_score):
                raise
            return float("nan")


def _some(rows: Any, n: int) -> Any:
    """Return `n` of some rows, the same for each configuration; all of them where there are no more."""
    if n >= len(rows):
        return rows
    return np.sort(np.random.default_rng(0).permutation(rows)[:n])


def _or_none(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None

"""The cross-validation of one configuration of an estimator, as a problem."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import sklearn
from sklearn.model_selection import cross_validate
from sklearn.utils.metaestimators import _safe_split

from evo_moo.errors import ProblemError, SpaceError
from evo_moo.evaluation.slots import yield_to_measurements
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
FAULTS = "failed_folds"
"""Name of the fact that says which folds failed and have the error score."""
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
        code: Objects whose code decides the outcomes: a run folder knows it, and workers get the files.
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
        self.error_score, self.return_train_score = error_score, return_train_score
        self.__dict__.update({f"digest_of_{name}": digest for name, digest in digests.items()})
        self.config_of_sklearn = sklearn.get_config()
        self.code = [
            *space.parts(),
            *(part for scorer in scorers.values() for part in getattr(scorer, "__dict__", {}).values()),
        ]

    def name(self) -> str:
        """Return the name of the estimator's class."""
        return type(self.estimators.estimator).__name__

    def check(self) -> None:
        """Check the definition, and all that was asked for; errors as of ``SearchProblem``."""
        faults = list(self.faults)
        try:
            super().check()
        except (ProblemError, SpaceError) as error:
            faults += [line.removeprefix(f"{type(self).__name__}: ") for line in str(error).splitlines()]
        if faults:
            raise ProblemError("\n".join(faults))

    def parameter_at(self, fidelity: int | None) -> dict[str, Any]:
        """Return the parameter that a fidelity sets, if any; None is the full length."""
        if self.fidelity is None or self.fidelity.name == N_SAMPLES:
            return {}
        return {self.fidelity.name: self.fidelity.high if fidelity is None else fidelity}

    def evaluate(self, config: Configuration, *, seed: int, fidelity: int | None = None) -> dict[str, Any]:
        """Cross-validate on one thread, and measure the fitted estimators."""
        estimator = on_one_thread(self.estimators.estimator_of(config, seed, **self.parameter_at(fidelity)))
        folds, errors = list[dict[str, float]](), dict[int, Exception]()
        for number, (train, test) in enumerate(self.data.splits):
            yield_to_measurements()
            if self.fidelity is not None and self.fidelity.name == N_SAMPLES:
                train = _some(train, fidelity or self.fidelity.high)
            try:
                folds.append(self._fold(estimator, train, test))
            except Exception as error:
                if np.isnan(self.error_score):
                    raise
                folds.append({f"test_{name}": self.error_score for name in self.scorers})
                errors[number] = error
        if len(errors) == len(folds):
            raise errors[0]
        names = dict.fromkeys(name for fold in folds for name in fold)
        values = {name: [fold.get(name) for fold in folds] for name in names}
        means = {name.removeprefix("test_"): _mean(each) for name, each in values.items()}
        faults = "; ".join(f"fold {number}: {type(error).__name__}: {error}" for number, error in errors.items())
        return means | {FOLDS + name: each for name, each in values.items()} | ({FAULTS: faults} if faults else {})

    def _fold(self, estimator: Any, train: Any, test: Any) -> dict[str, float]:
        """Return scores, times and costs of one fold."""
        X, y, params, _ = self.data
        measured = {name: cost.measure for name, cost in self.costs.items() if cost.measure is not None}
        with sklearn.config_context(**self.config_of_sklearn):
            fold = cross_validate(
                estimator,
                X,
                y,
                cv=[(train, test)],
                scoring=self.scorers,
                params=dict(params),
                error_score="raise",
                return_train_score=self.return_train_score,
                return_estimator=True,
            )
            (fitted,) = fold.pop("estimator")
            rows = _safe_split(fitted, X, None, test, train)[0] if measured else None
            costs = {name: float(measure(fitted, rows)) for name, measure in measured.items()}
        return {name: float(values[0]) for name, values in fold.items()} | costs


def _mean(values: Sequence[float | None]) -> float:
    """Return the mean over the folds that have a value."""
    there = [value for value in values if value is not None]
    return sum(there) / len(there)


def _some(rows: Any, n: int) -> Any:
    """Return `n` of some rows, the same for each configuration; all of them where there are no more."""
    if n >= len(rows):
        return rows
    return np.sort(np.random.default_rng(0).permutation(rows)[:n])

"""The Pareto front of an estimator's configurations under cross-validation, as an estimator of scikit-learn."""

import time
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn, Self

import joblib
import numpy as np
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils import check_random_state, get_tags, indexable
from sklearn.utils.metadata_routing import MethodMapping, process_routing
from sklearn.utils.validation import check_is_fitted

from evo_moo.analysis.choice import pick
from evo_moo.analysis.result import Result
from evo_moo.errors import JobError, RunStoppedError, SearchFailedError, UsageError
from evo_moo.problem.fidelity import Fidelity
from evo_moo.problem.goals import Limits
from evo_moo.run.api import search
from evo_moo.run.callbacks import Callback
from evo_moo.sklearn.cross_validation import FAULTS, CrossValidation
from evo_moo.sklearn.declared import OPTIONS, problem_of, read_scoring
from evo_moo.sklearn.routing import consumers, is_routing, routed
from evo_moo.sklearn.space import EstimatorSpace
from evo_moo.sklearn.tables import FrontMember, results_table
from evo_moo.storage.evaluation_row import FAILED, Evaluation


class MultiObjectiveSearchCV(BaseSearchCV):  # type: ignore[misc]
    """Search for the Pareto front of an estimator's parameters by cross-validation.

    Every configuration is cross-validated on the same folds, each fit on one thread, ``n_jobs`` configurations at a
    time. But for measured times, the result depends on ``random_state`` and not on the number of workers.

    Args:
        estimator: The estimator, such as a pipeline; it is cloned.
        space: Parameters to a variable, a list of values, a distribution of scipy, or a dict of names to objects such
            as the steps to choose from; ``evo_moo.sklearn.space`` says more.
        scoring: A scorer, a list of names of scorers, or a dict of names to scorers; each is an objective, maximised.
            By default ``score``, the estimator's own.
        costs: What is minimised beside: some of ``"fit_time"`` (s), ``"predict_ms"`` and ``"size_kb"``, or a dict of
            names to functions of a fitted estimator and the rows of the test fold.
        constraints: Names of objectives to limits, such as ``{"predict_ms": {"at_most": 2}}``.
        n_evals: Number of configurations; or a dict of several ends, as ``termination`` of ``evo_moo.search``.
        cv: Folds, as of ``GridSearchCV``.
        refit: Which member of the front is fitted to all rows: True, the one whose largest loss is least; the name of
            an objective, the best by it; a rule of ``evo_moo.pick`` such as ``{"limits": {"size_kb": {"at_most":
            100}}, "order": ["accuracy"]}``; a function of ``cv_results_`` that returns a row; or False, none.
        fidelity: What short evaluations are short of: ``Fidelity("n_estimators", 10, 160)``, a parameter that is not
            in the space, or ``Fidelity("n_samples", 100, 1000)``, the training rows of each fold. Configurations begin
            short, and the best go on; see ``refinement`` of ``evo_moo.search``.
        n_jobs: Number of worker processes, as of ``GridSearchCV``; 1 evaluates in this process.
        random_state: Decides the search, and every ``random_state`` of the estimator that is None.
        error_score: Score of a fold that fails. NaN: the configuration fails, with its reason in ``cv_results_``, and
            is not on the front. ``"raise"`` ends the search.
        return_train_score: Whether ``cv_results_`` has scores of the training rows.
        run_dir: Folder that keeps the search: after a kill the same ``fit`` goes on, and ``evo-moo show`` reads it.
        search_options: Other arguments of ``evo_moo.search``, such as ``{"pop_size": 40, "timeout_s": 60}``.
        verbose: Whether to show progress.

    Attributes:
        best_front_: A ``FrontMember`` for each member of the front, the best by the first objective first.
        cv_results_: A row for each configuration, as of ``GridSearchCV``, with ``status``, ``reason`` and ``on_front``.
        best_index_, best_params_, best_score_, best_estimator_, refit_time_: What ``refit`` chose; the score is that of
            the scorer that ``refit`` names, else of the first.
        decision_: The choice with its reasons; None where ``refit`` is a function.
        result_: The ``Result``, for ``evo_moo.pick`` and ``plot``.
        scorer_, multimetric_, n_splits_: As of ``GridSearchCV``.
    """

    def __init__(
        self,
        estimator: Any,
        space: Mapping[str, Any],
        *,
        scoring: Any = None,
        costs: Sequence[str] | Mapping[str, Any] = (),
        constraints: Limits | None = None,
        n_evals: int | Mapping[str, Any] = 100,
        cv: Any = None,
        refit: Any = True,
        fidelity: Fidelity | None = None,
        n_jobs: int | None = None,
        random_state: Any = None,
        error_score: Any = np.nan,
        return_train_score: bool = False,
        run_dir: Any = None,
        search_options: Mapping[str, Any] | None = None,
        verbose: int = 0,
    ) -> None:
        self.estimator, self.space, self.scoring, self.costs = estimator, space, scoring, costs
        self.constraints, self.n_evals, self.cv, self.refit = constraints, n_evals, cv, refit
        self.fidelity, self.n_jobs, self.random_state, self.error_score = fidelity, n_jobs, random_state, error_score
        self.return_train_score, self.run_dir, self.search_options = return_train_score, run_dir, search_options
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Search, and fit what ``refit`` chooses to all rows.

        Args:
            X: Rows, ``(n, n_features)``.
            y: Targets, ``(n,)`` or ``(n, n_outputs)``.
            params: What the estimator's ``fit`` gets, such as ``sample_weight``, and ``groups`` for the folds; with
                scikit-learn's metadata routing whatever estimator, scorers and folds request.

        Raises:
            UsageError: Some parameter is wrong, all faults are listed; or every configuration failed.
            NoChoiceError: No member of the front keeps the limits of ``refit``; ``best_front_`` is there.
            RunFolderError: ``run_dir`` belongs to another search, or cannot be written.
            RunStoppedError: A signal stopped the search; with ``run_dir`` the same ``fit`` goes on.
        """
        X, y = indexable(X, y)
        passed = routed(self, params)
        problem = problem_of(self, X, y, passed)
        self._keep(_searched(self, problem), problem)
        if self.refit is not False or len(problem.objectives) == 1:
            self._choose()
        if self.refit is not False:
            self._refit(X, y, passed.fit)
        return self

    def score(self, X: Any, y: Any = None, **params: Any) -> float:
        """Return the score of the refitted estimator by the scorer that ``best_score_`` is of.

        Args:
            X: Rows, ``(n, n_features)``.
            y: Targets.
            params: What the scorer requests, with scikit-learn's metadata routing.

        Raises:
            AttributeError: There is none, as ``refit`` is False.
            ValueError: There are params without metadata routing.
        """
        check_is_fitted(self)
        if not hasattr(self, "best_estimator_"):
            raise AttributeError(f"`score` must have a refitted estimator, but `refit` is {self.refit!r}")
        if params and not is_routing():
            raise ValueError(f"`score` must have metadata routing enabled for {', '.join(params)}, but it is not")
        name = self._main_score()
        wanted = process_routing(self, "score", **params)[f"scorer {name}"].score if params else {}
        scorer = self.scorer_[name] if self.multimetric_ else self.scorer_
        return float(scorer(self.best_estimator_, X, y, **wanted))

    def estimator_of(self, row: int) -> Any:
        """Return the unfitted estimator of a row of ``cv_results_``, as it is evaluated in full."""
        check_is_fitted(self)
        configuration, seed = self.evaluated_[row]
        return EstimatorSpace(self.estimator, self.space).estimator_of(configuration, seed, **self.full_length_)

    def get_metadata_routing(self) -> Any:
        """Return who gets what of the metadata: the estimator, each scorer, the folds."""
        to_split = MethodMapping().add(caller="fit", callee="split")
        return consumers(self).add(splitter=self.cv, method_mapping=to_split)

    def __sklearn_tags__(self) -> Any:
        """Return the tags of the estimator, as far as they are about data."""
        tags, own = super().__sklearn_tags__(), get_tags(self.estimator)
        tags.input_tags, tags.target_tags, tags.array_api_support = own.input_tags, own.target_tags, False
        return tags

    def _main_score(self) -> str:
        scorers = read_scoring(self.estimator, self.scoring)[0]
        return self.refit if isinstance(self.refit, str) and self.refit in scorers else next(iter(scorers))

    def _keep(self, result: Result, problem: CrossValidation) -> None:
        """Keep what was measured."""
        ended = [e for e in result.evaluations if e.status != "asked"]
        space, scorers, row_of = problem.estimators, problem.scorers, {e.id: row for row, e in enumerate(ended)}
        self.result_, self.n_splits_, self.multimetric_ = result, len(problem.data.splits), len(scorers) > 1
        self.scorer_: Any = scorers if self.multimetric_ else next(iter(scorers.values()))
        self.evaluated_, self.full_length_ = [(e.configuration, e.seed) for e in ended], problem.parameter_at(None)
        self.cv_results_ = results_table(ended, (e.id for e in result.front), space, scorers, self.n_splits_)
        self.best_front_ = [
            FrontMember(row_of[e.id], space.parameters(e.configuration), dict(e.metrics)) for e in result.front
        ]
        has_failed = [e.status in FAILED or FAULTS in e.facts for e in ended]
        if any(has_failed):
            reasons = Counter(self.cv_results_["reason"][has_failed])
            why = "; ".join(f"{n} times: {reason}" for reason, n in reasons.most_common())
            words = f"{sum(has_failed)} of {len(ended)} configurations failed on some fold. {why}"
            warnings.warn(words, FitFailedWarning, stacklevel=3)

    def _choose(self) -> None:
        """Choose a row by ``refit``; errors as of ``fit``."""
        if not self.best_front_:
            rule = "`n_evals` must let a configuration reach full length"
            raise UsageError(f"{rule}, but with {self.n_evals} none did; raise it, or name fewer rungs in `refinement`")
        self.decision_ = None
        if callable(self.refit):
            self.best_index_ = int(self.refit(self.cv_results_))
        else:
            by_name = {"order": [self.refit]} if isinstance(self.refit, str) else {}
            self.decision_ = pick(self.result_, **(self.refit if isinstance(self.refit, Mapping) else by_name))
            self.best_index_ = self.cv_results_["id"].tolist().index(self.decision_.chosen.id)
        self.best_params_ = self.cv_results_["params"][self.best_index_]
        self.best_score_ = self.cv_results_[f"mean_test_{self._main_score()}"][self.best_index_]

    def _refit(self, X: Any, y: Any, params: Mapping[str, Any]) -> None:
        """Fit the chosen estimator to all rows."""
        self.best_estimator_ = self.estimator_of(self.best_index_)
        start = time.perf_counter()
        self.best_estimator_.fit(X, *(() if y is None else (y,)), **params)
        self.refit_time_ = time.perf_counter() - start
        if hasattr(self.best_estimator_, "feature_names_in_"):
            self.feature_names_in_ = self.best_estimator_.feature_names_in_


class _StopAtFailure(Callback):
    """Stops a search at the first evaluation that fails, where ``error_score`` is "raise"."""

    failed: Evaluation | None = None

    def on_evaluation(self, run: Any, evaluation: Evaluation) -> None:
        if evaluation.status in FAILED and self.failed is None:
            self.failed = evaluation
            raise RunStoppedError(evaluation.reason)


def _searched(asked: MultiObjectiveSearchCV, problem: CrossValidation) -> Result:
    """Search; errors as of ``fit``."""
    options = asked.search_options if isinstance(asked.search_options, Mapping) else {}
    known = {name: value for name, value in options.items() if name in OPTIONS}
    if asked.fidelity is not None:
        known.setdefault("refinement", {})
    failure = _StopAtFailure()
    if isinstance(asked.error_score, str):
        known["callbacks"] = [*known.get("callbacks", ()), failure]
    seed = asked.random_state
    if seed is None or isinstance(seed, np.random.RandomState):
        seed = int(check_random_state(seed).randint(2**31 - 1))
    try:
        result = search(
            problem,
            termination=asked.n_evals if isinstance(asked.n_evals, Mapping) else ("n_evals", asked.n_evals),
            seed=seed,
            workers=joblib.effective_n_jobs(asked.n_jobs),
            run_dir=asked.run_dir,
            verbose=bool(asked.verbose),
            **known,
        )
        return replace(result, evaluations=list(result.evaluations))  # in memory, so that it can be pickled
    except JobError as error:
        raise UsageError(*(fault.removeprefix("`problem`: ") for fault in error.faults)) from None
    except (SearchFailedError, RunStoppedError) as error:
        if failure.failed is not None:
            _raise_again(failure.failed, problem)
        if isinstance(error, SearchFailedError):
            why = str(error).partition("\n")[0]
            way_on = "error_score='raise' shows where"
            raise UsageError(f"some configuration must be cross-validated well, but {why}; {way_on}") from None
        way_on = "`fit` as before goes on" if asked.run_dir else "without `run_dir` it cannot go on"
        raise RunStoppedError(f"the search was stopped, and {way_on}", error.result) from None


def _raise_again(failed: Evaluation, problem: CrossValidation) -> NoReturn:
    """Raise what an evaluation raised, which may have been in another process, by repeating it in this one."""
    problem.call_evaluate(failed.configuration, seed=failed.seed, fidelity=failed.fidelity)
    raise UsageError(f"no fit must fail where `error_score` is 'raise', but one did: {failed.reason}")

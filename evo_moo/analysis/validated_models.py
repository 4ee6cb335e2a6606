"""Models of a run's metrics that were tried on configurations that they did not learn."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from evo_moo.analysis.run_table import RunTable
from evo_moo.plugins import load_surrogate
from evo_moo.problem.metrics import Metric
from evo_moo.seeding import seed_for
from evo_moo.surrogate.features import Features
from evo_moo.surrogate.fitting import FAMILIES, NONE, Families
from evo_moo.surrogate.model_selection import Fold, Scores, cross_validated
from evo_moo.surrogate.posterior import MetricModel
from evo_moo.surrogate.protocol import Array, Surrogate
from evo_moo.surrogate.targets import Target
from evo_moo.threads import one_blas_thread

FEWEST = 10
"""Configurations from which a model is tried at all."""
MOST, MOST_NUMBERS = 1000, 100_000
"""Configurations, and values of variables in them, that are looked at; of more, so many are drawn."""
MOST_PER_FOLD = 400
"""Configurations that a model learns in cross-validation; the rest cost much and teach little."""

LEAST, WIDE = 1e-290, 100.0
"""A logarithm is taken of values above the first, and of those that differ by a factor above the second."""
SMALLEST, LARGEST, RELATIVE = 1e-100, 1e100, 1e-9
"""Spreads of values, also as a share of the largest, whose squares are more than rounding errors."""


@dataclass(frozen=True)
class Validated:
    """What is known of one metric, and how far to trust it.

    Attributes:
        metric: Name of the metric.
        X: ``(n, n_var)`` encoded rows that were learnt.
        features: What models see of rows.
        y: ``(n,)`` values, or their logarithms.
        log: Whether importances are about the metric's logarithm: where it is declared so, or its values span two
            powers of ten. Unlike what models learn, this does not depend on where the search looked most.
        model: The chosen model, which learnt all rows; None: nothing predicts the metric.
        folds: The rows that were held out, and the model of the same kind that learnt the others.
        family: Name of the kind of model; empty where there is none.
        scores: How well it, or else the best one that was tried, predicts the rows that were held out.
        nothing: Why there is no model; empty where there is one.
    """

    metric: str
    X: Array
    features: Features
    y: Array
    log: bool = False
    model: MetricModel | None = None
    folds: Sequence[Fold] = ()
    family: str = ""
    scores: Scores | None = None
    nothing: str = ""

    @property
    def trainings(self) -> npt.NDArray[np.intp]:
        """The training of each row of ``X``, ``(n,)``, numbered in the order of the rows: points of one go together."""
        trained = self.features.columns.trainings(self.features.matrix(self.X))
        _, first, label = np.unique(trained, axis=0, return_index=True, return_inverse=True)
        numbers: npt.NDArray[np.intp] = np.argsort(np.argsort(first))[label.reshape(-1)]
        return numbers

    def predict(self, X: Array, fitted: Surrogate | None = None) -> Array:
        """Predict ``y`` of ``(n, n_var)`` rows, ``(n,)``, by the model, which must exist, or by that of a fold."""
        model: MetricModel = self.model  # type: ignore[assignment]
        values = model.medians((fitted or model).predict(self.features.matrix(X))[0])
        return np.log(np.maximum(values, LEAST)) if self.log else values


@functools.lru_cache(maxsize=8)
def validated(table: RunTable, metric: str, most: int = MOST) -> Validated:
    """Choose and fit the model of a metric, as a search does: one that ranks no better than chance is not used.

    The latest results are kept.

    Args:
        table: What was measured.
        metric: Name of the metric.
        most: Number of configurations to learn; of more, so many are drawn.
    """
    rows, most = table.known(metric), min(most, max(MOST_NUMBERS // table.space.n_var, 5 * FEWEST))
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(seed_for("rows", table.seed)).permutation(rows)[:most])
    values, features = table.values[metric][rows], Features(table.space, n_trained=table.n_trained)
    declared = table.metrics.get(metric, Metric())
    log = bool(values.size and values.min() > LEAST and (declared.log or values.max() >= WIDE * values.min()))
    unknown = Validated(metric, table.X[rows], features, np.log(values) if log else values, log)
    if len(rows) < FEWEST:
        return replace(unknown, nothing=f"{len(rows)} evaluated configurations have it, but it takes {FEWEST}")
    low, high = values.min(), values.max()
    if low == high:
        return replace(unknown, nothing=f"it is {low:.4g} in every evaluation")
    if not max(SMALLEST, RELATIVE * np.abs(values).max()) < high / 2 - low / 2 < LARGEST:
        return replace(unknown, nothing=f"its values, {low:.4g} to {high:.4g}, have no usable variance")
    sign = table.goals.sign(metric)
    target = Target.fit(sign * values)
    Z, y = features.matrix(unknown.X), target.transform(sign * values)
    classes = {family: load_surrogate(family) for family in FAMILIES}
    # Every family is cross-validated, also one that validates itself: importances need the models of the folds.
    validate = functools.partial(cross_validated, most=MOST_PER_FOLD)
    seed = seed_for("importance", table.seed)
    families = Families(classes, features.columns, seed, validate, declared.noisy, always_average=False)
    with one_blas_thread():
        choice = families.choose(Z, y)
        if choice.family == NONE:
            best = max(choice.scores.values(), key=lambda scores: scores.rank_correlation, default=None)
            return replace(unknown, scores=best, nothing="no model predicts this metric; importances would be noise")
        model = MetricModel(sign, target, families.new(choice.family).fit(Z, y), declared=declared)
    family, scores = choice.family, choice.scores[choice.family]
    return replace(unknown, model=model, folds=choice.folds, family=family, scores=scores)

"""Scores are numbers, whatever was measured and wherever the limits lie."""

import numpy as np
import pytest
from evo_moo.surrogates.gaussian_process import GaussianProcess
from evo_moo.surrogates.random_forest import RandomForest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from evo_moo import Real, SearchProblem
from evo_moo.problem.objectives import Limit
from evo_moo.problem.points import numbered
from evo_moo.surrogate.archive import Archive
from evo_moo.surrogate.posterior import MetricModel, Posterior
from evo_moo.surrogate.search_models import SearchModels
from evo_moo.surrogate.targets import Target


def models_of(limits, metrics):
    """The models of a problem with these limits on `a` and `c`, and its archive."""

    class Limited(SearchProblem):
        variables = {"x": Real(0, 1), "y": Real(0, 1)}
        objectives = {"a": "min", "b": "max"}
        constraints = limits

        def evaluate(self, config):
            return {}

    problem = Limited()
    archive = Archive(problem, problem.goals)
    X = problem.space.sample(len(metrics), np.random.default_rng(1))
    for i, (x, row) in enumerate(zip(X, metrics, strict=True), 1):
        archive.record(i, x, numbered((), dict(zip("abc", row, strict=True))))
    models = SearchModels(problem, problem.goals, {"gp": GaussianProcess, "rf": RandomForest}, RandomForest)
    return models.fit(archive), problem


sizes = st.sampled_from([1e-6, 1.0, 1e6])
ends = st.sampled_from([-1e9, -1e3, -1.0, 0.0, 1.0, 1e3, 1e9])
limits = st.tuples(st.sampled_from(["at_most", "at_least", "equals"]), ends)


@pytest.mark.slow
@settings(max_examples=15, phases=[Phase.explicit, Phase.generate])
@given(sizes, limits, limits, st.booleans(), st.integers(0, 2**31))
def test_probability_of_limits_is_a_number_everywhere(size, of_a, of_c, is_positive, seed):
    """As of a metric whose values are all positive, so that logarithms are taken, but whose limit is not."""
    rng = np.random.default_rng(seed)
    values = np.exp(rng.normal(size=(16, 3))) if is_positive else rng.normal(size=(16, 3))
    posterior, problem = models_of({"a": {of_a[0]: of_a[1]}, "c": {of_c[0]: of_c[1]}}, size * values)
    if posterior is not None:
        X = problem.space.sample(50, rng)
        assert np.isfinite(posterior.log_probability(X)).all()
        assert all(np.isfinite(each).all() for each in (*posterior.objectives(X), *posterior.lookahead(X)))


@pytest.mark.parametrize("bound", [0.0, -5.0])
def test_limit_that_nothing_keeps_tells_rows_apart(bound):
    """Values far from a limit, all positive: what is predicted nearer to it is the more probable to keep it."""
    X = np.random.default_rng(1)
    rows = [(x, y, 10.0 ** (1 + x)) for x, y in X.uniform(size=(20, 2))]
    posterior, problem = models_of({"c": {"at_most": bound}}, rows)
    assert posterior is not None
    drawn = problem.space.sample(100, np.random.default_rng(2))
    assert len(np.unique(posterior.log_probability(drawn))) > 50


def test_limit_without_a_model_is_learnt_as_success_and_failure():
    """Broken in a corner, and here and there elsewhere: no model ranks the metric, but a forest knows the corner."""
    limits, rng = {"c": {"at_most": 0.5}}, np.random.default_rng(1)
    _, problem = models_of(limits, [(0.0, 0.0, 0.0)] * 40)
    X = problem.space.sample(40, np.random.default_rng(1))
    values = np.where(X[:, 0] > 0.8, 0.501, np.where(rng.random(40) < 0.3, 0.502, -9))
    posterior, _ = models_of(limits, [(*x, value) for x, value in zip(X, values, strict=True)])
    assert posterior.models["c"].model is None
    inside, outside = posterior.log_probability(np.array([[0.95, 0.5], [0.4, 0.5]]))
    assert outside > inside + 1


class Normal:
    """A model that predicts the first feature with one standard deviation."""

    extrapolates = False

    def __init__(self, std=0.5, noise=0.0):
        self._std, self._noise = std, noise

    def predict(self, Z):
        return Z[:, 0], np.full(len(Z), self._std)

    def noise(self):
        return self._noise


Z = np.array([[-1.0], [0.0], [2.0]])


@pytest.mark.parametrize("sign", [1, -1])
def test_probability_of_a_limit_is_the_normal_one(sign):
    model = MetricModel(sign, Target(location=10.0, scale=2.0), Normal())
    values = sign * (10.0 + 2.0 * Z[:, 0])
    below = norm.logcdf(13.0 * sign, values, 1.0)
    assert model.log_probability(Z, Limit("m", "at_most", 13.0 * sign)) == pytest.approx(below)
    above = norm.logsf(13.0 * sign, values, 1.0)
    assert model.log_probability(Z, Limit("m", "at_least", 13.0 * sign)) == pytest.approx(above)


def test_evaluation_moves_the_mean_less_where_there_is_noise():
    """By std**2 / sqrt(std**2 + noise**2)."""
    for noise, step in ((0.0, 0.5), (1.2, 0.25 / 1.3)):
        mean, moved = MetricModel(1, Target(), Normal(noise=noise)).lookahead(Z)
        assert mean == pytest.approx(Z[:, 0]) and moved == pytest.approx([step] * 3)


def test_deviation_is_a_chance_unless_a_model_only_averages():
    """A metric without a model, by a formula or not, is as uncertain as it says."""
    with_formula = MetricModel(1, Target(), formula=lambda Z: Z[:, 0])
    models = {"a": MetricModel(1, Target(), Normal()), "b": with_formula}
    goals = models_of({}, [(0.0, 0.0, 0.0)] * 4)[1].goals
    assert Posterior(goals, None, models).chance(0.3).tolist() == [0.3, 1.0]

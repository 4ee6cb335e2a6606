import numpy as np
import pytest
from evo_moo.surrogates import gaussian_process
from evo_moo.surrogates.gaussian_process import GaussianProcess, LogPosterior, thinned
from evo_moo.surrogates.random_forest import N_TREES, RandomForest
from pymoo.problems import get_problem
from scipy.optimize import approx_fprime
from scipy.stats import norm
from sklearn.ensemble import ExtraTreesRegressor

from evo_moo.errors import SurrogateError
from evo_moo.surrogate.model_selection import AveragedSurrogate
from evo_moo.surrogate.protocol import Columns, canonical_order
from evo_moo.testing import SurrogateSuite


class TestGaussianProcess(SurrogateSuite):
    surrogate = GaussianProcess


class TestThinnedGaussianProcess(SurrogateSuite):
    """Beyond the limit, all promises hold that a model of fewer points can keep."""

    surrogate = GaussianProcess

    @pytest.fixture(autouse=True)
    def low_limit(self, monkeypatch):
        monkeypatch.setattr(gaussian_process, "MAX_POINTS", 30)


class TestRandomForest(SurrogateSuite):
    surrogate = RandomForest


class TestAveragedSurrogate(SurrogateSuite):
    def make(self, columns=None, seed=1):
        columns = columns or self.columns
        return AveragedSurrogate([GaussianProcess(columns, seed), RandomForest(columns, seed)])


MIXED = SurrogateSuite.columns
PARTS = Columns(("x", "a", "b", "n"), ("numeric", "binary", "binary", "numeric"), (0,) * 4, widths=(1, 3, 3, 3))


def mixed(n, seed=0):
    return SurrogateSuite().data(n, seed)


@pytest.mark.parametrize(
    "columns",
    [MIXED, Columns.numeric(3), Columns(("u", "v"), ("category",) * 2, (3, 4)), PARTS],
    ids=["mixed", "all", "none", "parts"],
)
def test_the_gradient_of_the_posterior_is_that_of_its_value(columns):
    rng = np.random.default_rng(1)
    X = np.where(columns.category, rng.integers(0, 3, (30, len(columns))), rng.random((30, len(columns))))
    X = np.where(columns.binary, rng.integers(0, 2, X.shape), X)
    objective = LogPosterior(X, rng.normal(size=30), columns)
    for _ in range(3):
        theta = objective.default_start + rng.normal(size=len(columns) + 1)
        numeric = approx_fprime(theta, lambda t: objective(t)[0], 1e-6)
        np.testing.assert_allclose(objective(theta)[1], numeric, atol=1e-4)


def test_conditioning_is_exact():
    """Point by point or all at once, it is the model of all points with the same hyperparameters."""
    X, y = mixed(30)
    model = GaussianProcess(MIXED).fit(X[:20], y[:20])
    at_once = model.condition(X[20:], y[20:]).predict(X)
    one_by_one = model
    for i in range(20, 30):
        one_by_one = one_by_one.condition(X[i : i + 1], y[i : i + 1])
    *length_scales, noise = np.exp(model.dump()["theta"])
    prior = gaussian_process.correlation(X, X, np.array(length_scales), MIXED)
    mean = prior @ np.linalg.solve(prior + noise * np.eye(30), y)
    for one, two in zip(at_once, one_by_one.predict(X), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)
    np.testing.assert_allclose(at_once.mean, mean, atol=1e-5)


def test_two_categories_are_equally_far_whatever_their_codes():
    X, y = mixed(40)
    swapped = X.copy()
    swapped[:, 3] = np.array([2, 0, 1])[X[:, 3].astype(int)]
    one, two = (GaussianProcess(MIXED).fit(rows, y).predict(rows).mean for rows in (X, swapped))
    np.testing.assert_allclose(one, two, atol=1e-3)


def test_noise_is_found():
    rng = np.random.default_rng(0)
    x = rng.random((150, 1))
    y = np.sin(6 * x[:, 0]) + rng.normal(0, 0.3, 150)
    model = GaussianProcess(Columns.numeric(1)).fit(x, y)
    assert model.noise() == pytest.approx(0.3, rel=0.25)
    assert model.predict(x).std.max() < 0.2


def test_noise_is_not_taken_for_structure_in_many_dimensions():
    """120 points of 10 features, of which 5 matter."""
    found = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        X = rng.random((120, 10))
        truth = np.sin(3 * X[:, 0]) + X[:, 1] ** 2 + X[:, 2] * X[:, 3] + 0.5 * np.cos(4 * X[:, 4])
        y = (truth - truth.mean()) / truth.std() + rng.normal(0, 0.28, 120)
        model = GaussianProcess(Columns.numeric(10))
        model.noisy = True
        found.append(model.fresh().fit(X, y).noise())
    assert 0.18 < np.mean(found) < 0.36


def test_the_prior_keeps_a_rugged_function_from_being_overfitted():
    """Log-likelihood of 200 new points of ZDT4 with 10 variables, learnt from 25, mean of three draws."""
    problem = get_problem("zdt4", n_var=10)

    def score(seed):
        unit = np.random.default_rng(seed).random((225, 10))
        f = problem.evaluate(problem.xl + unit * (problem.xu - problem.xl))[:, 1]
        y = (f - f[:25].mean()) / f[:25].std()
        model = GaussianProcess(Columns.numeric(10)).fit(unit[:25], y[:25])
        mean, std = model.predict(unit[25:])
        return norm.logpdf(y[25:], mean, np.hypot(std, model.noise())).mean()

    with_prior = np.mean([score(seed) for seed in range(3)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LogPosterior, "prior", lambda self, theta: (0.0, np.zeros_like(theta)))
        without = np.mean([score(seed) for seed in range(3)])
    assert with_prior > without + 0.5


def test_zdt1_is_learnt_from_fifty_points():
    problem = get_problem("zdt1", n_var=10)
    X = np.random.default_rng(0).random((250, 10))
    f = problem.evaluate(X)[:, 1]
    y = (f - f[:50].mean()) / f[:50].std()
    model = GaussianProcess(Columns.numeric(10)).fit(X[:50], y[:50])
    assert np.corrcoef(model.predict(X[50:]).mean, y[50:])[0, 1] > 0.98


@pytest.mark.slow
def test_a_warm_start_is_never_worse_than_the_default_one():
    X, y = mixed(40)
    model = GaussianProcess(MIXED)
    for theta in (None, np.full(6, 3.0), np.full(6, -3.0)):
        model.load({"theta": theta})
        model.fit(X, y)
        order = canonical_order(X, y)
        objective = LogPosterior(X[order], y[order], MIXED)
        default = objective.best_from([objective.default_start])
        assert objective(model.dump()["theta"])[0] <= objective(default)[0] + 1e-9


def test_thinning_keeps_the_best_and_spreads_over_the_rest():
    rng = np.random.default_rng(0)
    X, y = np.concatenate([rng.random((200, 2)) * 0.1, [[1.0, 1.0]]]), np.arange(201.0)
    numbers = Columns.numeric(2)
    kept = thinned(X, y, 20, numbers, n_best=10)
    assert len(set(kept)) == 20 and set(range(10)) <= set(kept) and 200 in kept
    np.testing.assert_array_equal(thinned(X, y, 300, numbers, n_best=10), np.arange(201))
    assert len(set(thinned(np.zeros((40, 2)), y[:40], 20, numbers, n_best=10))) == 20


def test_the_luckiest_of_many_noisy_values_are_not_sought(monkeypatch):
    """The smallest of many noisy values are all below the truth; a model of them alone would be, too."""
    monkeypatch.setattr("evo_moo.surrogates.gaussian_process.MAX_POINTS", 100)
    rng = np.random.default_rng(0)
    X = rng.random((1000, 2))
    y = rng.standard_normal(1000)
    model = GaussianProcess(Columns.numeric(2))
    model.noisy = True
    assert abs(model.fit(X, y).predict(X).mean.mean()) < 0.3


def test_a_default_start_is_tried_again_as_points_grow():
    """A fit that went astray on few points does not stay there."""
    X, y = mixed(40)
    astray, fresh = GaussianProcess(MIXED), GaussianProcess(MIXED)
    astray.load({"theta": np.full(6, 9.0), "n_at_default": 30})
    order = canonical_order(X, y)
    objective = LogPosterior(X[order], y[order], MIXED)
    fitted = objective(astray.fit(X, y).dump()["theta"])[0]
    assert fitted <= objective(fresh.fit(X, y).dump()["theta"])[0] + 1e-9


@pytest.mark.parametrize("state", [{"theta": np.zeros(3)}, {"theta": np.full(6, np.nan)}])
def test_a_state_of_other_columns_is_refused(state):
    with pytest.raises(SurrogateError):
        GaussianProcess(MIXED).load(state)


def test_a_leaf_learns_what_falls_into_it():
    """A fantasised point is one more of the leaf: mean, variance and count are those of all its points."""
    x, y = np.zeros((4, 1)), np.array([1.0, 2.0, 3.0, 6.0])
    forest = RandomForest(Columns.numeric(1)).fit(x, y)
    other = forest.condition(x[:1], np.array([8.0]))
    trees = ExtraTreesRegressor(N_TREES, bootstrap=True, random_state=0).fit(x, y)
    drawn = [np.append(y[rows], 8.0) for rows in trees.estimators_samples_]
    means, variances = [values.mean() for values in drawn], [values.var() for values in drawn]
    mean, std = other.predict(x[:1])
    np.testing.assert_allclose([mean[0], std[0] ** 2], [np.mean(means), np.mean(variances) + np.var(means)], rtol=1e-4)


def test_out_of_bag_predictions_do_not_know_the_point():
    rng = np.random.default_rng(0)
    x, y = rng.random((40, 2)), rng.normal(size=40)
    forest = RandomForest(Columns.numeric(2)).fit(x, y)
    in_bag = np.abs(forest.predict(x).mean - y).mean()
    assert np.abs(forest.held_out(x, y).mean - y).mean() > 1.5 * in_bag

import numpy as np
import pytest
from evo_moo.surrogates.gaussian_process import GaussianProcess
from evo_moo.surrogates.random_forest import RandomForest
from scipy.stats import kendalltau, norm

from evo_moo.surrogate.model_selection import (
    ONE_SIDED_99,
    AveragedSurrogate,
    Scores,
    chance_deviation,
    choose,
    cross_validated,
    score,
    validated,
)
from evo_moo.surrogate.protocol import Columns, Prediction, Surrogate


class Fixed(Surrogate):
    """Always predicts the same line, whatever it is fitted to."""

    def __init__(self, columns, seed=0, slope=0.0, offset=0.0, std=1.0):
        super().__init__(columns, seed)
        self.line = slope, offset, std
        self.learnt = None

    def fresh(self):
        return Fixed(self.columns, self.seed, *self.line)

    def fit(self, X, y):
        self.learnt = {*X[:, 0]}
        FITS.append(self)
        return self

    def predict(self, X):
        assert self.learnt is not None and not self.learnt & {*X[:, 0]}, "it has seen these points"
        return Prediction(self.line[0] * X[:, 0] + self.line[1], np.full(len(X), self.line[2]))

    def noise(self):
        return 0.5

    def condition(self, X, y):
        return self

    def dump(self):
        return {}

    def load(self, state):
        pass


FITS = []
ONE = Columns.numeric(1)


def validate(model, X, y):
    return score(validated(model, X, y).prediction, y)


def test_scores_are_of_points_that_the_model_has_not_seen():
    rng = np.random.default_rng(0)
    X, y = rng.random((23, 1)), rng.normal(size=23)
    FITS.clear()
    scores = validate(Fixed(ONE, slope=2.0, std=1.2), X, y)
    density = norm.logpdf(y, 2 * X[:, 0], 1.3).mean()
    assert scores == Scores(pytest.approx(kendalltau(X[:, 0], y).statistic), pytest.approx(density), 23)
    assert [len(model.learnt) for model in FITS] == [18, 18, 18, 19, 19]


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_constant_tells_nothing(n):
    scores = validate(Fixed(ONE), np.arange(float(n))[:, None], np.arange(float(n)))
    assert scores.rank_correlation == 0 and np.isfinite(scores.log_likelihood) and not scores.better_than_chance


def test_the_order_of_points_changes_no_score():
    rng = np.random.default_rng(0)
    X, y, order = rng.random((20, 2)), rng.normal(size=20), rng.permutation(20)
    model = GaussianProcess(Columns.numeric(2))
    assert validate(model, X, y).rank_correlation == validate(model, X[order], y[order]).rank_correlation


@pytest.mark.parametrize("n", [8, 20, 100])
def test_unrelated_rankings_hardly_ever_pass(n):
    rng = np.random.default_rng(0)
    taus = [kendalltau(rng.random(n), rng.random(n)).statistic for _ in range(1000)]
    assert 0.001 < np.mean(np.array(taus) > ONE_SIDED_99 * chance_deviation(n)) < 0.02


def scores(**pairs):
    return {name: Scores(rank, likelihood, 50) for name, (rank, likelihood) in pairs.items()}


@pytest.mark.parametrize(
    ("candidates", "incumbent", "chosen"),
    [
        (scores(gp=(0.1, 5.0), rf=(0.05, 6.0)), "gp", None),  # the bound for 50 points is 0.23
        ({}, None, None),
        (scores(gp=(0.8, -1.0), rf=(0.5, 0.0)), None, "gp"),
        (scores(gp=(0.8, -1.0), rf=(0.78, -0.5)), None, "rf"),
        (scores(gp=(0.8, -1.0), rf=(0.78, -0.5)), "gp", "rf"),
        (scores(gp=(0.8, -1.0), rf=(0.82, -0.95)), "gp", "gp"),
        (scores(gp=(0.8, -1.0), rf=(0.82, -0.95)), "rf", "rf"),
        (scores(gp=(0.5, -1.0), rf=(0.82, -0.95)), "gp", "rf"),
        (scores(gp=(0.1, 9.0), rf=(0.3, -3.0)), "gp", "rf"),
        (scores(gp=(0.8, -1.0), rf=(0.8, -1.0)), None, "gp"),
        (scores(gp=(0.8, -1.0)), "gone", "gp"),
    ],
)
def test_the_choice(candidates, incumbent, chosen):
    assert choose(candidates, incumbent) == chosen


@pytest.mark.parametrize(("n", "chosen"), [(20, "gp"), (200, "rf")])
def test_few_points_do_not_tell_which_model_ranks_better(n, chosen):
    # The deviation of chance is 0.16 for 20 points, and 0.05 for 200.
    assert choose({"rf": Scores(0.7, -1.0, n), "gp": Scores(0.6, -0.5, n)}) == chosen


def test_the_average_is_a_mixture():
    X = np.zeros((3, 1))
    average = AveragedSurrogate([Fixed(ONE), Fixed(ONE, offset=4.0, std=2.0)]).fresh().fit(X + 1, np.zeros(3))
    np.testing.assert_allclose(average.predict(X).mean, 2.0)
    np.testing.assert_allclose(average.predict(X).std ** 2, (1 + 4) / 2 + 4)
    assert average.noise() == 0.5


def test_an_average_extrapolates_only_if_all_of_it_does():
    process, forest = GaussianProcess(ONE), RandomForest(ONE)
    extrapolate = [m.extrapolates for m in (process, forest, AveragedSurrogate([process, forest]))]
    assert extrapolate == [True, False, False] and AveragedSurrogate([process, process]).extrapolates
    X, y = np.linspace(0, 1, 40)[:, None], np.linspace(-2, 2, 40)
    beyond = forest.fit(X, y).predict(np.linspace(0, 1, 500)[:, None]).mean
    assert beyond.min() >= -2 and beyond.max() <= 2  # whatever it says, it has seen better


def test_a_smooth_function_is_the_processs():
    X, columns = np.random.default_rng(0).random((60, 4)), Columns.numeric(4)
    y = np.sin(3 * X[:, 0]) + X[:, 1]
    models = {"rf": RandomForest(columns), "gp": GaussianProcess(columns)}
    assert choose({name: validate(model, X, (y - y.mean()) / y.std()) for name, model in models.items()}) == "gp"


def test_mere_noise_is_hardly_ever_taken_for_a_function():
    passed = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        X, y = rng.random((40, 6)), rng.normal(size=40)
        passed += validate(GaussianProcess(Columns.numeric(6)), X, y).better_than_chance
    assert passed <= 2


def test_forest_is_validated_out_of_bag_or_by_folds():
    X = np.random.default_rng(0).random((30, 2))
    y, forest = X[:, 0] - 0.5, RandomForest(Columns.numeric(2))
    own, by_folds = validated(forest, X, y), cross_validated(forest, X, y, most=10)
    assert not own.folds and sorted(np.concatenate([rows for rows, _ in by_folds.folds])) == list(range(30))
    for rows, model in by_folds.folds:
        np.testing.assert_array_equal(model.predict(X[rows]).mean, by_folds.prediction.mean[rows])
    assert score(own.prediction, y).better_than_chance and score(by_folds.prediction, y).better_than_chance

import itertools

import numpy as np
import pytest

from evo_moo.analysis.importance.cells import Cells
from evo_moo.analysis.importance.fanova import Forest
from evo_moo.space.search_space import SearchSpace
from evo_moo.space.variables import Boolean, Choice, Integer, Real

SMALL = SearchSpace(
    {
        "n": Integer(1, 3),
        "kind": Choice(["a", "b", "c"]),
        "flag": Boolean(),
        "width": Integer(2, 5, log=True, when={"n": {"at_least": 2}}),
    }
)


def ishigami(X):
    """Ishigami & Homma 1990 with a = 7, b = 0.1."""
    return np.sin(X[:, 0]) + 7 * np.sin(X[:, 1]) ** 2 + 0.1 * X[:, 2] ** 4 * np.sin(X[:, 0])


@pytest.mark.parametrize("columns", [(), (3,)], ids=["whole space", "where width exists"])
def test_shares_are_those_of_an_enumeration(columns):
    cells = Cells(SMALL)
    X = SMALL.sample(60, np.random.default_rng(1))
    y = X[:, 0] + (X[:, 1] == 1) * X[:, 2] + X[:, 3] + np.random.default_rng(2).normal(size=60)
    forest = Forest(cells, X, y, 1)
    weights, _ = cells.where_they_exist(columns, cells.weights)
    grid = np.array(list(itertools.product(*(range(n) for n in cells.counts))))
    likely = np.prod([weights[i][grid[:, i]] for i in range(4)], axis=0)
    values = forest.predict(grid)
    mean = likely @ values

    def variance(*kept):
        total = 0.0
        for key in {tuple(row) for row in grid[:, kept]}:
            its = (grid[:, kept] == key).all(axis=1)
            if likely[its].sum() > 0:
                total += (likely[its] @ values[its] - likely[its].sum() * mean) ** 2 / likely[its].sum()
        return total

    whole = variance(0, 1, 2, 3)
    mains = [variance(i) for i in range(4)]
    for i in range(4):
        assert forest.main(i, weights).share == pytest.approx(mains[i] / whole, rel=0.06, abs=1e-9)
    for i, j in itertools.combinations(range(4), 2):
        expected = (variance(i, j) - mains[i] - mains[j]) / whole
        assert forest.pair(i, j, weights).share == pytest.approx(expected, rel=0.06, abs=1e-9)


@pytest.mark.slow
def test_ishigami_has_its_analytic_indices():
    space = SearchSpace({f"x{i}": Real(-np.pi, np.pi) for i in (1, 2, 3)})
    cells, X = Cells(space), space.sample(600, np.random.default_rng(1), "sobol")
    forest = Forest(cells, X, ishigami(X), 1)
    shares = [forest.main(i, cells.weights).share for i in range(3)]
    np.testing.assert_allclose(shares, [0.314, 0.442, 0.0], atol=0.05)
    pairs = [forest.pair(i, j, cells.weights).share for i, j in ((0, 1), (0, 2), (1, 2))]
    np.testing.assert_allclose(pairs, [0.0, 0.244, 0.0], atol=0.05)


def test_condition_inside_a_wide_grid_keeps_its_probability():
    space = SearchSpace({"n": Integer(1, 1000, log=True), "x": Real(0, 1, when={"n": {"at_least": 137}})})
    _, share = Cells(space).where_they_exist((1,), Cells(space).weights)
    assert share == pytest.approx(np.log(1000.5 / 136.5) / np.log(1000.5 / 0.5))


def test_shares_rank_as_optunas_and_are_as_near_the_truth():
    optuna = pytest.importorskip("optuna")
    space = SearchSpace({"lr": Real(1e-4, 1e-1, log=True), "units": Integer(1, 20), "act": Choice(["a", "b", "c"])})
    X = space.sample(80, np.random.default_rng(4), "lhs")
    y = X[:, 0] + 0.15 * X[:, 1] + (X[:, 2] == 1)
    cells = Cells(space)
    forest = Forest(cells, X, y, 1)
    ours = np.array([forest.main(i, cells.weights).share for i in range(3)])
    distributions = {
        "lr": optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True),
        "units": optuna.distributions.IntDistribution(1, 20),
        "act": optuna.distributions.CategoricalDistribution(["a", "b", "c"]),
    }
    study = optuna.create_study()
    study.add_trials(
        optuna.trial.create_trial(params=params, distributions=distributions, value=float(value))
        for params, value in zip(space.decode(X), y, strict=True)
    )
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=32, seed=1)
    theirs = optuna.importance.get_param_importances(study, evaluator=evaluator)
    log, units = np.log(1e3) ** 2 / 12, 0.15**2 * (20**2 - 1) / 12
    truth = np.array([log, units, 2 / 9]) / (log + units + 2 / 9)
    both = np.stack([ours / ours.sum(), [theirs[name] for name in space.names]])
    assert (np.argsort(both, axis=1) == np.argsort(truth)).all()
    off = np.abs(both - truth).max(axis=1)
    assert off[0] <= off[1] + 0.02

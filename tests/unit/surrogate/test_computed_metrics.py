import numpy as np
import pytest
from evo_moo.surrogates.gaussian_process import GaussianProcess
from evo_moo.surrogates.random_forest import RandomForest

from evo_moo.errors import MetricError, ProblemError
from evo_moo.problem.metrics import Metric
from evo_moo.problem.points import numbered
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.space.variables import Integer, Real
from evo_moo.surrogate.archive import Archive
from evo_moo.surrogate.computed_metrics import ComputedMetrics
from evo_moo.surrogate.features import Features
from evo_moo.surrogate.search_models import SearchModels
from evo_moo.surrogate.views import Evaluated

FAMILIES = {"gp": GaussianProcess, "rf": RandomForest}
CALLS = []


class Sized(SearchProblem):
    variables = {"width": Integer(1, 50), "lr": Real(0, 1)}
    objectives = {"loss": "min", "size": "max"}
    architecture = ["width"]

    def compute(self, config):
        CALLS.append(config["width"])
        if config["width"] == 13:
            raise RuntimeError("as asked")
        return {"size": config["width"] ** 3}

    def evaluate(self, config):
        return {"loss": config["lr"]}


ROWS = np.array([[50.0, 0.5], [1.0, 0.25], [13.0, 0.5], [50.0, 0.75]])


def test_an_architecture_is_computed_once():
    CALLS.clear()
    metrics = ComputedMetrics(Sized())
    np.testing.assert_array_equal(metrics.values("size", ROWS), [125_000, 1, np.nan, 125_000])
    np.testing.assert_array_equal(metrics.values("loss", ROWS), [np.nan] * 4)
    assert CALLS == [50, 1, 13]
    assert metrics.agree("size", ROWS[:2], np.array([125_000.0, 1.0]))
    assert not metrics.agree("size", ROWS[:2], np.array([125_000.0, 2.0]))
    assert not metrics.agree("size", ROWS, np.array([125_000.0, 1.0, 1.0, 125_000.0]))


def test_computed_metric_is_exact_far_from_the_data():
    problem = Sized()
    features = Features(problem.space)
    seen = np.array([1.0, 8.0])
    model = ComputedMetrics(problem).model_of("size", -1, seen, features)
    mean, std = model.predict(features.matrix(ROWS))
    assert model.target.inverse(mean[:2]) == pytest.approx([-125_000, -1]) and std.tolist() == [0, 0, 1, 0]
    assert model.with_fantasies(features.matrix(ROWS[2:3])) is model and not model.is_noisy


@pytest.mark.parametrize(("sign", "targets"), [(1, [0, 1, 0.5]), (-1, [1, 0, 0.5])])
def test_targets_of_a_computed_metric_span_its_values(sign, targets):
    features = Features(Sized().space)
    seen = np.array([1000.0, 27_000.0, 14_000.0])
    model = ComputedMetrics(Sized()).model_of("size", sign, seen, features)
    np.testing.assert_allclose(model.target.transform(sign * seen), targets, atol=1e-9)
    flat = ComputedMetrics(Sized()).model_of("size", sign, seen[:1], features)
    np.testing.assert_allclose(flat.target.transform(sign * seen[:1]), 0, atol=1e-9)


def test_computed_metric_is_a_feature():
    features = Features(Sized().space, ComputedMetrics(Sized()).table)
    assert features.columns.names == ("width", "lr", "size") and features.columns.kinds == ("numeric",) * 3
    matrix = features.matrix(ROWS)
    np.testing.assert_array_equal(matrix[:, :2], Features(Sized().space).matrix(ROWS))
    # In log scale, and in the middle where it is not known.
    np.testing.assert_allclose(matrix[:, 2], [1, 0, 0.5, 1], atol=1e-12)
    np.testing.assert_array_equal(features.matrix(ROWS[2:3])[0, 2], 0.5)
    np.testing.assert_allclose(features.rows(matrix), ROWS)
    assert Features(Sized().space, lambda X: {}).columns == Features(Sized().space).columns


def test_models_weigh_a_logarithmic_metric_by_its_ratios():
    class Ratios(Sized):
        metrics = {"loss": Metric(log=True), "size": Metric(log=True)}

    problem = Ratios()
    X = problem.space.sample(30, np.random.default_rng(1))
    seconds = np.exp(8 * X[:, 1])
    archive = Archive(problem, problem.goals)
    for i, (x, loss) in enumerate(zip(X, seconds, strict=True), 1):
        archive.record(i, x, numbered((), {"loss": loss, "size": x[0] ** 3}))
    posterior = SearchModels(problem, problem.goals, FAMILIES, RandomForest).fit(archive)
    mean, std = posterior.objectives(X)
    np.testing.assert_allclose(mean[:, 0], 8 * X[:, 1], atol=0.2)
    assert (std > 0).all()
    seen = Evaluated.of(archive, posterior)
    np.testing.assert_allclose(seen.F[:, 0], np.log(seconds))
    assert (seen.F[:, 1] == -(X[:, 0] ** 3)).all()  # what is maximised is taken as it is


def test_computed_metric_is_part_of_the_profile():
    assert Sized().call_profile({"width": 2, "lr": 0.5}).metrics == {"size": 8}

    class Bad(Sized):
        def compute(self, config):
            return {"size": float("nan")}

    with pytest.raises(MetricError, match="metric `size` must be finite, but is nan"):
        Bad().call_profile({"width": 2, "lr": 0.5}).checked(["size"])

    class Asks(Sized):
        def compute(self, config, seed):
            return {}

    with pytest.raises(ProblemError, match="`compute` of `Asks` may ask for nothing more"):
        Asks().check()


def test_metric_that_cannot_be_computed_promises_nothing():
    class Small(Sized):
        objectives = {"loss": "min", "size": "min"}
        metrics = {"size": Metric(log=True)}

    problem = Small()
    archive = Archive(problem, problem.goals)
    models = SearchModels(problem, problem.goals, FAMILIES, RandomForest)
    rows = problem.space.sample(12, np.random.default_rng(2))
    for i, x in enumerate(rows[rows[:, 0] != 13], 1):
        archive.record(i, x, numbered((), {"loss": x[1], "size": x[0] ** 3}))
    mean, std = models.fit(archive).objectives(ROWS)
    np.testing.assert_allclose(mean[[0, 1, 3], 1], np.log([125_000, 1, 125_000]), atol=1e-9)
    assert (std[[0, 1, 3], 1] < 1e-6).all() and 0 < std[2, 1] < 10

"""For the test suites of people who write problems or surrogate models."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from evo_moo.errors import ProblemError, SurrogateError
from evo_moo.evaluation.check_problem import Check
from evo_moo.evaluation.check_problem import check_problem as _check
from evo_moo.storage.checkpoint import from_json, to_json
from evo_moo.surrogate.protocol import Array, ColumnKind, Columns, Surrogate

__all__ = ["SurrogateSuite", "check_problem"]


def check_problem(problem: Any, options: Mapping[str, Any] | None = None, n_evals: int = 4) -> Check:
    """Check a problem as ``evo-moo check`` does, in worker processes.

    Args:
        problem: A reference, a ``SearchProblem`` or a pymoo ``Problem``.
        options: Keyword arguments of the class behind a reference.
        n_evals: Number of different configurations to evaluate.

    Returns:
        What was seen, for further assertions.

    Raises:
        ProblemError: The problem has faults; all are listed.
    """
    check = _check(problem, options, n_evals)
    if check.faults:
        raise ProblemError("\n".join(check.faults))
    return check


class SurrogateSuite:
    """What every surrogate model promises, as tests that pytest runs in a class that inherits them.

    ::

        class TestMyModel(SurrogateSuite):
            surrogate = MyModel

    Attributes:
        surrogate: The model's class; set it.
        columns: Features of the data that most tests use.
    """

    surrogate: ClassVar[type[Surrogate]]
    columns: ClassVar[Columns] = Columns(
        ("a", "b", "order", "colour", "a?"), ("numeric", "numeric", "ordinal", "category", "active"), (0, 0, 4, 3, 0)
    )

    def make(self, columns: Columns | None = None, seed: int = 1) -> Surrogate:
        """Build a model; overwrite it if the class takes something else."""
        return self.surrogate(columns or self.columns, seed)

    def data(self, n: int, seed: int = 0) -> tuple[Array, Array]:
        """Draw ``n`` points of ``columns`` and standardised targets; ``b`` and ``order`` do not matter."""
        rng = np.random.default_rng(seed)
        active = rng.integers(0, 2, n)
        a = np.where(active, rng.random(n), 0.5)
        X = np.column_stack([a, rng.random(n), rng.integers(0, 4, n) / 3, rng.integers(0, 3, n), active])
        y = np.sin(4 * X[:, 0]) + np.array([0.0, 2.0, -1.0])[X[:, 3].astype(int)] + 0.5 * active
        return X, y - 0.9

    def test_shapes(self) -> None:
        """Every answer has a row or a column for each point."""
        X, y = self.data(12)
        model = self.make().fit(X, y)
        for n in (0, 1, 5):
            mean, std = model.predict(X[:n])
            _require(mean.shape == std.shape == (n,), f"predict must give ({n},) arrays, not {mean.shape}, {std.shape}")
            _require(np.allclose(model.mean(X[:n]), mean), "mean must give what predict gives")
            if _draws_samples(model):
                drawn = model.sample(X[:n], 3, np.random.default_rng(0))
                _require(drawn.shape == (3, n), f"sample must give a (3, {n}) array, not {drawn.shape}")
        if held_out := model.held_out(X, y):
            mean, std = held_out
            _require(mean.shape == std.shape == (12,), f"held_out must give (12,) arrays, not {mean.shape}")

    def test_hard_data_give_finite_predictions(self) -> None:
        """Few points, constant targets and repeated points are no reason to fail."""
        X, y = self.data(20)
        same = np.repeat(X[:1], 20, axis=0)
        few = [(X[:n], y[:n]) for n in (1, 2, 3)]
        constant = [(X, np.zeros(20)), (X, np.full(20, 3.0))]
        repeated = [(same, y), (same, np.zeros(20)), (np.concatenate([X, X]), np.concatenate([y, y + 0.5]))]
        for points, targets in few + constant + repeated:
            model = self.make().fit(points, targets)
            other = model.condition(X[:2], y[:2])
            predictions = [model.predict(X), other.predict(X), model.held_out(points, targets)]
            answers = [array for prediction in predictions if prediction for array in prediction]
            if _draws_samples(model):
                answers.append(model.sample(X, 4, np.random.default_rng(0)))
            _require(all(np.isfinite(a).all() for a in answers), f"answers must be finite after {len(points)} points")
            _require(all((p.std > 0).all() for p in predictions if p), "every std must be positive")

    def test_unusable_data_are_refused(self) -> None:
        """No model learns from NaN, infinity, nothing, or points of another space."""
        X, y = self.data(6)
        hole = X.copy()
        hole[0, 0] = np.nan
        unusable = [(X, y * np.inf), (hole, y), (X[:0], y[:0]), (X[:, :-1], y), (X, y[:-1])]
        for points, targets in unusable:
            _require_error(lambda p=points, t=targets: self.make().fit(p, t), "fit must refuse such data")
        _require_error(lambda: self.make().predict(X), "predict must need a fit")

    def test_a_fit_changes_no_data(self) -> None:
        """The arrays are the caller's."""
        X, y = self.data(12)
        points, targets = X.copy(), y.copy()
        self.make().fit(points, targets).condition(points, targets)
        np.testing.assert_array_equal(points, X)
        np.testing.assert_array_equal(targets, y)

    def test_the_same_seed_gives_the_same_model(self) -> None:
        """Data and seed decide all."""
        X, y = self.data(25)
        _require_alike(self.make().fit(X, y), self.make().fit(X, y), X)

    def test_a_loaded_model_learns_the_same(self) -> None:
        """A state that went through JSON leads to the very next fit that there would have been."""
        X, y = self.data(30)
        model, other = self.make().fit(X[:20], y[:20]), self.make()
        other.load(from_json(to_json(model.dump())))
        _require_alike(model.fit(X, y), other.fit(X, y), X)

    def test_the_order_of_points_changes_nothing(self) -> None:
        """Predictions follow their points, those of held-out points too."""
        X, y = self.data(25)
        order = np.random.default_rng(3).permutation(25)
        model, other = self.make().fit(X, y), self.make().fit(X[order], y[order])
        np.testing.assert_allclose(model.predict(X), other.predict(X), atol=1e-6)
        held_out, ordered = model.held_out(X, y), other.held_out(X[order], y[order])
        if held_out and ordered:
            np.testing.assert_allclose(np.asarray(held_out)[:, order], ordered, atol=1e-6)

    def test_it_ranks_points_that_it_has_not_seen(self) -> None:
        """A plain function of one number, one category and one flag is learnt from 60 points."""
        X, y = self.data(160)
        mean = self.make().fit(X[:60], y[:60]).predict(X[60:]).mean
        correlation = np.corrcoef(mean, y[60:])[0, 1]
        _require(correlation > 0.8, f"predictions must correlate with the truth, but do so by {correlation:.2f}")

    def test_categories_matter(self) -> None:
        """Points that differ in a category only are told apart, whatever the order of its codes."""
        X, y = self.data(60)
        rows = np.repeat(X[:1], 3, axis=0)
        rows[:, 3] = [0, 1, 2]
        mean = self.make().fit(X, y).predict(rows).mean
        _require(mean[1] > mean[0] > mean[2], f"the categories' order must be learnt, but the means are {mean}")

    def test_bits_of_one_variable_are_learnt(self) -> None:
        """Of a variable with several bits, such as a subset, and a number beside it, a sum is learnt from 60 points."""
        rng, n_bits = np.random.default_rng(0), 4
        names = ("x", *(f"v[{i}]" for i in range(n_bits)))
        bits: list[ColumnKind] = ["binary"] * n_bits
        columns = Columns(names, ("numeric", *bits), (0,) * (1 + n_bits), widths=(1, *[n_bits] * n_bits))
        X = np.column_stack([rng.random(160), rng.integers(0, 2, (160, n_bits))])
        y = 2 * X[:, 0] + X[:, 1:] @ np.linspace(-1, 1, n_bits)
        mean = self.make(columns).fit(X[:60], y[:60]).predict(X[60:]).mean
        correlation = np.corrcoef(mean, y[60:])[0, 1]
        _require(correlation > 0.6, f"predictions must correlate with the truth, but do so by {correlation:.2f}")

    def test_it_is_less_certain_far_from_the_data(self) -> None:
        """In a gap of the data the deviation is larger than on them."""
        x = np.concatenate([np.linspace(0.0, 0.3, 12), np.linspace(0.7, 1.0, 12)])[:, None]
        model = self.make(Columns.numeric(1)).fit(x, np.where(x[:, 0] < 0.5, -1.0, 1.0) + 0.1 * np.sin(20 * x[:, 0]))
        gap, known = model.predict(np.array([[0.5]])).std[0], model.predict(x).std.mean()
        _require(gap > 1.5 * known, f"the deviation must grow in a gap, but is {gap:.3f} there and {known:.3f} on data")

    def test_samples_have_the_predicted_moments(self) -> None:
        """Mean and deviation of 4,000 samples are those of ``predict``, six standard errors aside."""
        X, y = self.data(40)
        model, n = self.make().fit(X[:25], y[:25]), 4000
        if not _draws_samples(model):
            return
        mean, std = model.predict(X[25:])
        drawn = model.sample(X[25:], n, np.random.default_rng(5))
        off = np.abs(drawn.mean(axis=0) - mean) / (std / np.sqrt(n))
        _require(
            bool((off < 6).all()), f"the samples' mean must be the predicted one, but is {off.max():.1f} errors off"
        )
        np.testing.assert_allclose(drawn.std(axis=0), std, rtol=0.2)

    def test_samples_are_joint(self) -> None:
        """One sample is one function: the same point has the same value twice."""
        X, y = self.data(26)
        model = self.make().fit(X[:25], y[:25])
        if not _draws_samples(model):
            return
        drawn = model.sample(X[[25, 25]], 200, np.random.default_rng(5))
        gap = np.abs(drawn[:, 0] - drawn[:, 1]).max() / model.predict(X[25:]).std[0]
        _require(gap < 0.1, f"a sample must give one value to one point, but differs by {gap:.2f} deviations")

    def test_a_condition_draws_the_mean_to_it(self) -> None:
        """A copy learns the new point at once; the model itself learns nothing."""
        X, y = self.data(30)
        model = self.make().fit(X[:25], y[:25])
        before = model.predict(X)
        for shift in (-2.0, 2.0):
            wanted = before.mean[25:26] + shift
            moved = model.condition(X[25:26], wanted).predict(X[25:26]).mean[0] - before.mean[25]
            _require(moved * shift > 0, f"a point {shift:+} off must draw the mean to it, but moves it by {moved:+.3f}")
        np.testing.assert_array_equal(before, model.predict(X))


def _draws_samples(model: Surrogate) -> bool:
    return type(model).sample is not Surrogate.sample


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise AssertionError(rule)


def _require_error(act: Any, rule: str) -> None:
    try:
        act()
    except SurrogateError:
        return
    raise AssertionError(f"{rule}, with a SurrogateError")


def _require_alike(model: Surrogate, other: Surrogate, X: Array) -> None:
    np.testing.assert_array_equal(model.predict(X), other.predict(X))
    if _draws_samples(model):
        drawn = model.sample(X, 3, np.random.default_rng(9))
        np.testing.assert_array_equal(drawn, other.sample(X, 3, np.random.default_rng(9)))

import numpy as np
import pytest
from evo_moo.surrogates.gaussian_process import GaussianProcess
from evo_moo.surrogates.random_forest import RandomForest

from evo_moo.errors import SurrogateError
from evo_moo.surrogate.fitting import AVERAGE, NONE, Families
from evo_moo.surrogate.model_selection import cross_validated
from evo_moo.surrogate.protocol import Columns


class Failing(GaussianProcess):
    def fit(self, X, y):
        raise SurrogateError("as asked")


class Unrelated(GaussianProcess):
    """Predicts the right values in a wrong order, of points that it did not learn."""

    def predict(self, X):
        mean, std = super().predict(X)
        return mean[::-1], std


X = np.random.default_rng(0).random((40, 2))
SMOOTH = np.sin(3 * X[:, 0]) - 0.5
NOISE = np.random.default_rng(1).normal(size=40)


def chosen(y, *classes, **options):
    return Families({cls.__name__: cls for cls in classes}, Columns.numeric(2), 1, **options).choose(X, y)


def test_family_that_is_good_enough_is_the_last_to_be_tried():
    choice = chosen(SMOOTH, GaussianProcess, RandomForest)
    assert choice.family == "GaussianProcess" and list(choice.scores) == ["GaussianProcess"] and not choice.is_hard


def test_noise_has_no_model_after_all_families_and_their_average():
    choice = chosen(NOISE, GaussianProcess, RandomForest)
    assert choice.family == NONE and list(choice.scores) == ["GaussianProcess", "RandomForest", AVERAGE]
    assert choice.is_hard and not choice.folds


@pytest.mark.parametrize("always_average", [True, False])
def test_average_beside_a_good_family_is_tried_on_demand(always_average):
    choice = chosen(SMOOTH, Unrelated, GaussianProcess, always_average=always_average)
    assert (AVERAGE in choice.scores) == always_average and choice.is_hard and choice.family == "GaussianProcess"


def test_family_that_cannot_learn_is_left_out_with_its_fault():
    choice = chosen(SMOOTH, Failing, GaussianProcess)
    assert choice.faults == {"Failing": "as asked"} and choice.family == "GaussianProcess" and not choice.is_hard


def test_folds_of_the_average_are_averages_of_the_folds():
    y = SMOOTH + 0.3 * NOISE
    classes = {"gp": GaussianProcess, "again": GaussianProcess}
    choice = Families(classes, Columns.numeric(2), 1, cross_validated).choose(X, y, AVERAGE)
    assert choice.family == AVERAGE and len(choice.folds) == 5
    single = Families({"gp": GaussianProcess}, Columns.numeric(2), 1, cross_validated).choose(X, y)
    for (rows, average), (same_rows, member) in zip(choice.folds, single.folds, strict=True):
        np.testing.assert_array_equal(rows, same_rows)
        np.testing.assert_allclose(average.predict(X).mean, member.predict(X).mean)

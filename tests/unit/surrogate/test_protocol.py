import numpy as np

from evo_moo.surrogate.model_selection import cross_validated
from evo_moo.surrogate.protocol import Columns, Prediction, Surrogate

CHOSEN = Columns(("x", "choice"), ("numeric", "numeric"), (0, 0), (False, True))


def points(n_trainings, n_choices):
    """Points in canonical order: some trainings, each with the same choices."""
    return np.array([[i, j] for i in range(n_trainings) for j in range(n_choices)], dtype=float)


def test_few_points_of_each_training_are_learnt_and_every_choice():
    X = points(12, 10)
    kept = X[CHOSEN.few_per_training(X, 3)]
    assert [int((kept[:, 0] == i).sum()) for i in range(12)] == [3] * 12
    assert set(kept[:, 1]) == set(range(10))
    assert len(CHOSEN.few_per_training(points(4, 2), 3)) == 8


def test_columns_without_choices_keep_every_point():
    X = points(3, 9)
    assert len(Columns.numeric(2).few_per_training(X, 3)) == 27
    assert Columns.numeric(2).trainings(X) is X and CHOSEN.trainings(X).tolist() == X[:, :1].tolist()
    assert CHOSEN.of(np.array([False, True])).of_choice == (True,)


class Remembering(Surrogate):
    """Knows the targets of the trainings that it learnt, and says so."""

    def fit(self, X, y):
        self.known = set(X[:, 0])
        return self

    def predict(self, X):
        seen = np.array([float(x in self.known) for x in X[:, 0]])
        return Prediction(seen, np.ones(len(X)))

    def condition(self, X, y):
        return self

    def dump(self):
        return {}

    def load(self, state):
        pass


def test_points_of_one_training_are_held_out_together():
    X = points(11, 4)
    assert not cross_validated(Remembering(CHOSEN), X, np.zeros(44)).prediction.mean.any()
    apart = cross_validated(Remembering(Columns.numeric(2)), X, np.zeros(44)).prediction.mean
    assert apart.mean() > 0.9

import numpy as np
import pytest
from evo_moo.surrogates.gaussian_process import GaussianProcess
from evo_moo.surrogates.random_forest import RandomForest
from hypothesis import given
from hypothesis import strategies as st

from evo_moo.errors import SurrogateError
from evo_moo.surrogate.fitting import TAUGHT, Families
from evo_moo.surrogate.protocol import Columns
from evo_moo.surrogate.transfer import (
    EarlierOutcomes,
    Taught,
    Teacher,
    rank_weights,
    weights_of_runs,
)
from evo_moo.testing import SurrogateSuite

COLUMNS = Columns.numeric(3)
RNG = np.random.default_rng(0)
OLD, NEW, FAR = RNG.random((80, 3)), RNG.random((15, 3)), RNG.random((200, 3))


class Slanted:
    """Stands for a teacher of any features."""

    name = "slanted"

    def predict(self, Z):
        return Z.sum(axis=1)


class TaughtProcess(Taught):
    def __init__(self, columns, seed=0):
        super().__init__(GaussianProcess(columns, seed), [Slanted()])


class TestTaught(SurrogateSuite):
    surrogate = TaughtProcess


def rugged(X):
    """What an earlier run measured: too rugged to be learnt of a few points."""
    return np.sin(9 * X[:, 0]) + np.cos(7 * X[:, 1]) * X[:, 2]


def teacher(values, name="old", used=(True, True, True)):
    mask, y = np.array(used), (values - values.mean()) / values.std()
    return Teacher(name, mask, lambda: GaussianProcess(COLUMNS.of(mask)).fit(OLD[:, mask], y))


def correlation(model, y):
    return np.corrcoef(model.predict(FAR).mean, y)[0, 1]


def test_model_of_few_points_begins_from_the_earlier_shape():
    new = 3 * rugged(NEW) - 5 + NEW[:, 0]
    taught = Taught(GaussianProcess(COLUMNS), [teacher(rugged(OLD))]).fit(NEW, new)
    alone = GaussianProcess(COLUMNS).fit(NEW, new - new.mean())
    truth = 3 * rugged(FAR) - 5 + FAR[:, 0]
    assert correlation(taught, truth) > 0.95 > 0.8 > correlation(alone, truth)
    assert np.abs(taught.predict(NEW).mean - new).max() < 0.3


def test_earlier_run_of_the_reverse_order_teaches_nothing():
    new = rugged(NEW) - rugged(NEW).mean()
    taught = Taught(GaussianProcess(COLUMNS), [teacher(-rugged(OLD))]).fit(NEW, new)
    alone = GaussianProcess(COLUMNS).fit(NEW, new)
    np.testing.assert_allclose(taught.predict(FAR).mean, alone.predict(FAR).mean, atol=1e-8)
    choice = Families({"gp": GaussianProcess}, COLUMNS, 1, teachers=[teacher(-rugged(OLD))]).choose(NEW, new)
    assert list(choice.scores) == ["gp"] and choice.earlier == {"old": 0}


@pytest.mark.parametrize("own", [GaussianProcess, RandomForest])
def test_conditioned_model_keeps_what_the_teachers_expect(own):
    taught = Taught(own(COLUMNS), [teacher(rugged(OLD))]).fit(NEW, rugged(NEW))
    before = taught.predict(FAR).mean
    more = taught.condition(FAR[:1], before[:1])
    np.testing.assert_allclose(more.predict(FAR).mean, before, atol=0.1)
    np.testing.assert_array_equal(taught.predict(FAR).mean, before)
    assert more.predict(FAR[:1]).std <= taught.predict(FAR[:1]).std + 1e-9
    assert taught.sample(FAR[:5], 400, np.random.default_rng(1)).mean(axis=0) == pytest.approx(before[:5], abs=0.2)
    assert taught.noise() == taught.fresh().fit(NEW, rugged(NEW)).noise()


def test_taught_family_is_chosen_where_it_predicts_better():
    families = Families({"gp": GaussianProcess}, COLUMNS, 1)
    Z, alike, other = RNG.random((30, 3)), [teacher(rugged(OLD))], [teacher(RNG.normal(size=80))]
    y = rugged(Z) - rugged(Z).mean()
    assert Families(**families.__dict__ | {"teachers": alike}).choose(Z, y).family == f"{TAUGHT}gp"
    smooth = Z[:, 0] - Z[:, 0].mean()
    choice = Families(**families.__dict__ | {"teachers": [*other, *alike]}).choose(Z, smooth)
    alone = families.choose(Z, smooth)
    assert choice.family == alone.family == "gp" and choice.scores["gp"] == alone.scores["gp"]
    assert choice.earlier == {"old": 0}


def test_teacher_that_cannot_learn_leaves_the_model_alone():
    def fit():
        raise SurrogateError("as asked")

    families = Families({"gp": GaussianProcess}, COLUMNS, 1, teachers=[Teacher("old", np.ones(3, dtype=bool), fit)])
    choice = families.choose(NEW, NEW[:, 0] - 0.5)
    assert choice.family == "gp" and choice.faults == {f"{TAUGHT}gp": "as asked"}


def test_taught_family_without_its_teachers_is_the_family():
    alone = Families({"gp": GaussianProcess}, COLUMNS, 1)
    models = [alone.new(name).fit(NEW, NEW[:, 0]) for name in ("gp", f"{TAUGHT}gp")]
    np.testing.assert_array_equal(models[0].predict(FAR).mean, models[1].predict(FAR).mean)


@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(1, 5))
def test_weights_are_shares_of_those_that_rank_best(seed, n, k):
    rng = np.random.default_rng(seed)
    y, predictions = rng.normal(size=n), list(rng.normal(size=(k, n)))
    weights = rank_weights(predictions, y, 1)
    assert weights.sum() == pytest.approx(float(weights.any())) and (weights >= 0).all()
    np.testing.assert_array_equal(weights, rank_weights([np.exp(3 * p) - 7 for p in predictions], 2 * y + 1, 1))
    right = rank_weights([*predictions, y**3], y, 1)
    assert right[-1] == right.max()


def test_weak_runs_count_nothing_however_many_they_are():
    y = RNG.normal(size=40)
    weights = rank_weights([y + 0.1 * RNG.normal(size=40), *RNG.normal(size=(50, 40))], y, 1)
    assert weights[0] == 1


def test_runs_that_rank_no_better_than_chance_count_nothing():
    y = RNG.normal(size=40)
    assert sum(rank_weights([other], y, 1)[0] for other in RNG.normal(size=(100, 40))) <= 5
    assert rank_weights([-y], y, 1) == 0


def test_runs_of_a_name_count_together():
    teachers = [teacher(rugged(OLD), "a"), teacher(rugged(OLD), "a"), teacher(-rugged(OLD), "b")]
    assert weights_of_runs(teachers, NEW, rugged(NEW), 1) == pytest.approx({"a": 1, "b": 0})


def test_features_unknown_to_a_run_have_no_say():
    partial = teacher(OLD[:, 0], used=(True, False, False))
    other = NEW.copy()
    other[:, 1:] = 0.5
    np.testing.assert_array_equal(partial.predict(NEW), partial.predict(other))


def test_outcomes_survive_json_and_damage_is_named():
    earlier = EarlierOutcomes.of("r", ["x", "old"], ["x", "new"], np.ones((1, 2)), [{"f": 1.0}], 3)
    data = earlier.to_json()
    assert EarlierOutcomes.from_json(data, 2).to_json() == data
    assert earlier.variables == ("x",)
    assert earlier.in_words() == (
        "1 outcomes of r, without: 3 evaluations with values that this space does not have; "
        "old, which this space does not have; new, which that run did not have"
    )
    for damage in ({"X": [[1.0]]}, {"X": [[1.0, float("nan")]]}, {"metrics": [[]]}, {"metrics": 7}):
        with pytest.raises((ValueError, TypeError, LookupError)):
            EarlierOutcomes.from_json(data | damage, 2)

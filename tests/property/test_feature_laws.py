import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evo_moo.space.kinds.ordering import Ordering
from evo_moo.space.kinds.simplex import Simplex
from evo_moo.space.kinds.subset import Subset
from evo_moo.space.search_space import SearchSpace
from evo_moo.space.variables import Boolean, Choice, Integer, Real
from evo_moo.surrogate.features import Features

SPACE = SearchSpace(
    {
        "n": Integer(1, 3),
        "lr": Real(1e-4, 1, log=True),
        "act": Choice(["relu", "gelu", "tanh"]),
        "size": Choice([8, 16, 64], ordered=True),
        "width": Integer(4, 64, log=True, when={"n": [2, 3]}),
        "kernel": Choice([3, 5], when={"n": [2, 3]}),
        "skip": Boolean(when={"act": "gelu"}),
        "only": Choice(["one"]),
        "fixed": Choice(["one"], ordered=True),
    }
)
PARTS = SearchSpace(
    {
        "c": Boolean(),
        "set": Subset(["a", "b", "c"], at_most=2),
        "two": Subset(["a", "b", "c", "d"], at_least=2, at_most=2, when={"c": True}),
        "order": Ordering(["p", "q", "r", "s"]),
        "tour": Ordering([1, 2, 3, 4, 5], tour=True, when={"c": False}),
        "mix": Simplex(3, at_least=0.1),
    }
)
FEATURES = Features(SPACE)


def test_each_column_says_what_it_is():
    described = zip(FEATURES.columns.names, FEATURES.columns.kinds, FEATURES.columns.n_options, strict=True)
    assert list(described) == [
        ("n", "numeric", 0),
        ("lr", "numeric", 0),
        ("act", "category", 3),
        ("size", "ordinal", 3),
        ("width", "numeric", 0),
        ("kernel", "category", 3),
        ("skip", "category", 3),
        ("only", "category", 1),
        ("fixed", "ordinal", 1),
        ("width?", "active", 0),
        ("skip?", "active", 0),
    ]


def test_known_rows():
    rows = SPACE.encode(
        [
            {"n": 1, "lr": 1e-2, "act": "gelu", "size": 16, "skip": True, "only": "one", "fixed": "one"},
            {"n": 3, "lr": 1, "act": "tanh", "size": 64, "width": 16, "kernel": 5, "only": "one", "fixed": "one"},
        ]
    )
    expected = [[0, 0.5, 1, 0.5, 0.5, 2, 1, 0, 0, 0, 1], [1, 1, 2, 1, 0.5, 1, 2, 0, 0, 1, 0]]
    np.testing.assert_allclose(FEATURES.matrix(rows), expected)


@given(space=st.sampled_from([SPACE, PARTS]), seed=st.integers(0, 2**32 - 1), n=st.integers(0, 30))
@settings(max_examples=100)
def test_features_are_in_range_and_differ_as_configurations_do(space, seed, n):
    X, features = space.sample(n, np.random.default_rng(seed)), Features(space)
    M = features.matrix(X)
    assert M.shape == (n, len(features.columns))
    for column, kind, n_options in zip(M.T, features.columns.kinds, features.columns.n_options, strict=True):
        assert (column >= 0).all() and (column <= (n_options - 1 if kind == "category" else 1)).all()
        if kind == "category":
            np.testing.assert_array_equal(column, np.rint(column))
    assert len(np.unique(M, axis=0)) == len(np.unique(X, axis=0))
    np.testing.assert_allclose(features.rows(M), X, rtol=1e-12, atol=1e-12)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=50)
def test_inactive_variables_make_no_difference(seed):
    """Raw rows that differ in inactive columns only have the same features."""
    rng = np.random.default_rng(seed)
    raw, other = SPACE.draw(8, rng), SPACE.draw(8, rng)
    mixed = np.where(SPACE.active(raw), raw, other)
    np.testing.assert_array_equal(FEATURES.matrix(raw), FEATURES.matrix(mixed))


def test_features_that_follow_from_shared_variables_are_known():
    space = SearchSpace({"a": Real(0, 1), "b": Real(0, 1, when={"a": {"at_least": 0.5}})})
    features = Features(space, lambda X: {"size": X[:, 0]})
    assert features.known(["a"]).tolist() == [True, False, False, False]
    assert features.known(["b"]).tolist() == [False, True, True, False]
    assert features.known(["b", "a"]).all()


def test_orderings_differ_by_pairs_and_round_trips_by_neighbours():
    def distance(space, one, other):
        rows = Features(space).matrix(space.encode([{"o": one}, {"o": other}]))
        return np.abs(rows[0] - rows[1]).sum()

    order, tour = (SearchSpace({"o": Ordering(["a", "b", "c", "d", "e"], tour=tour)}) for tour in (False, True))
    assert distance(order, list("abcde"), list("bacde")) == 1
    assert distance(order, list("abcde"), list("edcba")) == 10
    assert distance(tour, list("abcde"), list("edcba")) == distance(tour, list("abcde"), list("cdeab")) == 0
    assert distance(tour, list("abcde"), list("acbde")) == 4  # two ways leave, two others come


def test_a_variable_of_many_features_weighs_as_one():
    columns = Features(SearchSpace({"x": Real(0, 1), "o": Ordering(list(range(5)))})).columns
    assert columns.dimensions == [2, *[20] * 10]


@pytest.mark.parametrize("low", [1e-6, 3.7e-5, 0.0123, 7.7])
def test_a_lowest_value_beside_zero_is_not_mistaken_for_it(low):
    space = SearchSpace({"x": Real(low, low * 977.3, log=True, zero=True), "n": Integer(7, 99, log=True, zero=True)})
    given = [{"x": value, "n": n} for value in (0.0, low, low * 10) for n in (0, 7, 8)]
    features = Features(space)
    again = space.decode(features.rows(features.matrix(space.encode(given))))
    assert [(c["x"] == 0, c["n"]) for c in again] == [(c["x"] == 0, c["n"]) for c in given]

"""What subsets, orderings and shares promise beyond the laws of ``tests/property/test_space_laws.py``."""

import itertools
import math

import numpy as np
import pytest
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.optimize import minimize

from evo_moo.errors import SpaceError
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.space.declared import declared_variable
from evo_moo.space.kinds.ordering import Ordering
from evo_moo.space.kinds.simplex import Simplex
from evo_moo.space.kinds.subset import Subset
from evo_moo.space.search_space import SearchSpace
from evo_moo.space.translation import translated
from evo_moo.space.variables import Boolean, Real

LETTERS = list("abcdef")
SOME = Subset(LETTERS, at_least=1, at_most=4)
KINDS = [SOME, Subset(LETTERS, at_least=3, at_most=3), Ordering(LETTERS), Ordering(LETTERS, tour=True), Simplex(4)]
EACH = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.text()[:20])


def rng(seed=0):
    return np.random.default_rng(seed)


def space_of(kind):
    return SearchSpace({"v": kind})


@pytest.mark.parametrize(
    ("kind", "value", "rule"),
    [
        (SOME, "a", "must be a list of options, but is 'a'"),
        (SOME, ["a", "z"], "must be one of .* but is 'z'"),
        (SOME, ["a", "a"], "must list no option twice"),
        (SOME, [], "must list 1 to 4 options, but lists 0"),
        (Ordering(["a", "b"]), ["b"], "must list every option once, but lacks .'a'."),
        (Simplex(2), [0.5, 0.4], "must sum to 1, but sums to 0.9; divide each share by the sum"),
        (Simplex(2), [1.5, -0.5], "must have shares of at least 0"),
        (Simplex(2), [0.5, math.nan], "must be shares, which are numbers"),
        (Simplex(2), [1], "must be a list of 2 shares"),
        (Simplex(["u", "v"]), {"u": 1}, "must map u, v to shares"),
    ],
)
def test_a_wrong_value_is_refused(kind, value, rule):
    with pytest.raises(SpaceError, match=f"`v`: {rule}"):
        space_of(kind).encode([{"v": value}])


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        (Subset(["a", "b"], at_least=3), "at_least must be between 0 and the number of options, 2, but is 3"),
        (Subset(["a", "b"], at_least=2, at_most=1), "at_least must not exceed at_most, but they are 2 and 1"),
        (Subset(["a", "b"], at_least=2), "must allow more than one subset"),
        (Subset(["a", "b"], at_most=1.5), "at_most must be a whole number of options, but is 1.5"),
        (Subset("ab"), "options must be a list"),
        (Ordering(["a"]), "must have at least 2 options"),
        (Ordering(["a", "b", "c"], tour=True), "must have at least 4 options"),
        (Ordering(["a", "a"]), "options must all be different"),
        (Simplex(1), "must have at least 2 shares"),
        (Simplex("ab"), "shares must be a number of them or a list of their names, but are 'ab'"),
        (Simplex(["a", "a"]), "names of shares must all be different"),
        (Simplex(4, at_least=0.25), "at_least must be from 0 to below 1/4"),
        (Simplex(4, at_least=1e-7), "at_least must have 6 decimals at most"),
    ],
)
def test_a_wrong_definition_is_refused(kind, rule):
    with pytest.raises(SpaceError, match=f"`v`: {rule}"):
        space_of(kind)


def test_variables_may_depend_on_what_a_subset_contains():
    variables = {
        "set": Subset(["flip", "crop", None], at_most=2),
        "angle": Real(0, 90, when={"set": {"contains": "flip"}}),
        "both": Boolean(when={"set": {"contains": ["crop", None]}}),
        "any": Boolean(when=[{"set": {"contains": "crop"}}, {"angle": {"at_least": 45}}]),
        "below": Subset([1, 2], when={"angle": {"at_most": 30}}),
        "deep": Real(0, 1, when={"below": {"contains": 2}}),
    }
    space = SearchSpace(variables)
    for config in space.decode(space.sample(300, rng())):
        chosen, angle = config["set"], config.get("angle")
        assert ("angle" in config) == ("flip" in chosen) and ("both" in config) == ({"crop", None} <= set(chosen))
        assert ("any" in config) == ("crop" in chosen or (angle is not None and angle >= 45))
        assert ("deep" in config) == (2 in config.get("below", []))
    assert [row["condition"] for row in space.describe()][1] == "set contains flip"
    for wrong in ({"contains": "x"}, {"contains": []}, {"contains": ["flip", "crop", None]}, "flip", {"at_least": 1}):
        with pytest.raises(SpaceError, match="`y`: `when` must name values that `set` can have"):
            SearchSpace(variables | {"y": Real(0, 1, when={"set": wrong})})


@pytest.mark.parametrize("kind", KINDS[2:], ids=lambda kind: kind.text()[:10])
def test_no_condition_asks_for_several_values_at_once(kind):
    for wanted in (0.5, {"at_least": 1}):
        with pytest.raises(SpaceError, match="condition"):
            SearchSpace({"v": kind, "x": Real(0, 1, when={"v": wanted})})


def test_shares_sum_to_one_in_decimals():
    for kind in (Simplex(3), Simplex(7, at_least=0.01), Simplex(30)):
        for row in space_of(kind).sample(200, rng()):
            assert sum(round(share * 10**6) for share in row) == 10**6 and abs(math.fsum(row) - 1) < 1e-15
            np.testing.assert_array_equal(row, np.round(row, 6))
            assert row.min() >= kind.at_least
    (thirds,) = space_of(Simplex(3)).decode(space_of(Simplex(3)).encode([{"v": [1 / 3] * 3}]))
    assert thirds["v"] == [0.333334, 0.333333, 0.333333]


def test_every_size_ordering_and_mixture_is_drawn_alike():
    sizes = space_of(SOME).sample(4000, rng()).sum(axis=1)
    assert np.abs(np.bincount(sizes.astype(int)) / 1000 - [0, 1, 1, 1, 1]).max() < 0.1
    three = Ordering(["a", "b", "c"])
    _, counts = np.unique(space_of(three).sample(6000, rng()), axis=0, return_counts=True)
    assert len(counts) == 6 and counts.min() > 850
    shares = space_of(Simplex(4)).sample(4000, rng())
    assert np.abs(np.sort(shares[:, 0])[::400] - (1 - (1 - np.arange(10) / 10) ** (1 / 3))).max() < 0.03  # Beta(1, 3)


@pytest.mark.parametrize("method", ["sobol", "lhs"])
def test_an_even_design_is_even_in_its_parts(method):
    X = SearchSpace({"s": Subset(LETTERS), "o": Ordering(LETTERS[:4]), "m": Simplex(3)}).sample(256, rng(), method)
    assert np.abs(np.bincount(X[:, :6].sum(axis=1).astype(int)) - 256 / 7).max() <= 3
    assert np.abs(X[:, 6:10].mean(axis=0) - 2.5).max() < 0.1 and np.abs(X[:, 10:].mean(axis=0) - 1 / 3).max() < 0.02


def test_children_keep_what_their_parents_share():
    """Options that both have, pairs in one order if all are kept, and the mean share."""
    A, B = (space_of(SOME).sample(500, rng(seed)) for seed in (1, 2))
    for child in SOME.crossed(np.stack([A, B]), rng(), 15.0):
        assert (child >= A * B).all() and (child <= np.maximum(A, B)).all()
    order = Ordering(LETTERS)
    A, B = (space_of(order).sample(500, rng(seed)) for seed in (1, 2))
    for child, own in zip(order.crossed(np.stack([A, B]), rng(), 15.0), (A, B), strict=True):
        assert ((child == own).sum(axis=1) > 1).mean() > 0.7
        assert (np.sort(child, axis=1) == np.arange(1, 7)).all()
    np.testing.assert_array_equal(order.crossed(np.stack([A, A]), rng(), 15.0), np.stack([A, A]))


@EACH
def test_a_mutation_is_another_value_nearby(kind):
    X = space_of(kind).sample(300, rng())
    far = np.abs(kind.featured(X) - kind.featured(rng(1).permutation(X))).sum(axis=1).mean()
    for eta, share in ((20.0, 0.95), (1000.0, 0.7)):
        Y = kind.mutated(X, rng(), eta)
        np.testing.assert_array_equal(kind.repaired(Y), Y)
        assert (Y != X).any(axis=1).all()
        assert np.abs(kind.featured(X) - kind.featured(Y)).sum(axis=1).mean() < share * far


def test_mutation_alone_draws_sizes_to_no_middle():
    X, draws = np.zeros((2000, 30)), rng()
    X[:, :5] = 1
    for _ in range(10):
        X = Subset([*range(30)]).mutated(X, draws, 20.0)
    assert 4.5 < X.sum(axis=1).mean() < 6  # flips of single columns would be at 10


def test_neighbours_are_other_values():
    values = LETTERS[:3], LETTERS[:3], LETTERS, [0.4, 0.3, 0.2, 0.1]
    kinds = SOME, Subset(LETTERS, at_least=3, at_most=3), Ordering(LETTERS), Simplex(4)
    for kind, value, n in zip(kinds, values, (6, 9, 5, 8), strict=True):
        (x,) = space_of(kind).encode([{"v": value}])
        X = kind.neighbours(x)
        assert len(X) == n and (x != X).any(axis=1).all()
        np.testing.assert_array_equal(space_of(kind).canonical(X), X)


@pytest.mark.parametrize("kind", [SOME, Ordering(LETTERS), Simplex(4)], ids=lambda kind: kind.kind)
def test_a_part_is_set_and_the_rest_follows(kind):
    X = space_of(kind).sample(100, rng())
    for part in range(X.shape[1]):
        to = rng(part).permutation(X[:, part])
        Y = kind.with_part(X, part, to)
        np.testing.assert_array_equal(kind.repaired(Y), Y)
        np.testing.assert_allclose(Y[:, part], to, atol=1e-12)


def test_lattices_are_all_values_or_evenly_spaced():
    for kind in KINDS[:4]:
        rows = kind.lattice(5)
        assert len(rows) == kind.lattice_size(5) == kind.n_values == len(np.unique(kind.repaired(rows), axis=0))
    rows = Simplex(3).lattice(5)
    assert len(rows) == Simplex(3).lattice_size(5) == 15 and set(rows.ravel()) == {0, 0.25, 0.5, 0.75, 1}


def test_a_round_trip_begins_anywhere():
    space = space_of(Ordering(LETTERS, tour=True))
    X = space.encode([{"v": way[i:] + way[:i]} for way in (LETTERS, LETTERS[::-1]) for i in range(6)])
    assert len(np.unique(X, axis=0)) == 1 and space.decode(X[:1]) == [{"v": LETTERS}]
    assert space.size() == 60


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({"subset": ["a", "b"], "at_most": 1}, Subset(["a", "b"], at_most=1)),
        ({"ordering": [1, 2, 3, 4], "tour": True, "when": {"x": 1}}, Ordering([1, 2, 3, 4], tour=True, when={"x": 1})),
        ({"simplex": ["a", "b"], "at_least": 0.1}, Simplex(["a", "b"], at_least=0.1)),
        ({"simplex": 3}, Simplex(3)),
    ],
)
def test_job_files_declare_them(declared, expected):
    assert declared_variable(declared) == expected


def test_a_change_of_the_space_keeps_what_still_fits():
    X, _ = translated(space_of(Subset(LETTERS[1:])), [{"v": ["a", "c"]}], 1)
    assert space_of(Subset(LETTERS[1:])).decode(X) == [{"v": ["c"]}]
    X, _ = translated(space_of(Simplex(["u", "v"], at_least=0.2)), [{"v": {"u": 0.9, "v": 0.1}}], 1)
    assert X.tolist() == [[0.8, 0.2]]


class Parts(SearchProblem):
    variables = {
        "set": SOME,
        "order": Ordering(LETTERS[:4]),
        "mix": Simplex(["u", "v"]),
        "c": Boolean(),
        "rest": Simplex(3, when={"c": True}),
    }
    objectives = {"f": "min", "g": "max"}

    def evaluate(self, config):
        assert 1 <= len(config["set"]) <= 4 and sorted(config["order"]) == LETTERS[:4]
        assert math.isclose(sum(config["mix"].values()), 1) and ("rest" in config) == config["c"]
        return {"f": len(config["set"]) + config["mix"]["u"], "g": config["order"].index("a") + config["mix"]["u"]}


def test_pymoos_own_operators_make_values_of_any_numbers():
    result = minimize(Parts(), NSGA2(pop_size=20), ("n_gen", 5), seed=1)
    assert len(result.F) and (Parts().space.canonical(result.X)[:, :6].sum(axis=1) >= 1).all()


def test_options_may_be_any_json():
    options = [1, 1.0, True, None, "1", [1, 2], (3, 4), {"a": None}]
    for kind in (Subset(options), Ordering(options)):
        space = space_of(kind)
        X = space.sample(20, rng())
        assert all(isinstance(each, tuple) for c in space.decode(X) for each in c["v"] if each == (3, 4))
        np.testing.assert_array_equal(space.encode(space.decode(X)), X)
    (one, other) = space_of(Subset(options)).decode(space_of(Subset(options)).encode([{"v": [[1, 2]]}] * 2))
    one["v"][0].append(3)
    assert other == {"v": [[1, 2]]} and options[5] == [1, 2]


def test_values_of_all_subsets_are_met():
    kind = Subset(["a", "b", "c"], at_least=1)
    seen = {tuple(c["v"]) for c in space_of(kind).decode(space_of(kind).sample(300, rng()))}
    assert seen == {c for size in (1, 2, 3) for c in itertools.combinations("abc", size)}

import json
import math

import cloudpickle
import numpy as np
import pytest

from evo_moo.errors import SpaceError
from evo_moo.space.search_space import SearchSpace
from evo_moo.space.variables import Boolean, Choice, Integer, Real

METHODS = ["random", "sobol", "lhs"]


@pytest.fixture
def space():
    return SearchSpace(
        {
            "width_2": Integer(4, 128, log=True, when={"n_layers": [2, 3]}),
            "n_layers": Integer(1, 3),
            "width_3": Integer(4, 128, log=True, when={"n_layers": 3, "width_2": {"at_least": 20}}),
            "lr": Real(1e-4, 1e-1, log=True),
            "momentum": Real(-1.0, 1.0),
            "act": Choice(["relu", "gelu", None, 1, 1.0, True, [3, 3], {"a": 1}]),
            "batch": Choice([16, 32, 64], ordered=True),
            "norm": Boolean(),
            "norm_eps": Real(1e-9, 1e-3, log=True, when={"norm": True}),
        }
    )


def rng(seed=0):
    return np.random.default_rng(seed)


def one(space, **values):
    return space.encode([values])[0]


def test_columns_are_logarithms_integers_and_indexes():
    space = SearchSpace(
        {
            "r": Real(-2, 3),
            "rl": Real(0.01, 1, log=True),
            "i": Integer(2, 9),
            "il": Integer(1, 8, log=True),
            "c": Choice(["x", "y", "z"]),
            "b": Boolean(),
        }
    )
    assert space.names == ("r", "rl", "i", "il", "c", "b")
    assert space.n_var == 6
    np.testing.assert_allclose(space.xl, [-2, math.log(0.01), 2, 0, 0, 0])
    np.testing.assert_allclose(space.xu, [3, 0, 9, math.log(8), 2, 1])


def test_decode_gives_plain_python_values_in_declaration_order(space):
    for configuration in space.decode(space.sample(100, rng())):
        assert list(configuration) == [name for name in space.names if name in configuration]
        assert json.loads(json.dumps(configuration)) == configuration
        assert type(configuration["n_layers"]) is int
        assert type(configuration["lr"]) is float
        assert type(configuration["norm"]) is bool


@pytest.mark.parametrize("method", METHODS)
def test_round_trip_is_exact(space, method):
    X = space.sample(300, rng(), method)
    assert X.shape == (300, space.n_var)
    assert space.canonical(X).tobytes() == X.tobytes()
    assert space.encode(space.decode(X)).tobytes() == X.tobytes()


@pytest.mark.parametrize("low, high", [(1e-290, 1e290), (0.1234567890123456, 0.98765432109876543), (1e-12, 1e-11)])
def test_round_trip_is_exact_for_extreme_log_ranges(low, high):
    space = SearchSpace({"x": Real(low, high, log=True)})
    X = np.concatenate([space.sample(2000, rng()), space.canonical(np.array([space.xl, space.xu]))])
    assert space.encode(space.decode(X)).tobytes() == X.tobytes()
    assert all(low <= config["x"] <= high for config in space.decode(X))


def test_log_values_are_short_decimals():
    space = SearchSpace({"lr": Real(1e-5, 1, log=True)})
    values = [1e-5, 3e-4, 0.001, 0.01, 0.1, 0.25, 1]
    assert [config["lr"] for config in space.decode(space.encode([{"lr": v} for v in values]))] == values


def test_wide_log_integers_keep_every_value():
    space = SearchSpace({"i": Integer(1, 10**12, log=True)})
    values = [1, 2, 999_999_999_998, 999_999_999_999, 10**12]
    X = space.encode([{"i": v} for v in values])
    assert [config["i"] for config in space.decode(X)] == values


def test_canonical_clips_snaps_and_clears_inactive_columns(space):
    X = np.full((1, space.n_var), 0.4)
    X[0, space.names.index("momentum")] = -0.0
    canonical = space.canonical(X)
    (configuration,) = space.decode(canonical)
    assert configuration["n_layers"] == 1
    assert "width_2" not in configuration
    assert canonical[0, 0] == space.xl[0]
    assert np.signbit(canonical[0, space.names.index("momentum")]) == np.False_
    assert configuration["lr"] == 1e-1
    np.testing.assert_array_equal(space.canonical(np.full((1, space.n_var), -np.inf))[0, 3:], space.xl[3:])


def test_inactive_columns_never_make_rows_differ(space):
    X = space.sample(200, rng())
    noisy = np.where(space.active(X), X, space.draw(200, rng(1)))
    assert not np.array_equal(noisy, X)
    np.testing.assert_array_equal(space.canonical(noisy), X)


def test_matrix_of_another_shape_or_with_nan_is_refused(space):
    with pytest.raises(SpaceError, match=r"shape \(n, 9\), but have \(2, 3\)"):
        space.canonical(np.zeros((2, 3)))
    X = space.sample(2, rng())
    X[1, 3] = np.nan
    with pytest.raises(SpaceError, match=r"`lr`.*NaN"):
        space.decode(X)


def test_empty_matrix_passes_through(space):
    empty = np.empty((0, space.n_var))
    assert space.decode(empty) == []
    assert space.encode([]).shape == (0, space.n_var)
    assert space.canonical(empty).shape == (0, space.n_var)
    assert space.allowed(empty).shape == (0,)


def test_chain_of_conditions(space):
    configurations = space.decode(space.sample(500, rng()))
    for c in configurations:
        assert ("width_2" in c) == (c["n_layers"] >= 2)
        assert ("width_3" in c) == (c["n_layers"] == 3 and c.get("width_2", 0) >= 20)
        assert ("norm_eps" in c) == c["norm"]
    assert any("width_3" in c for c in configurations)


@pytest.mark.parametrize(
    "parent, when, active",
    [
        (Integer(1, 5), {"at_most": 2}, [1, 2]),
        (Integer(1, 5), {"at_least": 1.5, "at_most": 4}, [2, 3, 4]),
        (Integer(1, 5), [1, 2, 5], [1, 2, 5]),
        (Integer(1, 64, log=True), {"at_least": 63}, [63, 64]),
        (Choice([16, 32, 64], ordered=True), {"at_least": 32}, [32, 64]),
        (Choice(["a", "b"]), "b", ["b"]),
        (Choice([[3, 3], [5, 5]]), [[3, 3]], [[3, 3]]),
        (Choice([1, 1.0, True]), True, [True]),
        (Choice([None, "x"]), None, [None]),
        (Boolean(), False, [False]),
    ],
)
def test_conditions_on_any_kind_of_parent(parent, when, active):
    space = SearchSpace({"p": parent, "child": Boolean(when={"p": when})})
    configurations = space.decode(space.sample(3000, rng()))
    seen = {json.dumps(c["p"]) for c in configurations if "child" in c}
    assert seen == {json.dumps(value) for value in active}
    absent = {json.dumps(c["p"]) for c in configurations if "child" not in c}
    assert not absent & seen


def test_condition_on_real_parent():
    space = SearchSpace({"p": Real(1e-3, 1, log=True), "child": Boolean(when={"p": {"at_least": 0.1}})})
    assert "child" in space.decode(space.encode([{"p": 0.1, "child": True}]))[0]
    assert "child" not in space.decode(space.encode([{"p": 0.0999}]))[0]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", [Integer(3, 9), Choice(list("abcdefg")), Choice([1, 2, 3, 4, 5, 6, 7], ordered=True)])
def test_samples_are_uniform_over_values(kind, method):
    space = SearchSpace({"v": kind, "other": Real(0, 1)})
    n = 7000
    counts = np.unique(space.sample(n, rng(), method)[:, 0], return_counts=True)[1]
    assert len(counts) == 7
    chi_square = ((counts - n / 7) ** 2 / (n / 7)).sum()
    assert chi_square < 22.5  # 99.9 % of chi-square with 6 degrees of freedom


def test_log_integers_get_their_share_of_the_log_scale():
    space = SearchSpace({"v": Integer(1, 10, log=True)})
    n = 20_000
    values = np.array([c["v"] for c in space.decode(space.sample(n, rng()))])
    share = np.log((np.arange(1, 11) + 0.5) / (np.arange(1, 11) - 0.5)) / math.log(10.5 / 0.5)
    expected = n * share
    observed = np.bincount(values, minlength=11)[1:]
    assert ((observed - expected) ** 2 / expected).sum() < 27.9  # 99.9 %, 9 degrees of freedom


@pytest.mark.parametrize("method", METHODS)
def test_equal_seeds_give_equal_samples(space, method):
    assert space.sample(50, rng(7), method).tobytes() == space.sample(50, rng(7), method).tobytes()
    assert space.sample(50, rng(7), method).tobytes() != space.sample(50, rng(8), method).tobytes()


@pytest.mark.parametrize("method", METHODS)
def test_samples_depend_on_the_bit_generators_state_alone(space, method):
    used, restored = rng(3), rng(99)
    space.sample(10, used, method)
    restored.bit_generator.state = used.bit_generator.state
    assert space.sample(10, used, method).tobytes() == space.sample(10, restored, method).tobytes()


def test_designs_fill_every_slice_and_random_draws_do_not():
    square = SearchSpace({"a": Real(0, 1), "b": Real(0, 1)})
    filled = {m: [len(set(slices)) for slices in (square.draw(16, rng(), m).T * 16).astype(int)] for m in METHODS}
    assert filled["sobol"] == filled["lhs"] == [16, 16] and max(filled["random"]) < 16


def test_unknown_sampling_method_is_refused(space):
    with pytest.raises(SpaceError, match="random, sobol or lhs, but is 'halton'"):
        space.sample(3, rng(), "halton")


@pytest.mark.parametrize("method", METHODS)
def test_forbidden_rows_are_never_sampled(method):
    space = SearchSpace({"a": Integer(1, 8), "b": Integer(1, 8)}, forbidden={"too_big": lambda c: c["a"] * c["b"] > 4})
    X = space.sample(200, rng(), method)
    assert len(X) == 200
    assert space.allowed(X).all()
    assert all(c["a"] * c["b"] <= 4 for c in space.decode(X))
    np.testing.assert_array_equal(space.allowed([[1, 1], [8, 8], [1, 5]]), [True, False, False])
    with pytest.raises(SpaceError, match=r"`too_big` forbids \{'a': 8, 'b': 8\}"):
        space.encode([{"a": 8, "b": 8}])


def test_rules_that_leave_nothing_are_an_error():
    space = SearchSpace({"a": Boolean()}, forbidden={"never": lambda c: True})
    with pytest.raises(SpaceError, match=r"only 0 of 5 rows were found \(never\)"):
        space.sample(5, rng())


def test_rule_that_raises_is_named():
    space = SearchSpace({"a": Boolean(), "b": Boolean(when={"a": True})}, forbidden={"needs_b": lambda c: c["b"]})
    with pytest.raises(SpaceError, match=r"`needs_b`.*KeyError: 'b' for \{'a': False\}.*\.get"):
        space.sample(50, rng())


@pytest.mark.parametrize(
    "change, message",
    [
        ({"nope": 1}, "`nope`: unknown variable; known are width_2, n_layers"),
        ({"lr": ...}, "`lr`: must be given, but is missing"),
        ({"n_layers": 2}, "`width_2`: must be given, but is missing"),
        ({"width_2": 5}, r"`width_2`: exists only when n_layers in \[2, 3\], but is given as 5"),
        ({"lr": 0.2}, "`lr`: must lie between 0.0001 and 0.1, but is 0.2"),
        ({"lr": "0.01"}, "`lr`: must be a number, but is '0.01'"),
        ({"lr": True}, "`lr`: must be a number, but is True"),
        ({"n_layers": 1.0}, "`n_layers`: must be a whole number"),
        ({"n_layers": True}, "`n_layers`: must be a whole number"),
        ({"n_layers": 4}, "`n_layers`: must lie between 1 and 3, but is 4"),
        ({"act": "tanh"}, "`act`: must be one of .* but is 'tanh'"),
        ({"norm": 1}, "`norm`: must be True or False, but is 1"),
    ],
)
def test_encode_is_strict(space, change, message):
    good = {"n_layers": 1, "lr": 0.01, "momentum": 0.5, "act": "relu", "batch": 32, "norm": False}
    space.encode([good])
    bad = {name: value for name, value in (good | change).items() if value is not ...}
    with pytest.raises(SpaceError, match=message):
        space.encode([good, bad])


def test_encode_wants_mappings(space):
    with pytest.raises(SpaceError, match="must map names to values, but is 3"):
        space.encode([3])


def test_encode_takes_numpy_numbers(space):
    values = {"n_layers": np.int64(1), "lr": np.float64(0.01), "momentum": np.float32(0.5)}
    row = one(space, **values, act=None, batch=16, norm=np.bool_(False))
    assert space.decode(row[None])[0]["momentum"] == 0.5


def test_options_that_python_calls_equal_stay_apart():
    space = SearchSpace({"c": Choice([1, 1.0, True, "1"])})
    X = space.encode([{"c": 1}, {"c": 1.0}, {"c": True}, {"c": "1"}])
    assert X.ravel().tolist() == [0, 1, 2, 3]
    assert [repr(c["c"]) for c in space.decode(X)] == ["1", "1.0", "True", "'1'"]


def test_changing_a_decoded_list_changes_no_option():
    space = SearchSpace({"kernel": Choice([[3, 3], [5, 5]])})
    first, second = space.decode(np.zeros((2, 1)))
    first["kernel"].append(9)
    assert second["kernel"] == [3, 3]
    assert space.decode(np.zeros((1, 1))) == [{"kernel": [3, 3]}]


def test_sizes():
    assert SearchSpace({"a": Integer(1, 3), "b": Boolean(), "c": Choice(["x", "y"])}).size() == 12
    assert SearchSpace({"a": Integer(1, 3), "r": Real(0, 1)}).size() == math.inf
    conditional = SearchSpace({"n": Integer(1, 3), "w": Integer(1, 10, when={"n": [2, 3]})})
    assert conditional.size() == 1 + 10 + 10
    chain = SearchSpace({"v0": Boolean()} | {f"v{i}": Boolean(when={f"v{i - 1}": True}) for i in range(1, 40)})
    assert chain.size() == 41
    pairs = {f"p{i}": Boolean() for i in range(40)}
    pairs |= {f"c{i}": Integer(1, 9, when={f"p{i}": True}) for i in range(40)}
    assert SearchSpace(pairs).size() == 10**40
    joint = {f"p{i}": Boolean() for i in range(39)}
    joint["c"] = Integer(1, 9, when=dict.fromkeys(joint, True))
    assert SearchSpace(joint).size() == 2**39 - 1 + 9


def test_chain_of_many_conditions():
    chain = {"v0": Boolean()} | {f"v{i}": Boolean(when={f"v{i - 1}": True}) for i in range(1, 1100)}
    assert SearchSpace(chain).size() == 1101


@pytest.mark.slow
def test_size_of_an_entangled_space_is_an_upper_bound():
    variables = {f"p{i}": Boolean() for i in range(30)}
    for i in range(30):
        variables[f"c{i}"] = Boolean(when={f"p{i}": True, f"p{(7 * i + 3) % 30}": True, f"p{(11 * i + 5) % 30}": True})
    assert 2**30 <= SearchSpace(variables).size() <= 2**60


def test_describe(space):
    rows = {row["name"]: row for row in space.describe()}
    assert rows["width_3"] == {
        "name": "width_3",
        "kind": "integer",
        "range": "4 .. 128",
        "log": "log",
        "condition": "n_layers = 3 and width_2 at least 20",
    }
    assert rows["batch"]["range"] == "16 < 32 < 64"
    assert rows["momentum"] == {
        "name": "momentum",
        "kind": "real",
        "range": "-1.0 .. 1.0",
        "log": "",
        "condition": "",
    }


def test_space_travels_by_cloudpickle(space):
    copy = cloudpickle.loads(cloudpickle.dumps(space))
    assert copy.sample(5, rng()).tobytes() == space.sample(5, rng()).tobytes()


@pytest.mark.parametrize(
    "kind, message",
    [
        (Real(1, 0), "low must be below high, but low is 1 and high is 0"),
        (Real(1, 1), "low and high are both 1; use a Choice"),
        (Real(0, math.inf), "high must be a finite number, but is inf"),
        (Real(0, 10**400), "high must be a finite number"),
        (Real(-1e308, 1e308), "high - low must be finite"),
        (Real(1, 1 + 1e-15), "high - low must be at least .* but is .*; widen it, or search the distance from 1"),
        (Real(False, True), "low must be a finite number, but is False"),
        (Real("0", 1), "low must be a number or another variable of the space, but names '0'"),
        (Real(0, 1, log=True), "a log range must begin above 0, but low is 0; say zero=True beside a low above 0"),
        (Real(1e-300, 1, log=True), "a log range must lie within"),
        (Real(1, 1.0001, log=True), "a log range must be wider"),
        (Integer(0.0, 3), "low must be a whole number"),
        (Integer(True, 3), "low must be a whole number"),
        (Integer(0, 10**13), "high must be within"),
        (Choice([]), "options must hold at least one value"),
        (Choice("abc"), "options must be a list"),
        (Choice([[1], (1,)]), r"options must all be different, but \[1\] is there twice"),
        (Choice([math.nan]), "options must be JSON values"),
        (3, "must be a Real, Integer, Choice, Boolean, Subset, Ordering or Simplex, but is 3"),
        (Boolean(when={"nope": 1}), "`when` must name variables of the space, but names 'nope'"),
        (Boolean(when={"x": True}), "`when` must name another variable"),
        (Boolean(when="n"), "`when` must map parents to values"),
        (Boolean(when={"n": 4}), "`when` must name values that `n` can have: .*1 and 3, but is 4"),
        (Boolean(when={"n": []}), "needs at least one value"),
        (Boolean(when={"n": {"at_least": 4}}), "none of which is at least 4"),
        (Boolean(when={"n": {"at_least": 1.2, "at_most": 1.8}}), "none of which is"),
        (Boolean(when={"n": {"at_least": "2"}}), "at_least and at_most must be numbers"),
        (Boolean(when={"c": {"at_least": 2}}), "at_least and at_most compare numbers"),
        (Boolean(when={"c": "z"}), "must be one of .* but is 'z'"),
        (Boolean(when={"r": 0.5}), "a Real needs at_least or at_most"),
    ],
)
def test_faulty_variable_is_refused(kind, message):
    with pytest.raises(SpaceError, match=f"^`x`: .*{message}"):
        SearchSpace({"n": Integer(1, 3), "c": Choice(["a", "b"]), "r": Real(0, 1), "x": kind})


@pytest.mark.parametrize("name", ["a b", "1a", "", "a-b", "é", 3])
def test_faulty_name_is_refused(name):
    with pytest.raises(SpaceError, match="a name must be letters, digits and _"):
        SearchSpace({name: Boolean()})


def test_all_faults_are_listed_at_once():
    with pytest.raises(SpaceError) as caught:
        SearchSpace({"a": Real(2, 1), "b c": Boolean(), "d": Choice([]), "e": Boolean(when={"zz": 1})}, {"rule": None})
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines] == ["`a`", "`b c`", "`d`", "`rule`", "`e`"]


def test_empty_space_is_refused():
    with pytest.raises(SpaceError, match="at least one variable"):
        SearchSpace({})


def test_circle_is_named():
    with pytest.raises(
        SpaceError, match=r"must not go in a circle, but (a -> c -> b -> a|b -> a -> c -> b|c -> b -> a -> c)"
    ):
        SearchSpace({"a": Boolean(when={"b": True}), "b": Boolean(when={"c": True}), "c": Boolean(when={"a": True})})


def test_conditions_that_contradict_a_parents_are_refused():
    with pytest.raises(SpaceError, match=r"`c`: .* fit together, but they ask different values of `a`"):
        SearchSpace({"a": Integer(1, 3), "b": Boolean(when={"a": 1}), "c": Boolean(when={"b": True, "a": 2})})

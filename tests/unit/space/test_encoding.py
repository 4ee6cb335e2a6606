import numpy as np
import pytest

from evo_moo.space.operators import SpaceCrossover, SpaceMutation
from evo_moo.space.search_space import SearchSpace
from evo_moo.space.variables import Integer, Real

ZEROS = [Real(1e-6, 1e-2, log=True, zero=True), Integer(10, 1000, log=True, zero=True)]


def values_of(space, X):
    return np.array([config["x"] for config in space.decode(X)])


@pytest.mark.parametrize("kind", ZEROS, ids=["real", "integer"])
def test_zero_is_one_value_in_five_and_next_to_low(kind):
    space = SearchSpace({"x": kind})
    values = values_of(space, space.sample(4096, np.random.default_rng(1), "sobol"))
    assert (values == 0).mean() == pytest.approx(0.2, abs=0.002)
    logs = np.log(values[values > 0])
    assert np.mean(logs) == pytest.approx(np.log(kind.low * kind.high) / 2, abs=0.05)
    zero, low, high = space.encode([{"x": value} for value in (0, kind.low, kind.high)])[:, 0]
    assert (low - zero) / (high - zero) == pytest.approx(1 / 9, abs=0.02)


@pytest.mark.parametrize("kind", ZEROS, ids=["real", "integer"])
def test_zero_is_left_and_reached_by_mutation(kind):
    space, rng = SearchSpace({"x": kind}), np.random.default_rng(1)
    middle = type(kind.low)((kind.low * kind.high) ** 0.5)
    for begin in (0, kind.low, middle, kind.high):
        mutants = values_of(space, SpaceMutation(space).mutated(space.encode([{"x": begin}] * 500), rng))
        assert (mutants != begin).all()
        if begin:
            assert 50 < (mutants == 0).sum() < 350
        else:
            near = mutants < kind.low * 3
            assert 250 < near.sum() < 450 and (mutants > middle).sum() > 20


def test_zero_is_inherited_like_any_value():
    space, rng = SearchSpace({"x": ZEROS[0], "y": Real(0, 1)}), np.random.default_rng(1)
    parents = np.repeat(space.encode([{"x": 0, "y": 0}, {"x": 1e-5, "y": 1}])[:, None], 500, axis=1)
    children = space.decode(SpaceCrossover(space, prob=1.0).crossed(parents, rng).reshape(-1, 2))
    of_both = [(child["x"] == 0) == (child["y"] > 0.5) for child in children]
    assert 300 < sum(of_both) < 700 and len({child["x"] for child in children}) > 200

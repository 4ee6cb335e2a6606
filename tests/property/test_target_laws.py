import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import skew, yeojohnson_llf

from evo_moo.errors import SurrogateError
from evo_moo.storage.checkpoint import from_json, to_json
from evo_moo.surrogate.targets import TAIL, Target

MODERATE = st.floats(-1e6, 1e6).map(lambda v: round(v, 6))
ROWS = st.one_of(
    arrays(np.float64, st.integers(1, 40), elements=MODERATE),
    arrays(np.float64, st.integers(10, 40), elements=st.floats(1e-6, 1e9)),
    st.builds(
        lambda seed, n, power: np.exp(power * np.random.default_rng(seed).normal(size=n)),
        st.integers(0, 999),
        st.integers(10, 60),
        st.floats(0.0, 6.0),
    ),
    st.builds(
        lambda seed, n: -np.random.default_rng(seed).gamma(0.7, size=n), st.integers(0, 999), st.integers(10, 60)
    ),
)


@given(y=ROWS, spread_best=st.booleans())
@settings(max_examples=50)
def test_the_inverse_undoes_the_transform(y, spread_best):
    target = Target.fit(y, spread_best=spread_best)
    z = target.transform(y)
    assert np.isfinite(z).all()
    np.testing.assert_allclose(target.inverse(z), y, rtol=1e-6, atol=1e-7 * max(np.ptp(y), np.abs(y).max(), 1e-300))


@given(y=ROWS, z=st.lists(st.floats(-8, 8), min_size=2, max_size=10), spread_best=st.booleans())
@settings(max_examples=40)
def test_the_transform_keeps_the_order_both_ways(y, z, spread_best):
    target = Target.fit(y, spread_best=spread_best)
    assert (np.diff(target.transform(np.sort(y))) >= 0).all()
    values = target.inverse(np.sort(z))
    assert np.isfinite(values).all() and (np.diff(values) >= 0).all()


@given(y=ROWS)
@settings(max_examples=20)
def test_map_is_plain_data_and_ignores_the_order_of_values(y):
    target = Target.fit(y)
    assert Target(**from_json(to_json(dataclasses.asdict(target)))) == target
    z, reversed_z = target.transform(y), Target.fit(y[::-1]).transform(y)
    np.testing.assert_allclose(z, reversed_z, rtol=1e-3, atol=1e-3)


def test_normal_values_are_only_standardised():
    y = 50 + 3 * np.random.default_rng(0).normal(size=100)
    target = Target.fit(y)
    assert (target.log, target.power) == (False, 1.0)
    np.testing.assert_allclose(target.transform(y), (y - y.mean()) / y.std(), atol=1e-12)


def test_values_over_orders_of_magnitude_are_taken_in_logarithms():
    y = np.exp(3 * np.random.default_rng(0).normal(size=60))
    assert Target.fit(y).log and abs(skew(Target.fit(y).transform(y))) < 0.5
    with pytest.raises(SurrogateError, match=r"must be above 0.0 here, but one is 0.0"):
        Target.fit(y).transform([1.0, 0.0])


def test_spread_best_tells_errors_near_the_best_apart():
    rng = np.random.default_rng(0)
    errors = np.concatenate([6 + rng.gamma(1.0, 1.5, 85), rng.uniform(20, 90, 15)]) - 100
    plain, spread = Target.fit(errors), Target.fit(errors, spread_best=True)
    assert not plain.log and spread.log and errors.min() - 10 < spread.origin < errors.min()
    good = np.sort(errors)[:50]
    assert np.ptp(spread.transform(good)) > 1.5 * np.ptp(plain.transform(good))
    y = rng.normal(size=100)
    assert Target.fit(y, spread_best=True) == Target.fit(y)


def test_skewed_values_of_any_sign_are_bent():
    y = -np.random.default_rng(0).gamma(0.7, size=80)
    target = Target.fit(y)
    assert not target.log and target.power != 1.0
    assert abs(skew(target.transform(y))) < 0.5 * abs(skew(y))


def test_the_power_is_the_most_likely_one():
    values = np.random.default_rng(3).gamma(3.0, size=200) - 2.0
    target = Target.fit(values)
    scaled = (values - target.shift) / target.width
    likelihoods = [yeojohnson_llf(power, scaled) for power in (target.power - 0.02, target.power, target.power + 0.02)]
    assert 0.05 < target.power < 1 and np.argmax(likelihoods) == 1


@pytest.mark.parametrize("outlier", [1e3, -1e12, 1e30])
def test_an_outlier_neither_rules_the_rest_nor_is_lost(outlier):
    y = np.append(np.random.default_rng(0).normal(size=50), outlier)
    target = Target.fit(y)
    z = target.transform(y)
    assert 0.5 < z[:-1].std() < 1.5
    assert TAIL < abs(z[-1]) < 100
    np.testing.assert_allclose(target.inverse(z), y, rtol=1e-9)


@pytest.mark.parametrize("y", [[3.0], [0.0, 0.0], [1e15] * 20, [-7.0] * 12])
def test_constant_values_become_zero(y):
    target = Target.fit(y)
    np.testing.assert_array_equal(target.transform(y), 0.0)
    np.testing.assert_array_equal(target.inverse(np.zeros(len(y))), y)


def test_few_values_beside_a_constant_majority_stay_apart():
    y = np.array([1.0] * 18 + [0.0, 2.0])
    z = Target.fit(y).transform(y)
    assert np.isfinite(z).all() and z[18] < z[0] < z[19]


@pytest.mark.parametrize("y", [[], [1.0, np.nan], [np.inf, 1.0], [[1.0]]])
def test_other_values_are_refused(y):
    with pytest.raises(SurrogateError, match="must be a row of finite numbers"):
        Target.fit(y)

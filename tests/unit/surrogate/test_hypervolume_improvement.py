"""Expectations by formula and by points, beside those of many samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from evo_moo.surrogate.hypervolume_improvement import (
    Boxes,
    expected_gain,
    expected_gain_of_largest,
)

gaps, deviations = st.floats(-3, 3), st.floats(0.01, 3)


@given(gaps, deviations)
def test_expected_gain_is_the_integral_of_what_is_gained(gap, std):
    expected = quad(lambda y: max(y, 0.0) * norm.pdf(y, gap, std), 0.0, max(gap, 0.0) + 12 * std, points=[max(gap, 0)])
    assert expected_gain(np.array(gap), np.array(std)) == pytest.approx(expected[0], rel=1e-5, abs=1e-7)


@given(gaps, deviations)
def test_gain_of_the_largest_of_one_is_its_own(gap, std):
    gain = expected_gain_of_largest(np.array(0.0), np.array([-gap]), np.array([std]))
    assert gain == pytest.approx(float(expected_gain(np.array(gap), np.array(std))), rel=0.02, abs=5e-4)


@pytest.mark.parametrize("std", [(0.01, 0.05, 0.25), (0.3, 0.3, 0.3), (0.2, 1e-9, 0.1)])
@pytest.mark.parametrize("mean", [(0.5, 0.5, 0.5), (0.1, 0.6, 0.3), (0.9, 0.2, 0.55)])
def test_gain_of_the_largest_is_the_mean_of_many_samples(mean, std):
    drawn = np.random.default_rng(1).normal(mean, std, (400_000, 3)).max(axis=1)
    for bound in (0.4, 0.6, 1.0):
        seen = np.maximum(bound - drawn, 0.0)
        gain = expected_gain_of_largest(np.array(bound), np.array(mean), np.array(std))
        assert gain == pytest.approx(seen.mean(), rel=0.03, abs=4 * seen.std() / len(seen) ** 0.5)


def test_improvement_of_a_certain_point_is_what_it_adds():
    boxes = Boxes(np.array([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]]), np.array([1.0, 1.0]))
    points = np.array([[0.25, 0.25], [0.6, 0.6], [0.0, 0.0]])
    gains = boxes.expected_improvement(points, np.zeros_like(points))
    assert gains == pytest.approx([0.3125, 0.0, 0.75])

"""Rounding to twelve significant digits, beside the rounding of decimal text."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evo_moo.space.rounding import round_significant


@given(st.floats(1e-290, 1e290))
def test_rounding_is_that_of_decimal_text(value):
    assert round_significant(np.array([value]))[0] == pytest.approx(float(f"{value:.11e}"), rel=1e-15)


@given(st.floats(1e-9, 1e9))
def test_usual_number_becomes_the_float_of_its_text(value):
    assume(f"{value:.14e}"[13:16] not in ("499", "500"))  # halfway between two, either is as near
    assert round_significant(np.array([value]))[0] == float(f"{value:.11e}")


@given(st.floats(1e-290, 1e290), st.sampled_from([0, -2, 2]))
def test_float_beside_a_rounded_one_becomes_that(value, ulps):
    rounded = round_significant(np.array([value]))
    beside = rounded * (1 + ulps * np.finfo(float).eps)
    assert round_significant(beside).tolist() == rounded.tolist()


@pytest.mark.parametrize("value", [9.999999999999, 0.9999999999996, 99999999999.96])
def test_digits_that_carry_give_the_next_power_of_ten(value):
    assert round_significant(np.array([value, 3.0])).tolist() == [float(f"{value:.11e}"), 3.0]

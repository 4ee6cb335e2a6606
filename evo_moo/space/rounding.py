"""Rounding of values that are searched in log scale."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

DIGITS = 12
"""Significant digits of a value searched in log scale; more would not survive ``exp`` and ``log``."""
LARGEST_EXPONENT = 290


def round_significant(values: Array) -> Array:
    """Round positive numbers within ``1e-290 .. 1e290`` to 12 significant digits.

    A number that is off a rounded one by a few units in the last place is rounded to that very float, which
    is what makes ``exp`` and ``log`` undo each other exactly.
    """
    decimals = DIGITS - 1 - np.floor(np.log10(values)).astype(np.int64)
    digits = np.rint(values * _POWERS[np.maximum(decimals, 0)] / _POWERS[np.maximum(-decimals, 0)])
    carried = digits >= 10**DIGITS
    digits[carried] /= 10
    decimals = decimals - carried
    rounded: Array = digits / _POWERS[np.maximum(decimals, 0)] * _POWERS[np.maximum(-decimals, 0)]
    return rounded


_POWERS = np.array([float(f"1e{exponent}") for exponent in range(LARGEST_EXPONENT + DIGITS + 2)])

"""A helper beside the user's problem file."""

import math


def valley(x: float, n: int) -> float:
    return (x - 0.3) ** 2 * n + 0.1 * math.sin(9 * x)

"""Real-world problems in closed form.

Source: Tanabe and Ishibuchi, "An easy-to-use real-world multi-objective optimization problem suite", Applied Soft
Computing 89 (2020) 106078, whose names are kept. Objectives that sum up broken constraints are as defined there.
"""

from collections.abc import Callable

import numpy as np

Array = np.ndarray
SQRT2 = np.sqrt(2.0)


def _broken(*margins: Array) -> Array:
    """Sum what is missing where a margin is negative."""
    return np.sum([np.maximum(-margin, 0.0) for margin in margins], axis=0)


def re21(X: Array) -> Array:
    """Four bar truss: volume and joint displacement; force 10 kN, length 200 cm, modulus 2e5 kN/cm2."""
    x1, x2, x3, x4 = X.T
    force, length, modulus = 10.0, 200.0, 2e5
    volume = length * (2 * x1 + SQRT2 * x2 + np.sqrt(x3) + x4)
    displacement = force * length / modulus * (2 / x1 + 2 * SQRT2 / x2 - 2 * SQRT2 / x3 + 2 / x4)
    return np.column_stack([volume, displacement])


def re23(X: Array) -> Array:
    """Pressure vessel: cost and broken constraints; two plate thicknesses in sixteenths of an inch."""
    shell, head = 0.0625 * X[:, 0], 0.0625 * X[:, 1]
    radius, length = X[:, 2], X[:, 3]
    cost = (
        0.6224 * shell * radius * length
        + 1.7781 * head * radius**2
        + 3.1661 * shell**2 * length
        + 19.84 * shell**2 * radius
    )
    volume = np.pi * radius**2 * length + 4 / 3 * np.pi * radius**3
    broken = _broken(shell - 0.0193 * radius, head - 0.00954 * radius, volume - 1_296_000)
    return np.column_stack([cost, broken])


def re24(X: Array) -> Array:
    """Hatch cover: weight and broken constraints."""
    flange, beam = X.T
    modulus = 700_000.0
    bending, shear = 4500 / (flange * beam), 1800 / beam
    deflection = 562_000 / (modulus * flange * beam**2)
    buckling = modulus * flange**2 / 100
    broken = _broken(1 - bending / 700, 1 - shear / 450, 1 - deflection / 1.5, 1 - bending / buckling)
    return np.column_stack([flange + 120 * beam, broken])


def re33(X: Array) -> Array:
    """Disc brake: mass, stopping time and broken constraints."""
    inner, outer, force, n_surfaces = X.T
    squares, cubes = outer**2 - inner**2, outer**3 - inner**3
    broken = _broken(
        outer - inner - 20,
        0.4 - force / (3.14 * squares),
        1 - 2.22e-3 * force * cubes / squares**2,
        2.66e-2 * force * n_surfaces * cubes / squares - 900,
    )
    mass = 4.9e-5 * squares * (n_surfaces - 1)
    return np.column_stack([mass, 9.82e6 * squares / (force * n_surfaces * cubes), broken])


def _polynomial(X: Array, terms: str) -> Array:
    """Sum terms such as ``"-0.3695*14"``: a factor and the 1-based numbers of the variables that it multiplies."""
    total = np.zeros(len(X))
    for term in terms.split():
        factor, _, columns = term.partition("*")
        total += float(factor) * np.prod([X[:, int(column) - 1] for column in columns] or [np.ones(len(X))], axis=0)
    return total


def re34(X: Array) -> Array:
    """Vehicle crashworthiness: mass, acceleration and toe board intrusion, as response surfaces."""
    mass = "1640.2823 2.3573285*1 2.3220035*2 4.5688768*3 7.7213633*4 4.4559504*5"
    acceleration = (
        "6.5856 1.15*1 -1.0427*2 0.9738*3 0.8364*4 -0.3695*14 0.0861*15 0.3628*24 -0.1106*11 -0.3437*33 0.1764*44"
    )
    intrusion = (
        "-0.0551 0.0181*1 0.1024*2 0.0421*3 -0.0073*12 0.024*23 -0.0118*24 -0.0204*34 -0.008*35 -0.0241*22 0.0109*44"
    )
    return np.column_stack([_polynomial(X, terms) for terms in (mass, acceleration, intrusion)])


def re37(X: Array) -> Array:
    """Rocket injector: face temperature, distance from the inlet and tip temperature, as response surfaces."""
    face = (
        "0.692 0.477*1 -0.687*2 -0.08*3 -0.065*4 -0.167*11 -0.0129*21 0.0796*22 -0.0634*31 -0.0257*32 0.0877*33 "
        "-0.0521*41 0.00156*42 0.00198*43 0.0184*44"
    )
    distance = (
        "0.153 -0.322*1 0.396*2 0.424*3 0.0226*4 0.175*11 0.0185*21 -0.0701*22 -0.251*31 0.179*32 0.015*33 "
        "0.0134*41 0.0296*42 0.0752*43 0.0192*44"
    )
    tip = (
        "0.37 -0.205*1 0.0307*2 0.108*3 1.019*4 -0.135*11 0.0141*21 0.0998*22 0.208*31 -0.0301*32 -0.226*33 "
        "0.353*41 -0.0497*43 -0.423*44 0.202*211 -0.281*311 -0.342*221 -0.245*223 0.281*332 -0.184*441 -0.281*213"
    )
    return np.column_stack([_polynomial(X, terms) for terms in (face, distance, tip)])


FORMULAS: dict[str, tuple[Callable[[Array], Array], list[float], list[float], int]] = {
    "re21": (re21, [1.0, SQRT2, SQRT2, 1.0], [3.0] * 4, 2),
    "re23": (re23, [1, 1, 10.0, 10.0], [100, 100, 200.0, 240.0], 2),
    "re24": (re24, [0.5, 0.5], [4.0, 50.0], 2),
    "re33": (re33, [55.0, 75.0, 1000.0, 11.0], [80.0, 110.0, 3000.0, 20.0], 3),
    "re34": (re34, [1.0] * 5, [3.0] * 5, 3),
    "re37": (re37, [0.0] * 4, [1.0] * 4, 3),
}
"""Name to formula of ``(n, n_var)`` rows, lower and upper bounds (an int: of whole numbers), and ``n_obj``."""

WORST = {"re33": (np.inf, np.inf, 25.0)}
"""Where a front has an end that nobody wants, the values beyond which it does not count.

Nearly equal radii of a brake break a constraint without bound while its mass and time hardly change; the radii's
distance alone breaks one by 25 at most, which is the published nadir.
"""

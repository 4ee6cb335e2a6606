"""What is searched without learning from outcomes: a Sobol sequence, and a grid. Random search needs no design.

A design numbers its rows. Rows may repeat, be forbidden or be asked already: the optimizer passes over those.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from evo_moo.errors import JobError
from evo_moo.space.kinds.compound import Compound
from evo_moo.space.search_space import SearchSpace
from evo_moo.space.variables import Array, Mask, Variable
from evo_moo.values import is_integer, plain

GridPoints = int | Mapping[str, int | Sequence[Any]]
"""Number of points of every ``Real`` without steps; or by a variable's name the number of its points, or its values."""

POINTS = 5
MOST_POINTS = 100_000
"""Of a grid: it is laid out in memory, and nobody evaluates more."""
LOOKS, MOST_AT_ONCE = 24, 4096
"""How far a design that repeats itself is followed, to some 50,000 rows."""


class Design(Protocol):
    """Gives rows by their numbers."""

    def rows(self, start: int, n: int) -> Array:
        """Return the canonical rows ``start`` to ``start + n``, ``(n, n_var)``; fewer where the design ends."""


class SobolDesign:
    """A scrambled Sobol sequence (Sobol 1967; scrambled as in Owen 1998), continued for as long as it is asked.

    Args:
        space: The space that it fills.
        seed: Decides the scrambling.
    """

    def __init__(self, space: SearchSpace, seed: int) -> None:
        from scipy.stats import qmc

        self._space = space
        self._sequence = qmc.Sobol(space.layout.n_unit, seed=seed)

    def rows(self, start: int, n: int) -> Array:
        """Return the canonical rows ``start`` to ``start + n``."""
        space = self._space
        self._sequence.reset()
        if start:
            self._sequence.fast_forward(start)
        # SciPy warns of a first draw that is no power of two; more are drawn, and not used.
        unit = self._sequence.random(1 << max(n - 1, 0).bit_length())[:n]
        return space.canonical(space.of_unit(unit))


class GridDesign:
    """Every combination of the variables' values, each configuration once, in an order that the seed decides.

    So the first part of a grid that exceeds the budget is a random sample of it, not one of its corners.

    Args:
        space: The space.
        seed: Decides the order.
        points: The values; of a ``Real`` without steps 5 from one end to the other, of shares the mixtures with as many
            steps, of all else all, unless it says otherwise.

    Raises:
        JobError: ``points`` does not fit the space, or the grid is too large.
    """

    def __init__(self, space: SearchSpace, seed: int, points: GridPoints | None = None) -> None:
        points = plain(points)
        if faults := grid_faults(space, points):
            raise JobError(*[f"`grid_points` {fault}" for fault in faults])
        axes = [_axis(kind, _given(name, kind, points)) for name, kind in space.variables.items()]
        places = np.meshgrid(*(np.arange(len(axis)) for axis in axes), indexing="ij")
        codes = np.hstack([axis[place.ravel()] for axis, place in zip(axes, places, strict=True)])
        rows = np.unique(space.canonical(space.columns(codes)), axis=0)
        self._rows = np.random.default_rng(seed).permutation(rows[space.allowed(rows)])

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self, start: int, n: int) -> Array:
        """Return the rows ``start`` to ``start + n``, none after the last."""
        return np.asarray(self._rows[start : start + n])


def new_rows(
    design: Design, start: int, wanted: int, taken: Sequence[bytes], are_new: Callable[[Array], Mask]
) -> tuple[list[bytes], int]:
    """Return the next rows of a design that are new, as their bytes.

    Args:
        design: The design.
        start: Number of its first row to look at.
        wanted: How many rows there are to be with those taken; fewer where the design ends, or repeats itself.
        taken: Rows that do not count as new.
        are_new: Tells which of ``(n, n_var)`` rows may be asked.

    Returns:
        The rows, and the number of the first row that was not looked at.
    """
    new: dict[bytes, None] = {}
    for doubling in range(LOOKS if len(taken) < wanted else 0):
        block = design.rows(start, min(wanted << doubling, MOST_AT_ONCE))
        if not len(block):
            break
        for i in np.flatnonzero(are_new(block)):
            if (row := block[i].tobytes()) not in taken:
                new[row] = None
            if len(taken) + len(new) == wanted:
                return list(new), start + int(i) + 1
        start += len(block)
    return list(new), start


def grid_faults(space: SearchSpace, points: GridPoints | None) -> list[str]:
    """List what is wrong with the points of a grid over a space, each fault as the rest of a sentence."""
    points = plain(points)
    if isinstance(points, Mapping):
        faults = [fault for name, given in points.items() for fault in _axis_faults(name, space, given)]
    else:
        is_sound = points is None or (is_integer(points) and points >= 2)
        faults = [] if is_sound else [f"must be a whole number of at least 2, but is {points!r}"]
    if faults:
        return faults
    sizes = [_axis_size(kind, _given(name, kind, points)) for name, kind in space.variables.items()]
    if (size := math.prod(sizes)) > MOST_POINTS:
        shown = f"{size:,}" if size < 10**15 else f"{float(size):.1e}"
        named = ", ".join(f"{name} {n:,}" for name, n in zip(space.names, sizes, strict=True))
        way_out = "give fewer, as in { NAME = [1, 2] }, or take 'random' or 'sobol'"
        return [f"must make a grid of at most {MOST_POINTS:,}, but make {shown} ({named}); {way_out}"]
    return []


def _axis_faults(name: str, space: SearchSpace, values: Any) -> list[str]:
    if name not in space.variables:
        return [f"must name variables, but names {name!r}; they are {', '.join(space.names)}"]
    kind = space.variables[name]
    if is_integer(values) and isinstance(kind, Compound) and math.isfinite(kind.n_values):
        return [f"must list the values of {name}, but is {values}; or leave it out for all"]
    if is_integer(values):
        return [f"must be at least 2, but is {values} for {name}"] if values < 2 else []
    if isinstance(values, str) or not isinstance(values, Sequence) or len(values) == 0:
        return [f"must be a number of points or a list of values, but is {values!r} for {name}"]
    faults = []
    for value in values:
        try:
            kind.codes(value)
        except ValueError as error:
            faults.append(f"must hold values of {name}, which {error}")
    return faults


def _given(name: str, kind: Variable, points: GridPoints | None) -> Any:
    """Return what is said of a variable: its values, their number, or None for all."""
    is_real = not kind.grid or (isinstance(kind, Compound) and math.isinf(kind.n_values))
    if isinstance(points, Mapping):
        return points.get(name, POINTS if is_real else None)
    return (points or POINTS) if is_real else None


def _axis_size(kind: Variable, given: Any) -> int:
    if given is not None and not is_integer(given):
        return len(given)
    if isinstance(kind, Compound):
        return kind.lattice_size(given or POINTS)
    low, high = kind.span
    whole = int(high - low) + 1 if kind.grid else math.inf
    return int(whole if given is None else min(given, whole))


def _axis(kind: Variable, given: Any) -> Array:
    """Return the codes of a variable's values, ``(n, n_columns)``."""
    if given is not None and not is_integer(given):
        return np.array([kind.codes(value) for value in given])
    if isinstance(kind, Compound):
        return kind.lattice(given or POINTS)
    codes = np.arange(kind.span[0], kind.span[1] + 1) if given is None else kind.spread(given)
    return codes[:, None]

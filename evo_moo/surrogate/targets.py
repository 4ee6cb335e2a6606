"""What surrogate models learn: a metric's values, brought to about the standard normal distribution and back."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from evo_moo.errors import SurrogateError
from evo_moo.pareto import drawn_in
from evo_moo.surrogate.protocol import Array

TAIL = 4.0
"""Standard deviations beyond which values grow by their logarithm only, so that no outlier rules a model."""
OUTLIER = 5.0
"""Robust standard deviations from the median beyond which values do not count for mean and deviation."""
FEWEST_FOR_SHAPE = 10
"""Fewer values do not show the shape of a distribution."""
CLEARLY = 0.5
"""A more complicated transform must leave at most this share of what is not normal."""
CROWDED = 0.1
"""A misfit of values that crowd near the best, if no other map does away with it."""
BEYOND = (0.05, 0.1, 0.2, 0.5, 1.0)
"""How far beyond the best value the origin of logarithms may lie, in distances between the quartiles."""
_LARGEST_LOG = 700.0


@dataclass(frozen=True)
class Target:
    """A strictly increasing map from a metric's values to standardised targets.

    In this order: the logarithm of the distance from an origin, shift and width, a power (Yeo & Johnson 2000; 1
    changes nothing), shift and width again, and tails drawn in. All of it can be undone.

    Attributes:
        log: Whether values are replaced by the natural logarithm of what they exceed the origin by.
        origin: Less than every value that has a target, where logarithms are taken.
        shift: Taken off, then
        width: divided by.
        power: Yeo and Johnson's lambda in ``[0, 2]``, where every real number has an inverse.
        location: Taken off the power, then
        scale: divided by.
    """

    log: bool = False
    origin: float = 0.0
    shift: float = 0.0
    width: float = 1.0
    power: float = 1.0
    location: float = 0.0
    scale: float = 1.0

    @classmethod
    def fit(
        cls, y: npt.ArrayLike, log: bool = False, spread_best: bool = False, bounds: npt.ArrayLike = ()
    ) -> "Target":
        """Choose the map for ``(n,)`` values; with ``log``, which needs positive ones, begin from their logarithms.

        The values as they are, their logarithm if all are positive, and a power are tried in this order; each
        must halve the best misfit before it. The misfit is ``1 - r**2`` of the normal probability plot.

        Args:
            y: Values.
            log: Whether they are replaced by their logarithms in any case.
            spread_best: Where good values crowd and poor ones are far off, as of many an accuracy, try last to
                spread the good ones, by logarithms of the distance from a point beyond the best. Smooth models know
                the values between better as they are.
            bounds: Values beside those of ``y`` that must have a target, such as a limit that none of them keeps.

        Raises:
            SurrogateError: There are no values, or some are not finite.
        """
        values = drawn_in(np.asarray(y, dtype=float))
        if values.ndim != 1 or not values.size or not np.isfinite(values).all():
            raise SurrogateError("targets must be a row of finite numbers, but are not; leave out failed evaluations")
        lowest = float(min(values.min(), *drawn_in(np.asarray(bounds, dtype=float)), np.inf))
        best = cls._standardising(values, log)
        if log or len(values) < FEWEST_FOR_SHAPE or np.ptp(best.transform(values)) < 1e-9:
            return best
        candidates = [cls._standardising(values, log=True)] if lowest > 0 else []
        for candidate in [*candidates, cls._bending(values)]:
            best = _clearly_better(candidate, best, values)
        if not spread_best or _misfit(best.transform(values)) < CROWDED:
            return best
        return _clearly_better(cls._spreading_best(values, lowest), best, values)

    def transform(self, y: npt.ArrayLike) -> Array:
        """Return the targets of values.

        Raises:
            SurrogateError: A value is not positive, but the map takes logarithms.
        """
        values = drawn_in(np.asarray(y, dtype=float))
        if self.log and (values <= self.origin).any():
            raise SurrogateError(
                f"values must be above {self.origin} here, but one is {values.min()}; fit the map to it, too"
            )
        values = np.log(values - self.origin) if self.log else values
        bent = (_power((values - self.shift) / self.width, self.power) - self.location) / self.scale
        size = np.abs(bent)
        return np.where(size > TAIL, np.sign(bent) * (TAIL + np.log1p(np.maximum(size - TAIL, 0.0))), bent)

    def inverse(self, z: npt.ArrayLike) -> Array:
        """Return the values of targets; of a predicted mean, the median of the value."""
        targets = np.asarray(z, dtype=float)
        size = np.minimum(np.abs(targets), _LARGEST_LOG)
        bent = np.where(size > TAIL, np.sign(targets) * (TAIL + np.expm1(np.maximum(size - TAIL, 0.0))), targets)
        values = _inverse_power(bent * self.scale + self.location, self.power) * self.width + self.shift
        return self.origin + np.exp(np.clip(values, -_LARGEST_LOG, _LARGEST_LOG)) if self.log else np.asarray(values)

    @classmethod
    def _standardising(cls, values: Array, log: bool = False, origin: float = 0.0) -> Self:
        return cls(log, origin, *_location_and_scale(np.log(values - origin) if log else values))

    @classmethod
    def _spreading_best(cls, values: Array, lowest: float) -> "Target":
        best, (low, high) = float(values.min()), np.quantile(values, [0.25, 0.75])
        reach = max(float(high - low), 1e-3 * float(np.ptp(values)))
        origins = (best - share * reach for share in BEYOND)
        candidates = [cls._standardising(values, True, origin) for origin in origins if origin < min(best, lowest)]
        return min(candidates, key=lambda map_: _misfit(map_.transform(values)), default=cls._standardising(values))

    @classmethod
    def _bending(cls, values: Array) -> Self:
        from scipy.optimize import minimize_scalar

        shift, width = _location_and_scale(values)
        scaled = (values - shift) / width
        inner = np.clip(scaled, -OUTLIER, OUTLIER)
        slope = float((np.sign(inner) * np.log1p(np.abs(inner))).mean())

        def misfit(power: float) -> float:
            """Return the negative log-likelihood of a value (Yeo & Johnson 2000, eq. 3.1)."""
            return float(np.log(_power(inner, power).std()) - (power - 1.0) * slope)

        result = minimize_scalar(misfit, bounds=(0.0, 2.0), method="bounded")
        power = float(result.x)
        return cls(False, 0.0, shift, width, power, *_location_and_scale(_power(scaled, power)))


def _clearly_better(candidate: Target, best: Target, values: Array) -> Target:
    left = _misfit(candidate.transform(values))
    return candidate if left < CLEARLY * _misfit(best.transform(values)) else best


def _location_and_scale(values: Array) -> tuple[float, float]:
    """Return mean and standard deviation of the values, with outliers drawn in; the scale of a constant is 1."""
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    # 1.349 is the distance of a normal distribution's quartiles, in standard deviations.
    reach = OUTLIER * (high - low) / 1.349 or np.inf
    inner = np.clip(values, median - reach, median + reach)
    scale = float(inner.std())
    return float(inner.mean()), scale if scale > 1e-12 * float(np.abs(inner).max()) else 1.0


def _power(x: Array, power: float) -> Array:
    from scipy.special import boxcox1p

    up, down = boxcox1p(np.maximum(x, 0.0), power), boxcox1p(np.maximum(-x, 0.0), 2.0 - power)
    return np.asarray(np.where(x >= 0, up, -down))


def _inverse_power(x: Array, power: float) -> Array:
    from scipy.special import inv_boxcox1p

    up, down = inv_boxcox1p(np.maximum(x, 0.0), power), inv_boxcox1p(np.maximum(-x, 0.0), 2.0 - power)
    return np.asarray(np.where(x >= 0, up, -down))


def _misfit(z: Array) -> float:
    from scipy.special import ndtri

    if np.ptp(z) < 1e-9:
        return 1.0  # all the same, which no map mends
    quantiles = ndtri((np.arange(len(z)) + 0.5) / len(z))
    return float(1.0 - np.corrcoef(np.sort(z), quantiles)[0, 1] ** 2)

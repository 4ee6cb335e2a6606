"""The protocol of surrogate models: cheap stand-ins for one metric, learnt from the evaluations so far.

Authors of models import from ``evo_moo.surrogate`` alone, and test with ``evo_moo.testing.SurrogateSuite``.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import compress
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from evo_moo.errors import SurrogateError

Array = npt.NDArray[np.float64]
ColumnKind = Literal["numeric", "ordinal", "category", "active", "binary"]
GOLDEN_RATIO = (5**0.5 - 1) / 2


class Prediction(NamedTuple):
    """What a model expects at ``n`` points.

    Attributes:
        mean: ``(n,)`` expected values.
        std: ``(n,)`` standard deviations.
    """

    mean: Array
    std: Array


@dataclass(frozen=True)
class Columns:
    """What each column of a feature matrix is.

    - ``numeric``: a number scaled to ``[0, 1]``;
    - ``ordinal``: one of a few ordered options, evenly spaced over ``[0, 1]``;
    - ``category``: a code ``0 .. n_options - 1`` without order;
    - ``binary``: 0 or 1 without order, one of several that a variable has; 0.5 where the variable does not exist;
    - ``active``: 1 where a conditional variable exists in the configuration, else 0.

    Attributes:
        names: Name of each column.
        kinds: Kind of each column.
        n_options: Number of options of each ordinal or category; 0 for the other kinds.
        of_choice: Whether each column tells of a choice after the training: points that differ only there are of one
            training, and almost copies. Empty: none does.
        widths: How many columns the variable of each column has, such as a subset. Empty: one each.
    """

    names: tuple[str, ...]
    kinds: tuple[ColumnKind, ...]
    n_options: tuple[int, ...]
    of_choice: tuple[bool, ...] = ()
    widths: tuple[int, ...] = ()

    @classmethod
    def numeric(cls, n: int) -> Self:
        """Return ``n`` columns of numbers."""
        kinds: list[ColumnKind] = ["numeric"] * n
        return cls(tuple(f"x{i}" for i in range(n)), tuple(kinds), (0,) * n)

    def __len__(self) -> int:
        return len(self.kinds)

    def of(self, mask: npt.NDArray[np.bool_]) -> "Columns":
        """Return some of the columns, by a ``(n_features,)`` mask."""
        names, kinds, n_options = compress(self.names, mask), compress(self.kinds, mask), compress(self.n_options, mask)
        of_choice, widths = compress(self.of_choice, mask), compress(self.widths, mask)
        return Columns(tuple(names), tuple(kinds), tuple(n_options), tuple(of_choice), tuple(widths))

    def trainings(self, X: Array) -> Array:
        """Return the features ``(n, n_trained)`` of ``(n, n_features)`` points that are of the training."""
        return X[:, ~np.array(self.of_choice, dtype=bool)] if any(self.of_choice) else X

    def few_per_training(self, X: Array, most: int) -> npt.NDArray[np.intp]:
        """Return ascending indices of points, of each training at most so many, evenly spaced among them.

        Where they begin moves on by the golden ratio from one training to the next, so that every choice is seen.

        Args:
            X: ``(n, n_features)`` points in canonical order.
            most: How many to return of each training.
        """
        if not any(self.of_choice):
            return np.arange(len(X))
        _, training = np.unique(self.trainings(X), axis=0, return_inverse=True)
        kept, spaced = [], np.arange(most) / most
        for number in range(training.max() + 1):
            rows = np.flatnonzero(training == number)
            few = (number * GOLDEN_RATIO + spaced) % 1 * len(rows)
            kept.append(rows if len(rows) <= most else rows[few.astype(int)])
        return np.sort(np.concatenate(kept))

    @cached_property
    def category(self) -> npt.NDArray[np.bool_]:
        """``(n_features,)`` mask of the columns whose codes have no order."""
        return np.array([kind == "category" for kind in self.kinds], dtype=bool)

    @cached_property
    def binary(self) -> npt.NDArray[np.bool_]:
        """``(n_features,)`` mask of the columns of 0 and 1 of which a variable has several."""
        return np.array([kind == "binary" for kind in self.kinds], dtype=bool)

    @cached_property
    def number(self) -> npt.NDArray[np.bool_]:
        """``(n_features,)`` mask of the columns with distances, which are all others."""
        return ~self.category & ~self.binary

    @property
    def dimensions(self) -> list[int]:
        """How many features there would be if each variable had as many as that of each feature, ``(n_features,)``."""
        widths = self.widths or (1,) * len(self)
        n_variables = round(sum(1 / width for width in widths))
        return [n_variables * width for width in widths]


class Surrogate(ABC):
    """A model of one metric over the features of configurations.

    Targets are standardised: about zero mean and unit variance. Where a model must prefer some points to
    others, smaller targets are the better ones. The order of the rows in ``fit`` changes no prediction.

    Attributes:
        columns: What each feature is.
        seed: Decides everything random in ``fit``.
        extrapolates: Whether predicted deviations hold beyond the best value seen; False for models whose predictions
            are averages of what was seen.
        noisy: Whether the metric depends on the evaluation's seed, as its problem declares; set before ``fit``.
    """

    extrapolates = True
    noisy = False

    def __init__(self, columns: Columns, seed: int = 0) -> None:
        self.columns = columns
        self.seed = seed

    def fresh(self) -> "Surrogate":
        """Return a model of the same columns and seed that has learnt nothing."""
        fresh = type(self)(self.columns, self.seed)
        fresh.noisy = self.noisy
        return fresh

    @abstractmethod
    def fit(self, X: Array, y: Array) -> Self:
        """Learn from ``(n, n_features)`` points and their ``(n,)`` standardised targets, and return the model.

        All earlier points are forgotten; hyperparameters may start from those of the last fit.

        Raises:
            SurrogateError: The data are not finite numbers of these shapes, or the model cannot learn them.
        """

    def held_out(self, X: Array, y: Array) -> Prediction | None:
        """Predict the targets of points by models that did not learn them; None: only cross-validation does.

        For models that do it at less cost, such as forests out of bag. Nothing of the prediction of a point, no
        hyperparameter either, may have seen the point. ``std`` includes the noise; this model stays as it is.

        Args:
            X: ``(n, n_features)`` points.
            y: ``(n,)`` standardised targets.
        """
        return None

    def sample(self, X: Array, n: int, rng: np.random.Generator) -> Array:
        """Draw ``(n, len(X))`` joint samples: each row is one function that fits the data, at all points.

        A search does not need it; ``evo_moo.analysis.importance`` does.

        Raises:
            SurrogateError: The model cannot draw samples, or there was no fit yet.
        """
        raise SurrogateError(f"{type(self).__name__} must define `sample` to draw joint samples, but does not")

    @abstractmethod
    def predict(self, X: Array) -> Prediction:
        """Predict the metric itself, without the noise of an observation, at ``(n, n_features)`` points.

        Raises:
            SurrogateError: There was no fit yet, or the points are no finite numbers of this shape.
        """

    def mean(self, X: Array) -> Array:
        """Return the mean of ``predict`` alone, ``(n,)``, for models that know it at less cost."""
        return self.predict(X).mean

    def noise(self) -> float:
        """Return the standard deviation of an observation about the metric; 0 where ``std`` includes it."""
        return 0.0

    @abstractmethod
    def condition(self, X: Array, y: Array) -> "Surrogate":
        """Return a cheap copy that also learnt these points; hyperparameters stay, and so does this model."""

    @abstractmethod
    def dump(self) -> dict[str, Any]:
        """Return what ``load`` needs to make the next ``fit`` identical: plain data and NumPy arrays."""

    @abstractmethod
    def load(self, state: Mapping[str, Any]) -> None:
        """Take over what ``dump`` returned, also after a trip through JSON; ``fit`` must follow.

        Raises:
            SurrogateError: The state does not fit these columns.
        """


def checked_rows(X: npt.ArrayLike, columns: Columns) -> Array:
    """Return points as an ``(n, n_features)`` array.

    Raises:
        SurrogateError: They have another shape, or are not finite.
    """
    rows = np.asarray(X, dtype=float)
    if rows.ndim != 2 or rows.shape[1] != len(columns):
        raise SurrogateError(f"points must have the shape (n, {len(columns)}), but have {rows.shape}")
    if not np.isfinite(rows).all():
        raise SurrogateError("points must be finite, but some are not; leave out failed evaluations")
    return rows


def checked_data(X: npt.ArrayLike, y: npt.ArrayLike, columns: Columns) -> tuple[Array, Array]:
    """Return points and targets as ``(n, n_features)`` and ``(n,)`` arrays.

    Raises:
        SurrogateError: They have other shapes, are not finite, or there are none.
    """
    rows, targets = checked_rows(X, columns), np.asarray(y, dtype=float)
    if targets.shape != (len(rows),) or not len(rows):
        raise SurrogateError(f"there must be one target for each of n >= 1 points, but {targets.shape} for {len(rows)}")
    if not np.isfinite(targets).all():
        raise SurrogateError("targets must be finite, but some are not; leave out failed evaluations")
    return rows, targets


def canonical_order(X: Array, y: Array) -> npt.NDArray[np.intp]:
    """Return the order that sorts ``(n, n_features)`` points, and targets of equal points.

    A model that learns in this order gives the same result to the last bit however its data are ordered.
    """
    return np.lexsort((y, *X.T[::-1]))

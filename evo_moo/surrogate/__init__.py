"""What is expected: model protocol, features, targets, choice of models, posterior, acquisition."""

from typing import TYPE_CHECKING

from evo_moo.lazy import lazy_names

if TYPE_CHECKING:
    from evo_moo.surrogate.protocol import (
        Array,
        ColumnKind,
        Columns,
        Prediction,
        Surrogate,
        SurrogateError,
        canonical_order,
        checked_data,
        checked_rows,
    )

__all__ = [
    "Array",
    "ColumnKind",
    "Columns",
    "Prediction",
    "Surrogate",
    "SurrogateError",
    "canonical_order",
    "checked_data",
    "checked_rows",
]

if not TYPE_CHECKING:  # else any name would pass the type check
    __getattr__ = lazy_names(
        __name__,
        {
            "protocol": (
                "Array",
                "ColumnKind",
                "Columns",
                "Prediction",
                "Surrogate",
                "SurrogateError",
                "canonical_order",
                "checked_data",
                "checked_rows",
            ),
        },
    )

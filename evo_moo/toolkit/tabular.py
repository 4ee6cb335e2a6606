"""Tables with a label and a sensitive attribute: read, checked, split and encoded."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy.typing as npt

from evo_moo.errors import ProblemError
from evo_moo.toolkit.datasets import split_in_three

if TYPE_CHECKING:
    import pandas as pd

Array = npt.NDArray[Any]
Part = tuple[Array, Array, Array]
FEWEST, MOST_GROUPS = 8, 10


class TableColumns(NamedTuple):
    """The columns of a table: what is predicted, who is to be treated alike, and what is left out."""

    target: str
    positive: Any
    sensitive: str
    groups: tuple[Any, ...] = ()
    drop: tuple[str, ...] = ()


class EncodedTable(NamedTuple):
    """A table in three parts of numbers.

    Attributes:
        parts: ``"train"``, ``"validation"`` and ``"test"`` to features ``(n, n_features)``, labels ``(n,)`` and numbers
            of groups ``(n,)``.
        encoder: The fitted transformer of scikit-learn's that made the features of raw rows.
    """

    parts: dict[str, Part]
    encoder: Any


def read_csv(file: Path, columns: TableColumns) -> "pd.DataFrame":
    """Read a CSV file, which may be compressed.

    Raises:
        ProblemError: It cannot be read, or lacks the target or the sensitive attribute.
    """
    import pandas as pd

    try:
        rows = pd.read_csv(file, low_memory=False)
    except (ValueError, OSError) as error:
        raise ProblemError(f"`{file}` must be a CSV file, but cannot be read: {error}") from error
    there = ", ".join(map(str, rows.columns))
    for option, name in (("target", columns.target), ("sensitive", columns.sensitive)):
        if name not in rows:
            found = f"is {name!r}" if name else "is not given"
            raise ProblemError(f"`{option}` must name a column of {file.name}, but {found}; it has {there}")
    return rows


def compas_rows(rows: "pd.DataFrame", file: str) -> "pd.DataFrame":
    """Return the 6,172 rows of ProPublica's COMPAS table that their analysis keeps.

    Raises:
        ProblemError: A column that tells them is missing.
    """
    needed = ("days_b_screening_arrest", "is_recid", "c_charge_degree", "score_text")
    if missing := sorted(set(needed) - set(rows)):
        raise ProblemError(f"{file} must have {', '.join(needed)}, but lacks {missing[0]!r}")
    rows = rows[rows["days_b_screening_arrest"].abs().le(30) & rows["is_recid"].ne(-1)]
    return rows[rows["c_charge_degree"].ne("O") & rows["score_text"].notna()]


def usable_rows(rows: "pd.DataFrame", columns: TableColumns) -> "pd.DataFrame":
    """Keep the rows of known label and wanted groups, and the columns that are used.

    Raises:
        ProblemError: The label has not two values, or a group too few rows.
    """
    rows = rows.dropna(subset=[columns.target, columns.sensitive])
    if columns.groups:
        rows = rows[rows[columns.sensitive].isin(columns.groups)]
    if (n := rows[columns.target].nunique()) != 2:
        raise ProblemError(f"`target` must have two values, but {columns.target!r} has {n}")
    if columns.positive is not None and not rows[columns.target].eq(columns.positive).any():
        values = " and ".join(map(repr, rows[columns.target].unique().tolist()))
        raise ProblemError(f"`positive` must be a value of {columns.target!r}, {values}, but is {columns.positive!r}")
    if not 2 <= (n := rows[columns.sensitive].nunique()) <= MOST_GROUPS:
        raise ProblemError(
            f"`sensitive` must have 2 to {MOST_GROUPS} groups, but {columns.sensitive!r} has {n}; name those to keep "
            "by `groups`, or write a column of fewer"
        )
    counts = rows.groupby([columns.sensitive, columns.target]).size().unstack(fill_value=0).min(axis=1)
    if small := [str(name) for name in counts[counts < FEWEST].index]:
        raise ProblemError(
            f"every group must have {FEWEST} rows of each class, but {', '.join(small)} of {columns.sensitive!r} has "
            "fewer; name those to keep by `groups`"
        )
    return rows.drop(columns=[name for name in columns.drop if name in rows])


def split_and_encode(rows: "pd.DataFrame", columns: TableColumns, groups: Sequence[Any]) -> "EncodedTable":
    """Split rows into half training, a quarter validation and a quarter test data, alike in labels and groups.

    Numbers are standardised, their gaps filled by the median; texts become one column for each frequent value.

    Args:
        rows: What ``usable_rows`` gave.
        columns: What the columns are; the sensitive one is no feature.
        groups: Values of the sensitive attribute, in the order of their numbers.

    Returns:
        The parts, and the transformer that was fitted to the training rows.
    """
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    positive = rows[columns.target].max() if columns.positive is None else columns.positive
    y = rows[columns.target].eq(positive).to_numpy(dtype=int)
    group = rows[columns.sensitive].map({value: i for i, value in enumerate(groups)}).to_numpy(dtype=int)
    rows_of = split_in_three(2 * group + y, 0.5)
    numbers, others = make_column_selector(dtype_include="number"), make_column_selector(dtype_exclude="number")
    numeric = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    texts = OneHotEncoder(handle_unknown="ignore", min_frequency=20, sparse_output=False)
    encoder = make_column_transformer((numeric, numbers), (texts, others))
    features = rows.drop(columns=[columns.target, columns.sensitive])
    encoder.fit(features.iloc[rows_of["train"]])
    parts = {name: (encoder.transform(features.iloc[i]), y[i], group[i]) for name, i in rows_of.items()}
    return EncodedTable(parts, encoder)

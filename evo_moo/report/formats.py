"""The formats of other programs that a run can be written in."""

from typing import Literal, get_args

Format = Literal["csv", "parquet", "json", "optuna", "mlflow"]
FORMATS: tuple[Format, ...] = get_args(Format)
SUFFIXES = {"csv": ".csv", "parquet": ".parquet", "json": ".json", "optuna": ".db"}
"""Of a format that is a file, how the name of that ends."""

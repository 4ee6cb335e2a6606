"""What a problem is: variables, named metrics, and which metrics are objectives and limits.

A user's problem is one class with ``variables``, ``objectives`` and ``evaluate``:

    class MyProblem(SearchProblem):
        variables = {"lr": Real(1e-4, 1e-1, log=True), "n_layers": Integer(1, 3)}
        objectives = {"accuracy": "max", "latency_ms": "min"}

        def evaluate(self, config): ...
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pymoo.core.problem import Problem

from evo_moo.errors import MetricError, ProblemError
from evo_moo.goals import Goals, Metric, checked_metrics
from evo_moo.space import SearchSpace, Variable

Array = npt.NDArray[np.float64]
Configuration = dict[str, Any]
Metrics = dict[str, float]


class SearchProblem(Problem):
    """A search space with named metrics; also a pymoo ``Problem`` over the encoded columns.

    A subclass sets ``variables`` and ``objectives``, and defines ``evaluate``. Both may be set in its
    ``__init__`` too, whose keyword arguments are the problem's options; they are read once it has run.

    Attributes:
        variables: Name to ``Real``, ``Integer``, ``Choice`` or ``Boolean``.
        forbidden: Name of a rule to a predicate; a configuration for which it is true is never asked.
        objectives: Name of a metric to ``"min"`` or ``"max"``.
        constraints: Name of a metric to ``{"at_most": x}``, ``{"at_least": x}`` or both.
        metrics: Name to ``Metric`` for what else ``evaluate`` returns, or to describe a metric.
        batches: Whether ``evaluate_batch`` exists and costs less than a worker process would.
    """

    variables: ClassVar[Mapping[str, Variable]] = {}
    forbidden: ClassVar[Mapping[str, Callable[[Configuration], bool]]] = {}
    objectives: ClassVar[Mapping[str, str]] = {}
    constraints: ClassVar[Mapping[str, Mapping[str, float]]] = {}
    metrics: ClassVar[Mapping[str, Metric]] = {}
    batches: ClassVar[bool] = False

    def __init__(self) -> None:
        """Take the problem's options; the declarations are read when they are first needed."""

"""Multi-objective search of neural architectures and training hyperparameters.

The names below are loaded when they are first used, so that ``import evo_moo`` and the command line stay quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evo_moo.api import resume, search
    from evo_moo.callbacks import Callback
    from evo_moo.confirmation import confirm
    from evo_moo.errors import EvoMooError
    from evo_moo.export import export_run
    from evo_moo.goals import Metric
    from evo_moo.ladder import Fidelity
    from evo_moo.optimizer import Optimizer
    from evo_moo.problem import FunctionProblem, SearchProblem
    from evo_moo.report import write_report
    from evo_moo.result import Result
    from evo_moo.space import Boolean, Choice, Integer, Real, SearchSpace

__all__ = [
    "Boolean",
    "Callback",
    "Choice",
    "EvoMooError",
    "Fidelity",
    "FunctionProblem",
    "Integer",
    "Metric",
    "Optimizer",
    "Real",
    "Result",
    "SearchProblem",
    "SearchSpace",
    "confirm",
    "export_run",
    "resume",
    "search",
    "write_report",
]

_HOME = {
    "api": ("resume", "search"),
    "callbacks": ("Callback",),
    "confirmation": ("confirm",),
    "errors": ("EvoMooError",),
    "export": ("export_run",),
    "goals": ("Metric",),
    "ladder": ("Fidelity",),
    "optimizer": ("Optimizer",),
    "problem": ("FunctionProblem", "SearchProblem"),
    "report": ("write_report",),
    "result": ("Result",),
    "space": ("Boolean", "Choice", "Integer", "Real", "SearchSpace"),
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("evo-moo")
    for module, names in _HOME.items():
        if name in names:
            return getattr(importlib.import_module(f"evo_moo.{module}"), name)
    raise AttributeError(f"module 'evo_moo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

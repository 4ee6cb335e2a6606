"""Multi-objective search of neural architectures and training hyperparameters.

The names below are loaded when they are first used, so that ``import evo_moo`` and the command line stay quick.
"""

from typing import TYPE_CHECKING, Any

from evo_moo.lazy import lazy_names

if TYPE_CHECKING:
    from evo_moo.analysis.choice import pick
    from evo_moo.analysis.result import Result
    from evo_moo.errors import EvoMooError
    from evo_moo.optimizer.optimizer import Optimizer
    from evo_moo.plugins import load_problem
    from evo_moo.problem.fidelity import Fidelity
    from evo_moo.problem.metrics import Metric
    from evo_moo.problem.search_problem import FunctionProblem, SearchProblem
    from evo_moo.report.export import export_run
    from evo_moo.report.page import write_report
    from evo_moo.run.api import resume, search
    from evo_moo.run.callbacks import Callback
    from evo_moo.run.confirmation import confirm
    from evo_moo.space.search_space import SearchSpace
    from evo_moo.space.variables import Boolean, Choice, Integer, Real

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
    "load_problem",
    "pick",
    "resume",
    "search",
    "write_report",
]

_load = lazy_names(
    __name__,
    {
        "analysis.choice": ("pick",),
        "analysis.result": ("Result",),
        "errors": ("EvoMooError",),
        "optimizer.optimizer": ("Optimizer",),
        "plugins": ("load_problem",),
        "problem": ("Fidelity", "FunctionProblem", "Metric", "SearchProblem"),
        "report.export": ("export_run",),
        "report.page": ("write_report",),
        "run.api": ("resume", "search"),
        "run.callbacks": ("Callback",),
        "run.confirmation": ("confirm",),
        "space": ("Boolean", "Choice", "Integer", "Real", "SearchSpace"),
    },
)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("evo-moo")
    return _load(name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

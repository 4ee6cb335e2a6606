"""Multi-objective search of neural architectures and training hyperparameters.

The names below are loaded when they are first used, so that ``import evo_moo`` and the command line stay quick.
"""

from typing import TYPE_CHECKING, Any

from evo_moo.lazy import lazy_names

if TYPE_CHECKING:
    from evo_moo.analysis.choice import pick as pick
    from evo_moo.analysis.result import Result as Result
    from evo_moo.errors import EvoMooError as EvoMooError
    from evo_moo.errors import JobError as JobError
    from evo_moo.errors import MetricError as MetricError
    from evo_moo.errors import NoChoiceError as NoChoiceError
    from evo_moo.errors import PluginError as PluginError
    from evo_moo.errors import ProblemError as ProblemError
    from evo_moo.errors import RunFolderError as RunFolderError
    from evo_moo.errors import RunStoppedError as RunStoppedError
    from evo_moo.errors import SearchFailedError as SearchFailedError
    from evo_moo.errors import SpaceError as SpaceError
    from evo_moo.errors import StateError as StateError
    from evo_moo.errors import SurrogateError as SurrogateError
    from evo_moo.errors import UsageError as UsageError
    from evo_moo.optimizer.optimizer import Optimizer as Optimizer
    from evo_moo.plugins import load_problem as load_problem
    from evo_moo.problem.command.problem import CommandProblem as CommandProblem
    from evo_moo.problem.fidelity import Fidelity as Fidelity
    from evo_moo.problem.function_problem import FunctionProblem as FunctionProblem
    from evo_moo.problem.metrics import Metric as Metric
    from evo_moo.problem.points import Point as Point
    from evo_moo.problem.search_problem import SearchProblem as SearchProblem
    from evo_moo.problem.trials.trial import TrialPruned as TrialPruned
    from evo_moo.report.export import export_run as export_run
    from evo_moo.report.page import write_report as write_report
    from evo_moo.run.api import resume as resume
    from evo_moo.run.api import search as search
    from evo_moo.run.callbacks import Callback as Callback
    from evo_moo.run.confirmation import confirm as confirm
    from evo_moo.space.kinds.ordering import Ordering as Ordering
    from evo_moo.space.kinds.simplex import Simplex as Simplex
    from evo_moo.space.kinds.subset import Subset as Subset
    from evo_moo.space.search_space import SearchSpace as SearchSpace
    from evo_moo.space.variables import Boolean as Boolean
    from evo_moo.space.variables import Choice as Choice
    from evo_moo.space.variables import Integer as Integer
    from evo_moo.space.variables import Real as Real

_load, __all__ = lazy_names(
    __name__,
    {
        "analysis.choice": "pick",
        "analysis.result": "Result",
        "errors": "EvoMooError JobError MetricError NoChoiceError PluginError ProblemError RunFolderError "
        "RunStoppedError SearchFailedError SpaceError StateError SurrogateError UsageError",
        "optimizer.optimizer": "Optimizer",
        "plugins": "load_problem",
        "problem.command.problem": "CommandProblem",
        "problem": "Fidelity FunctionProblem Metric Point SearchProblem",
        "problem.trials.trial": "TrialPruned",
        "report.export": "export_run",
        "report.page": "write_report",
        "run.api": "resume search",
        "run.callbacks": "Callback",
        "run.confirmation": "confirm",
        "space": "Boolean Choice Integer Ordering Real SearchSpace Simplex Subset",
    },
)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("evo-moo")
    return _load(name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

"""What is optimised: SearchProblem, goals, metrics, fidelity, learning curve, pymoo adapter."""

from typing import TYPE_CHECKING

from evo_moo.lazy import lazy_names

if TYPE_CHECKING:
    from evo_moo.problem.fidelity import Fidelity
    from evo_moo.problem.goals import Goals
    from evo_moo.problem.learning_curve import Report
    from evo_moo.problem.metrics import Metric, Metrics
    from evo_moo.problem.pymoo_problem import PymooProblem
    from evo_moo.problem.search_problem import Configuration, FunctionProblem, SearchProblem
    from evo_moo.problem.weights import Weights

__all__ = [
    "Configuration",
    "Fidelity",
    "FunctionProblem",
    "Goals",
    "Metric",
    "Metrics",
    "PymooProblem",
    "Report",
    "SearchProblem",
    "Weights",
]

if not TYPE_CHECKING:  # else any name would pass the type check
    __getattr__ = lazy_names(
        __name__,
        {
            "fidelity": ("Fidelity",),
            "goals": ("Goals",),
            "learning_curve": ("Report",),
            "metrics": ("Metric", "Metrics"),
            "pymoo_problem": ("PymooProblem",),
            "search_problem": ("Configuration", "FunctionProblem", "SearchProblem"),
            "weights": ("Weights",),
        },
    )

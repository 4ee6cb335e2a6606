"""What is optimised: SearchProblem, goals, metrics, fidelity, learning curve, pymoo adapter."""

from typing import TYPE_CHECKING

from evo_moo.lazy import lazy_names

if TYPE_CHECKING:
    from evo_moo.problem.fidelity import Fidelity as Fidelity
    from evo_moo.problem.function_problem import FunctionProblem as FunctionProblem
    from evo_moo.problem.goals import Goals as Goals
    from evo_moo.problem.learning_curve import Report as Report
    from evo_moo.problem.metrics import Metric as Metric
    from evo_moo.problem.metrics import Metrics as Metrics
    from evo_moo.problem.optional_methods import TrainedModel as TrainedModel
    from evo_moo.problem.points import Point as Point
    from evo_moo.problem.pymoo_problem import PymooProblem as PymooProblem
    from evo_moo.problem.search_problem import Configuration as Configuration
    from evo_moo.problem.search_problem import SearchProblem as SearchProblem
    from evo_moo.problem.weights import Weights as Weights
else:
    __getattr__, __all__ = lazy_names(
        __name__,
        {
            "fidelity": "Fidelity",
            "goals": "Goals",
            "learning_curve": "Report",
            "metrics": "Metric Metrics",
            "optional_methods": "TrainedModel",
            "points": "Point",
            "pymoo_problem": "PymooProblem",
            "function_problem": "FunctionProblem",
            "search_problem": "Configuration SearchProblem",
            "weights": "Weights",
        },
    )

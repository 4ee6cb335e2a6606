"""For the test suites of people who write problems."""

from collections.abc import Mapping
from typing import Any

from evo_moo.checking import Check
from evo_moo.checking import check_problem as _check
from evo_moo.errors import ProblemError

__all__ = ["check_problem"]


def check_problem(problem: Any, options: Mapping[str, Any] | None = None, n_evals: int = 4) -> Check:
    """Check a problem as ``evo-moo check`` does, in worker processes.

    Args:
        problem: A reference, a ``SearchProblem`` or a pymoo ``Problem``.
        options: Keyword arguments of the class behind a reference.
        n_evals: Number of different configurations to evaluate.

    Returns:
        What was seen, for further assertions.

    Raises:
        ProblemError: The problem has faults; all are listed.
    """
    check = _check(problem, options, n_evals)
    if check.faults:
        raise ProblemError("\n".join(check.faults))
    return check

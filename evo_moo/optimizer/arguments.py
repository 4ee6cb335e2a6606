"""The check of an optimizer's arguments, and their defaults."""

from numbers import Integral
from typing import Any, get_args

from evo_moo.optimizer.algorithms import FURTHER, PARETO, AlgorithmName
from evo_moo.optimizer.given_algorithm import GIVEN, given_faults, is_given, made_by_name
from evo_moo.optimizer.pace import Mode
from evo_moo.problem.goals import Goals
from evo_moo.problem.search_problem import SearchProblem


def default_pop_size(as_pymoo: bool) -> int:
    """Return the size of a population: pymoo's own where the search is pymoo's, else one for trainings."""
    return 100 if as_pymoo else 20


def is_pymoos(algorithm: Any) -> bool:
    """Return whether the populations on a plain problem are those that pymoo makes."""
    return is_given(algorithm) or algorithm in (*PARETO, *FURTHER) or str(algorithm).startswith(GIVEN)


def object_of(algorithm: Any, n_obj: int, pop_size: int) -> Any:
    """Return pymoo's object of an algorithm that is one, or is named and has one; else the name."""
    return made_by_name(algorithm, n_obj, pop_size) if algorithm in FURTHER else algorithm


def argument_faults(
    problem: Any, algorithm: Any, pop_size: Any, seed: Any, mode: Any, grid_points: Any, goals: Goals | None = None
) -> list[str]:
    """Return every fault of an optimizer's arguments."""
    faults = []
    is_problem = hasattr(problem, "space") and hasattr(problem, "goals")
    if not is_problem:
        faults.append(f"`problem` must be a SearchProblem, but is {problem!r}; evo_moo.load_problem builds one")
    names = (*get_args(AlgorithmName), *FURTHER)
    if not is_given(algorithm) and algorithm not in names:
        faults.append(f"`algorithm` must be one of {', '.join(names)}, or an object of pymoo's, but is {algorithm!r}")
    if mode not in get_args(Mode):
        faults.append(f"`mode` must be one of {', '.join(get_args(Mode))}, but is {mode!r}")
    if pop_size is not None and (not isinstance(pop_size, Integral) or pop_size < 4):
        faults.append(f"`pop_size` must be a whole number of at least 4, but is {pop_size!r}")
    if not isinstance(seed, Integral) or seed < 0:
        faults.append(f"`seed` must be a whole number of at least 0, but is {seed!r}")
    if grid_points is not None and algorithm != "grid":
        faults.append(f"`grid_points` must go with algorithm = 'grid', but it is {algorithm!r}")
    return faults or (pymoo_faults(algorithm, problem, goals or problem.goals, pop_size, mode) if is_problem else [])


def pymoo_faults(algorithm: Any, problem: SearchProblem, goals: Goals, pop_size: int | None, mode: str) -> list[str]:
    """Return why an algorithm that is pymoo's own does not fit a search; none for evo-moo's."""
    try:
        known = object_of(algorithm, len(goals.objectives), pop_size or default_pop_size(problem.is_plain))
    except Exception as error:  # of AGE-MOEA-II without numba
        return [f"`algorithm` must be installed, but {algorithm!r} is not: {error}"]
    if not is_given(known):
        return []
    faults, name = given_faults(known, problem, goals), type(known).__name__
    if is_given(algorithm) and pop_size is not None and pop_size != getattr(algorithm, "pop_size", pop_size):
        faults.append(f"`pop_size` must be that of the object, {algorithm.pop_size}, or left out, but is {pop_size}")
    if mode != "generational":
        faults.append(f"`mode` must be 'generational' with {name}, which asks as pymoo lets it, but is {mode!r}")
    return faults

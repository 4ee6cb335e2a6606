"""The check of an optimizer's arguments, and their defaults."""

from numbers import Integral
from typing import Any, get_args

from evo_moo.optimizer.algorithms import AlgorithmName
from evo_moo.optimizer.pace import Mode


def default_pop_size(as_pymoo: bool) -> int:
    """Return the size of a population: pymoo's own where the search is pymoo's, else one for trainings."""
    return 100 if as_pymoo else 20


def argument_faults(problem: Any, algorithm: Any, pop_size: Any, seed: Any, mode: Any, grid_points: Any) -> list[str]:
    """Return every fault of an optimizer's arguments."""
    faults = []
    if not hasattr(problem, "space") or not hasattr(problem, "goals"):
        faults.append(f"`problem` must be a SearchProblem, but is {problem!r}; evo_moo.load_problem builds one")
    for name, value, known in (("algorithm", algorithm, AlgorithmName), ("mode", mode, Mode)):
        if value not in get_args(known):
            faults.append(f"`{name}` must be one of {', '.join(get_args(known))}, but is {value!r}")
    if pop_size is not None and (not isinstance(pop_size, Integral) or pop_size < 4):
        faults.append(f"`pop_size` must be a whole number of at least 4, but is {pop_size!r}")
    if not isinstance(seed, Integral) or seed < 0:
        faults.append(f"`seed` must be a whole number of at least 0, but is {seed!r}")
    if grid_points is not None and algorithm != "grid":
        faults.append(f"`grid_points` must go with algorithm = 'grid', but it is {algorithm!r}")
    return faults

"""Algorithms of pymoo that a user hands over, or names: what they are, and whether they fit a search."""

import copy
import hashlib
import importlib
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
from pymoo.algorithms.base.genetic import GeneticAlgorithm
from pymoo.algorithms.moo.moead import MOEAD
from pymoo.core.algorithm import Algorithm, LoopwiseAlgorithm
from pymoo.core.termination import NoTermination

from evo_moo.optimizer.algorithms import Parentage, reference_directions
from evo_moo.problem.encoded_problem import encoded_problem
from evo_moo.problem.goals import Goals
from evo_moo.problem.search_problem import SearchProblem

FurtherName = Literal["unsga3", "agemoea2", "smsemoa", "spea2", "ctaea", "moead"]
_FURTHER = {
    "unsga3": ("unsga3", "UNSGA3", True, True),
    "agemoea2": ("age2", "AGEMOEA2", False, True),  # its module needs numba
    "smsemoa": ("sms", "SMSEMOA", False, True),
    "spea2": ("spea2", "SPEA2", False, True),
    "ctaea": ("ctaea", "CTAEA", True, False),
    "moead": ("moead", "MOEAD", True, False),
}
"""Names to modules and classes of pymoo, and whether these take reference directions and the size of the population."""
Given = FurtherName | Algorithm
"""An algorithm of pymoo's own: the name of one that is made with its defaults, or an object."""
GIVEN = "the pymoo object "
"""How a job names an algorithm that is a Python object: no run folder holds one."""


def is_given(algorithm: Any) -> bool:
    """Return whether an algorithm is an object of pymoo's."""
    return isinstance(algorithm, Algorithm)


def made_by_name(name: FurtherName, n_obj: int, pop_size: int) -> GeneticAlgorithm:
    """Make an algorithm with pymoo's defaults; those with reference directions have as many as fit the population."""
    place, kind, with_directions, with_size = _FURTHER[name]
    made = getattr(importlib.import_module(f"pymoo.algorithms.moo.{place}"), kind)
    size = {"pop_size": pop_size} if with_size else {}
    return made(*([reference_directions(n_obj, pop_size)] if with_directions else []), **size)


def described(algorithm: Algorithm) -> str:
    """Name an algorithm's object so that another one, of another class or with other settings, has another name."""
    digest = hashlib.blake2b(digest_size=4)
    for part in _parts(algorithm, {}):
        digest.update(part + b"\0")
    return f"{GIVEN}{type(algorithm).__name__} ({digest.hexdigest()})"


def _parts(value: Any, met: dict[int, tuple[int, Any]]) -> Iterator[bytes]:
    """Yield what makes up a value: plain data, arrays, the names of functions and classes, and what objects hold."""
    if value is None or isinstance(value, bool | int | float | str | np.generic):
        yield repr(value).encode()
        return
    if id(value) in met:
        yield f"met {met[id(value)][0]}".encode()
        return
    met[id(value)] = len(met), value  # kept, lest another object has its id
    yield _name(value if callable(value) and hasattr(value, "__qualname__") else type(value)).encode()
    if isinstance(value, np.ndarray) and value.dtype != object:
        yield f"{value.dtype} {value.shape}".encode() + value.tobytes()
    elif isinstance(value, Mapping):
        for key in sorted(value, key=repr):
            yield repr(key).encode()
            yield from _parts(value[key], met)
    elif isinstance(value, list | tuple | np.ndarray):
        for each in value:
            yield from _parts(each, met)
    elif isinstance(value, set | frozenset):
        yield repr(sorted(value, key=repr)).encode()
    elif hasattr(value, "__dict__") and not isinstance(value, type):
        yield from _parts(dict(vars(value)), met)


def _name(named: Any) -> str:
    return f"{getattr(named, '__module__', '')}.{getattr(named, '__qualname__', '')}"


def given_faults(algorithm: Any, problem: SearchProblem, goals: Goals) -> list[str]:
    """Return why an algorithm's object does not fit a problem; it is not changed."""
    if not isinstance(algorithm, GeneticAlgorithm):
        rule = "`algorithm` must be a name, or an object of a pymoo algorithm with a population, such as NSGA2(100)"
        return [f"{rule}, but is {algorithm!r}"]
    name = type(algorithm).__name__
    if algorithm.is_initialized or algorithm.problem is not None:
        return [f"`algorithm` must be an object that has not begun, but this {name} has; make a new one"]
    if goals.contexts:
        return [f"`algorithm` must be one of evo-moo's own with contexts, such as 'nsga2', but is pymoo's {name}"]
    if problem.post_training:
        rule = "`algorithm` must be one of evo-moo's own with post-training variables, such as 'nsga2'"
        return [f"{rule}, but is pymoo's {name}"]
    n_obj, directions = len(goals.objectives), getattr(algorithm, "ref_dirs", None)
    if directions is not None and np.shape(directions)[-1] != n_obj:
        return [f"`algorithm` must have reference directions of {n_obj} objectives, but has {np.shape(directions)[-1]}"]
    try:
        begun(algorithm, problem, goals, {}, 1)
    except Exception as error:  # pymoo's algorithms say in many ways what they cannot do
        return [f"`algorithm` must fit the problem, but {name} says: {' '.join(str(error).split())}"]
    return []


def replaces_members(algorithm: Any) -> bool:
    """Return whether an algorithm puts children in the places of single members, and so needs all that it asked for."""
    return isinstance(algorithm, MOEAD)


def is_loopwise(algorithm: GeneticAlgorithm) -> bool:
    """Return whether an algorithm goes through its population, and wants each outcome before it asks for the next."""
    return type(algorithm)._infill is LoopwiseAlgorithm._infill


def begun(
    algorithm: GeneticAlgorithm, problem: SearchProblem, goals: Goals, operators: Mapping[str, Any], seed: int
) -> GeneticAlgorithm:
    """Return a copy of an algorithm at its beginning, with other operators where there are some."""
    algorithm = copy.deepcopy(algorithm)
    if "sampling" in operators:
        algorithm.initialization.sampling = operators["sampling"]
    for name in ("crossover", "mutation"):
        if name in operators:
            setattr(algorithm.mating, name, operators[name])
    if "eliminate_duplicates" in operators:
        algorithm.mating.eliminate_duplicates = algorithm.initialization.eliminate_duplicates = operators[
            "eliminate_duplicates"
        ]
    algorithm.mating.crossover = Parentage(algorithm.mating.crossover)
    algorithm.setup(encoded_problem(problem.space, goals), termination=NoTermination(), seed=seed)
    return algorithm

"""Time 1,000 offspring of a 20-variable mixed space: evo-moo's operators beside pymoo's mixed mating.

Run: python tests/benchmarks/bench_operators.py

Both get the same parents and random selection, interleaved in one process. Duplicate elimination is part of
what a search pays, so both rows are shown: without it, and with each side's own. Then follows a space of each kind of
variable: 20 of one column, 10 numbers and 10 that depend on these, or one of 20 columns.
"""

import functools
import gc
import statistics
import time
from collections.abc import Callable

import numpy as np
from pymoo.core import variable as pymoo_variable
from pymoo.core.duplicate import NoDuplicateElimination
from pymoo.core.mating import Mating
from pymoo.core.mixed import MixedVariableDuplicateElimination, MixedVariableMating
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.operators.selection.rnd import RandomSelection

from evo_moo.space.kinds.ordering import Ordering
from evo_moo.space.kinds.simplex import Simplex
from evo_moo.space.kinds.subset import Subset
from evo_moo.space.operators import space_operators
from evo_moo.space.search_space import SearchSpace
from evo_moo.space.variables import Boolean, Choice, Integer, Real

N_OFFSPRING = 1000
POP_SIZE = 100
REPEATS = 15
TARGET_MS = 20
TARGET_RATIO = 10


def mixed_space() -> SearchSpace:
    """Build the space: 6 reals, 6 integers, 5 choices, 3 booleans."""
    reals = {f"r{i}": Real(1e-4, 1.0, log=i < 3) for i in range(6)}
    integers = {f"i{i}": Integer(1, 128, log=i < 3) for i in range(6)}
    choices = {f"c{i}": Choice(["a", "b", "c", "d"], ordered=i == 0) for i in range(5)}
    return SearchSpace(reals | integers | choices | {f"b{i}": Boolean() for i in range(3)})


def pymoo_problem(space: SearchSpace) -> Problem:
    """Declare the same variables in pymoo's own words."""
    variables = {}
    for name, kind in space.variables.items():
        if isinstance(kind, Real):
            variables[name] = pymoo_variable.Real(bounds=(kind.low, kind.high))
        elif isinstance(kind, Integer):
            variables[name] = pymoo_variable.Integer(bounds=(kind.low, kind.high))
        elif isinstance(kind, Choice):
            variables[name] = pymoo_variable.Choice(options=list(kind.options))
        else:
            variables[name] = pymoo_variable.Binary()
    return Problem(vars=variables, n_obj=2)


def seconds(work: Callable[[], object]) -> float:
    """Time one call, so that neither side pays for the other's garbage."""
    gc.collect()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(eliminate: bool, repeats: int) -> tuple[list[float], list[float]]:
    """Give the seconds of evo-moo's and of pymoo's runs, taken in turns."""
    space = mixed_space()
    rng = np.random.default_rng(1)
    operators = space_operators(space)
    del operators["sampling"]
    if not eliminate:
        operators["eliminate_duplicates"] = NoDuplicateElimination()
    ours = Mating(RandomSelection(), **operators)
    theirs = MixedVariableMating(
        eliminate_duplicates=MixedVariableDuplicateElimination() if eliminate else NoDuplicateElimination()
    )
    X = space.sample(POP_SIZE, rng)
    our_pop, our_problem = Population.new("X", X), Problem(n_var=space.n_var, xl=space.xl, xu=space.xu)
    their_pop, their_problem = Population.new("X", space.decode(X)), pymoo_problem(space)
    taken: tuple[list[float], list[float]] = ([], [])
    ours.do(our_problem, our_pop, N_OFFSPRING, random_state=rng)
    for _ in range(repeats):
        taken[0].append(seconds(lambda: ours.do(our_problem, our_pop, N_OFFSPRING, random_state=rng)))
        taken[1].append(seconds(lambda: theirs.do(their_problem, their_pop, N_OFFSPRING, random_state=rng)))
    return taken


def spaces_of_kinds(n: int = 20) -> dict[str, SearchSpace]:
    """Build a space of each kind of variable, all of as many columns."""
    options = list(range(n))
    kinds = {
        "subset": Subset(options),
        "subset of 3 to 6": Subset(options, at_least=3, at_most=6),
        "ordering": Ordering(options),
        "round trip": Ordering(options, tour=True),
        "shares": Simplex(n),
    }
    each = {
        "reals": Real(0, 1),
        "reals in log scale": Real(1e-6, 1e-2, log=True),
        "booleans": Boolean(),
        "steps": Real(0, 1, step=0.05),
        "a 0 beside a range": Real(1e-6, 1e-2, log=True, zero=True),
    }
    depending = {
        "bounds by name": [Integer(1, f"v{i}") for i in range(n // 2)],
        "conditions": [Integer(1, 64, when={f"v{i}": {"at_least": 32}}) for i in range(n // 2)],
        "alternatives": [Integer(1, 64, when=[{f"v{i}": 1}, {"v0": {"at_most": 32}}]) for i in range(n // 2)],
    }
    first = {f"v{i}": Integer(1, 64) for i in range(n // 2)}
    return (
        {name: SearchSpace({f"v{i}": kind for i in options}) for name, kind in each.items()}
        | {name: SearchSpace(first | {f"w{i}": w for i, w in enumerate(others)}) for name, others in depending.items()}
        | {name: SearchSpace({"v": kind}) for name, kind in kinds.items()}
    )


def print_kinds() -> None:
    """Print the time of offspring in a space of each kind, duplicates dropped; all take turns."""
    spaces, rng = spaces_of_kinds(), np.random.default_rng(1)
    work = {}
    for name, space in spaces.items():
        operators = space_operators(space)
        del operators["sampling"]
        mating = Mating(RandomSelection(), **operators)
        pop, problem = Population.new("X", space.sample(POP_SIZE, rng)), Problem(n_var=space.n_var, xl=0, xu=1)
        work[name] = functools.partial(mating.do, problem, pop, N_OFFSPRING, random_state=rng)
    taken: dict[str, list[float]] = {name: [] for name in spaces}
    for _ in range(REPEATS):
        for name, each in work.items():
            taken[name].append(seconds(each))
    print(f"\n{N_OFFSPRING} offspring, 20 columns, duplicates dropped\n{'variable':<20}{'ms':>8}{'beside reals':>15}")
    for name, each in taken.items():
        ratio = statistics.median(one / other for one, other in zip(each, taken["reals"], strict=True))
        print(f"{name:<20}{statistics.median(each) * 1e3:>8.1f}{ratio:>14.2f}x")


def main() -> None:
    """Print the tables."""
    print(f"{N_OFFSPRING} offspring, 20 mixed variables; targets: < {TARGET_MS} ms and >= {TARGET_RATIO}x")
    print(f"{'duplicates':<12}{'evo-moo ms':>12}{'pymoo ms':>12}{'ratio':>8}{'best-worst ratio':>20}")
    for label, eliminate, repeats in (("kept", False, REPEATS), ("dropped", True, 7)):
        ours, theirs = compare(eliminate, repeats)
        ratios = sorted(their / our for our, their in zip(ours, theirs, strict=True))
        medians = statistics.median(ours), statistics.median(theirs)
        print(
            f"{label:<12}{medians[0] * 1e3:>12.1f}{medians[1] * 1e3:>12.1f}{statistics.median(ratios):>7.1f}x"
            f"{ratios[-1]:>12.1f} - {ratios[0]:.1f}"
        )
    print_kinds()


if __name__ == "__main__":
    main()

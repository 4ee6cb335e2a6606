"""Algorithms of pymoo's own: as by ``pymoo.optimize.minimize``, by name and as objects, resumed exactly."""

import importlib

import numpy as np
import pytest
from pymoo.algorithms.moo.ctaea import CTAEA
from pymoo.algorithms.moo.moead import MOEAD, ParallelMOEAD
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.moo.nsga3 import NSGA3
from pymoo.algorithms.moo.sms import SMSEMOA
from pymoo.algorithms.moo.spea2 import SPEA2
from pymoo.algorithms.moo.unsga3 import UNSGA3
from pymoo.optimize import minimize
from pymoo.problems import get_problem
from pymoo.util.ref_dirs import get_reference_directions

import evo_moo
from evo_moo.errors import JobError, StateError
from evo_moo.optimizer.given_algorithm import described
from evo_moo.optimizer.optimizer import Optimizer
from evo_moo.problem.pymoo_problem import as_search_problem
from evo_moo.storage.checkpoint import from_json, to_json

N, POP = 60, 12


def of_numba(module):
    pytest.importorskip("numba")
    return importlib.import_module(f"pymoo.algorithms.moo.{module}")


def directions():
    return get_reference_directions("das-dennis", 2, n_partitions=POP - 1)


ALGORITHMS = {
    "NSGA2": lambda: NSGA2(POP),
    "NSGA3": lambda: NSGA3(directions(), POP),
    "UNSGA3": lambda: UNSGA3(directions(), pop_size=POP),
    "AGEMOEA": lambda: of_numba("age").AGEMOEA(POP),
    "AGEMOEA2": lambda: of_numba("age2").AGEMOEA2(POP),
    "SMSEMOA": lambda: SMSEMOA(POP),
    "SMSEMOA-steady": lambda: SMSEMOA(POP, n_offsprings=1),
    "SPEA2": lambda: SPEA2(POP),
    "CTAEA": lambda: CTAEA(directions()),
    "MOEAD": lambda: MOEAD(directions(), n_neighbors=5),
    "ParallelMOEAD": lambda: ParallelMOEAD(directions(), n_neighbors=5),
}
WITHOUT_CONSTRAINTS = {"MOEAD", "ParallelMOEAD"}
each = pytest.mark.parametrize("name", ALGORITHMS)


def rows(F):
    return sorted(map(tuple, np.unique(np.round(F, 12), axis=0).tolist()))


@each
@pytest.mark.parametrize("problem", ["zdt1", "bnh"])
def test_result_is_that_of_pymoo(name, problem):
    make, plain = ALGORITHMS[name], get_problem(problem, **({"n_var": 5} if problem == "zdt1" else {}))
    if plain.has_constraints() and name in WITHOUT_CONSTRAINTS:
        with pytest.raises(JobError, match="MOEAD says: This implementation of MOEAD does not support any constraints"):
            evo_moo.search(plain, make(), n_evals=N, seed=3)
        return
    theirs = minimize(plain, make(), ("n_evals", N), seed=3)
    ours = evo_moo.search(plain, make(), n_evals=N, seed=3)
    assert rows(ours.F) == rows(theirs.F)


def told_alike(optimizer, problem, n):
    """Tell two configurations, then ask and tell until there are ``n`` candidates; every seventh fails."""
    asked = []
    for known in problem.space.decode(problem.space.sample(0 if optimizer.n_asked else 2, np.random.default_rng(1))):
        optimizer.tell(known, problem.evaluate(known))
    while optimizer.n_asked < n:
        candidates = optimizer.ask(n - optimizer.n_asked)
        assert candidates
        for candidate in candidates:
            asked.append(candidate.x.tobytes())
            metrics = problem.evaluate(candidate.configuration)
            optimizer.tell(candidate.id, None if candidate.id % 7 == 0 else metrics)
    return asked


class Mixed(evo_moo.SearchProblem):
    """Has all kinds of variables."""

    variables = {
        "n": evo_moo.Integer(1, 9),
        "lr": evo_moo.Real(1e-4, 1, log=True),
        "act": evo_moo.Choice(["a", "b", "c"]),
        "m": evo_moo.Integer(1, 9, when={"n": [5, 6, 7, 8, 9]}),
    }
    objectives = {"f": "min", "g": "max"}

    def evaluate(self, config):
        f = config["n"] + config["lr"] + (config["act"] == "b")
        return {"f": f, "g": f * config.get("m", 1) - config["n"] ** 2}


@each
@pytest.mark.parametrize("kind", ["plain", "mixed"])
def test_resumed_algorithm_asks_for_the_same(name, kind):
    make = ALGORITHMS[name]
    problem = as_search_problem(get_problem("zdt1", n_var=4)) if kind == "plain" else Mixed()
    whole = told_alike(Optimizer(problem, make(), seed=5), problem, 60)
    for n in (5, 20, 31):
        first = Optimizer(problem, make(), seed=5)
        begun = told_alike(first, problem, n)
        second = Optimizer(problem, make(), seed=5)
        second.load(from_json(to_json(first.dump())))
        assert begun + told_alike(second, problem, 60) == whole


def test_resume_with_another_object_is_refused():
    problem = as_search_problem(get_problem("zdt1", n_var=4))
    first, other = Optimizer(problem, ALGORITHMS["MOEAD"](), seed=5), Optimizer(problem, MOEAD(directions()), seed=5)
    told_alike(first, problem, 30)
    with pytest.raises(StateError, match="a state must be of the kind"):
        other.load(first.dump())
    with pytest.raises(StateError, match="must ask for the same when it is told the same"):
        other.load(first.dump() | {"kind": other.dump()["kind"]})


@each
def test_told_configurations_may_be_the_first_population(name):
    problem, make = Mixed(), ALGORITHMS[name]
    known = problem.space.decode(problem.space.sample(POP + 2, np.random.default_rng(2)))
    optimizer = Optimizer(problem, make(), seed=5)
    for i, configuration in enumerate(known, 1):
        optimizer.tell(configuration, problem.evaluate(configuration))
        if i == POP:
            assert {*optimizer.population_ids()} == {*range(1, POP + 1)}
    told_alike(optimizer, problem, 3 * POP)
    assert max(optimizer.population_ids()) > POP


def test_description_tells_objects_apart():
    assert described(NSGA2(20)) == described(NSGA2(20)) != described(NSGA2(24))
    assert described(ALGORITHMS["MOEAD"]()) != described(MOEAD(directions()))

import numpy as np
import pytest
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.operators.crossover.sbx import SBX

from evo_moo.errors import UsageError
from evo_moo.optimizer.algorithms import Parentage
from evo_moo.optimizer.baselines import Fixed
from evo_moo.optimizer.optimizer import Optimizer
from evo_moo.plugins import load_problem
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.space.operators import SpaceCrossover
from evo_moo.space.search_space import SearchSpace
from evo_moo.space.variables import Choice, Integer, Real


class Mixed(SearchProblem):
    variables = {
        "n": Integer(1, 9),
        "lr": Real(1e-4, 1, log=True),
        "kind": Choice(["a", "b", "c"]),
        "m": Integer(1, 99, when={"kind": ["b", "c"]}),
    }
    objectives = {"a": "min", "b": "max"}
    constraints = {"a": {"at_most": 9}}

    def evaluate(self, config):
        return {"a": config["n"] * config["lr"] + config.get("m", 0) / 9, "b": config["n"] - config.get("m", 5)}


def crossed(space, crossover, n_matings=50):
    """Cross random pairs; give the children's rows, and by ids the rows of all parents."""
    X = space.sample(2 * n_matings, np.random.default_rng(1))
    pop = Population.new("X", X)
    for i, individual in enumerate(pop):
        individual.data["id"] = i
    pairs = pop[np.random.default_rng(2).permutation(2 * n_matings).reshape(-1, 2)]
    problem = Problem(n_var=space.n_var, n_obj=2, xl=space.xl, xu=space.xu)
    return Parentage(crossover)(problem, pairs, random_state=np.random.default_rng(3)), X


def test_every_value_of_a_child_comes_from_the_parents_noted():
    space = SearchSpace({f"c{i}": Choice(list(range(50))) for i in range(6)})
    children, X = crossed(space, SpaceCrossover(space, prob=1.0))
    assert {len(child.data["parents"]) for child in children} == {1, 2}
    for child in children:
        assert (X[list(child.data["parents"])] == child.X).any(axis=0).all()


@pytest.mark.parametrize("crossover", [lambda space: SpaceCrossover(space, prob=0.0), lambda space: SBX(prob=0.0)])
def test_a_copy_has_one_parent(crossover):
    space = SearchSpace({f"x{i}": Real(0, 1) for i in range(3)})
    children, X = crossed(space, crossover(space))
    assert [len(child.data["parents"]) for child in children] == [1] * 100
    assert all((X[child.data["parents"][0]] == child.X).all() for child in children)


def test_pymoos_own_crossover_stays_near_the_parents_noted():
    space = SearchSpace({f"x{i}": Real(0, 1) for i in range(3)})
    children, X = crossed(space, SBX(prob=1.0, eta=1000))
    for child in children:
        distance = np.abs(X[list(child.data["parents"])] - child.X).min(axis=0)
        assert (distance < 0.05).all()


@pytest.mark.parametrize("algorithm", ["nsga2", "nsga3"])
@pytest.mark.parametrize("mode", ["generational", "steady-state"])
@pytest.mark.parametrize("name", ["bnh", "mixed"])
def test_parents_were_members_when_their_child_was_made(name, mode, algorithm):
    problem = Mixed() if name == "mixed" else load_problem("pymoo:bnh")
    optimizer = Optimizer(problem, algorithm, pop_size=8, mode=mode, seed=2)
    seen, n_mated = {}, 0
    while optimizer.n_asked < 80:
        members = set(optimizer.population_ids())
        for candidate in optimizer.ask():
            assert candidate.origin == ("mating" if candidate.parents else "sample")
            assert (candidate.origin == "sample") == (candidate.id <= 8)
            assert set(candidate.parents) <= members and len(candidate.parents) <= 2
            n_mated += len(candidate.parents) == 2
            seen[candidate.id] = candidate
        for candidate in optimizer.pending:
            optimizer.tell(candidate.id, problem.evaluate(candidate.configuration))
    assert n_mated > 30


def test_configurations_to_begin_with_are_told_from_sampled_ones():
    start = [{"n": 1, "lr": 0.1, "kind": "a"}, {"n": 2, "lr": 0.1, "kind": "b", "m": 3}]
    optimizer = Optimizer(Mixed(), pop_size=6, start=start)
    assert [candidate.origin for candidate in optimizer.ask()] == ["start"] * 2 + ["sample"] * 4


def test_queued_children_keep_their_origin():
    first = Optimizer(Mixed(), pop_size=6, start=[{"n": 1, "lr": 0.1, "kind": "a"}], mode="steady-state")
    first.ask(2)
    second = Optimizer(Mixed(), pop_size=6, mode="steady-state")
    second.load(first.dump())
    assert second.pending[0].origin == "start"
    assert [(c.id, c.origin) for c in second.ask(4)] == [(i, "sample") for i in range(3, 7)]


def test_a_fixed_design_of_an_unknown_name_is_refused():
    space = SearchSpace({"x": Real(0, 1)})
    with pytest.raises(UsageError, match="must be one of random, sobol, grid, but is 'halton'"):
        Fixed(space, "halton", 1, [], None)


@pytest.mark.parametrize(("n_evaluated", "origin"), [(1, "sample"), (2, "mating")])
def test_two_members_are_enough_for_children(n_evaluated, origin):
    optimizer = Optimizer(Mixed(), pop_size=6, seed=1, mode="steady-state")
    for i, candidate in enumerate(optimizer.ask(6)):
        metrics = {"a": float(i), "b": float(i)}  # each is better in one of the two
        optimizer.tell(candidate.id, metrics if i < n_evaluated else None)
    assert len(optimizer.population_ids()) == n_evaluated
    assert optimizer.ask(1)[0].origin == origin

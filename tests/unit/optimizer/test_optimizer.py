import numpy as np
import pytest
from pymoo.problems import get_problem

from evo_moo.errors import EvoMooError, StateError
from evo_moo.optimizer.algorithms import reference_directions
from evo_moo.optimizer.optimizer import Optimizer
from evo_moo.problem.goals import Goals
from evo_moo.problem.pymoo_problem import as_search_problem
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.space.variables import Real

OUTCOME = {"f1": 1.0, "f2": 1.0, "g1": 0.0, "g2": 0.0}
BOTH = pytest.mark.parametrize("algorithm", ["nsga2", "nsga3"])


class Mine(SearchProblem):
    variables = {"x": Real(0, 1)}
    objectives = {"f": "min"}

    def evaluate(self, config):
        return {"f": config["x"]}


def new(name, algorithm="nsga2"):
    return Optimizer(as_search_problem(get_problem(name)), algorithm, pop_size=8)


@BOTH
def test_outcome_of_an_unknown_candidate_is_refused(algorithm):
    optimizer = new("bnh", algorithm)
    with pytest.raises(StateError, match="a told candidate must be awaited, but 1 is not"):
        optimizer.tell(1, None)
    first, second = optimizer.ask(2)
    optimizer.tell(first.id, OUTCOME)
    for key in (first.id, 0, -1, 3, 99):
        with pytest.raises(StateError, match=f"must be awaited, but {key} is not"):
            optimizer.tell(key, OUTCOME)
    optimizer.tell(second.id, OUTCOME)


@pytest.mark.parametrize("asked", [0, -1])
def test_ask_for_none_returns_none(asked):
    optimizer = new("bnh")
    assert optimizer.ask(asked) == [] and optimizer.n_asked == 0
    assert len(optimizer.ask()) == 8


@pytest.mark.parametrize(
    ("name", "algorithm", "changed"),
    [("bnh", "nsga3", {}), ("zdt1", "nsga2", {}), ("bnh", "nsga2", {"kind": [99]}), ("bnh", "nsga2", {"kind": None})],
)
def test_a_state_of_another_search_is_refused(name, algorithm, changed):
    state = new("bnh").dump() | changed
    with pytest.raises(StateError, match=r"a state must be of the kind"):
        new(name, algorithm).load(state)


@pytest.mark.parametrize("metrics", [{"f1": 1.0, "f2": float("nan")}, {"f1": 1.0}, {"F1": 1.0, "F2": 1.0}, {}])
def test_metrics_that_break_no_limit_must_have_the_objectives(metrics):
    optimizer = new("zdt1")
    (candidate,) = optimizer.ask(1)
    with pytest.raises(EvoMooError, match="f2"):
        optimizer.tell(candidate.id, metrics)


@pytest.mark.parametrize(("n_obj", "pop_size", "n"), [(2, 20, 20), (3, 20, 15), (3, 21, 21), (4, 10, 10), (1, 9, 1)])
def test_reference_directions_fill_the_population_by_a_lattice(n_obj, pop_size, n):
    directions = reference_directions(n_obj, pop_size)
    assert directions.shape == (n, n_obj)
    np.testing.assert_allclose(directions.sum(axis=1), 1)


@BOTH
@pytest.mark.parametrize("name", ["sphere", "rosenbrock"])
def test_one_objective_is_enough(name, algorithm):
    problem = as_search_problem(get_problem(name, n_var=3))
    optimizer = Optimizer(problem, algorithm, pop_size=10)
    best = []
    while optimizer.generation < 10:
        batch = {c.id: problem.evaluate(c.configuration) for c in optimizer.ask()}
        for key, metrics in batch.items():
            optimizer.tell(key, metrics)
        best.append(min(metrics["f1"] for metrics in batch.values()))
    assert min(best[1:]) < best[0]


def test_the_default_size_is_pymoos_on_its_own_problems():
    assert [Optimizer(problem).pop_size for problem in (as_search_problem(get_problem("zdt1")), Mine())] == [100, 20]


@pytest.mark.parametrize("mode", ["generational", "steady-state"])
def test_selection_weighs_each_limit_by_its_own_size(mode):
    """Accuracies rise while parameters, far over their limit, do too: the nearest to both limits stay."""
    problem = Mine()
    problem_goals = Goals.declared({"f": "min"}, {"n": {"at_most": 1e5}, "accuracy": {"at_least": 0.9}})
    optimizer = Optimizer(problem, goals=problem_goals, pop_size=4, mode=mode)
    while optimizer.n_asked < 8:
        for candidate in optimizer.ask():
            k = candidate.id
            optimizer.tell(candidate.id, {"f": 0.0, "n": 1e6 + 1e4 * k, "accuracy": 0.1 * k})
    assert sorted(optimizer.population_ids()) == [5, 6, 7, 8]
    again = Optimizer(problem, goals=problem_goals, pop_size=4, mode=mode)
    again.load(optimizer.dump())
    for each in (optimizer, again):
        for candidate in each.ask(4):
            each.tell(candidate.id, {"f": 0.0, "n": 1e6, "accuracy": 0.75})
    assert sorted(optimizer.population_ids()) == sorted(again.population_ids()) == [8, 9, 10, 11]


def told(optimizer, n, offset=0.0):
    rows = [{"x1": (i + offset) / n, "x2": 1.0} for i in range(n)]
    return [optimizer.tell(row, {**OUTCOME, "f1": row["x1"], "f2": -row["x1"]}) for row in rows]


@pytest.mark.parametrize("mode", ["generational", "steady-state"])
@pytest.mark.parametrize("n", [3, 8, 20])
def test_told_configurations_take_places_of_the_population(n, mode):
    optimizer = Optimizer(as_search_problem(get_problem("bnh")), pop_size=8, mode=mode)
    candidates = told(optimizer, n)
    assert [c.id for c in candidates] == list(range(1, n + 1)) and {c.origin for c in candidates} == {"told"}
    assert (optimizer.n_asked, optimizer.n_within(10)) == (n, 10)
    first = optimizer.ask(8)
    assert [c.id for c in first] == list(range(n + 1, n + 1 + len(first)))
    if n < 8:
        assert {c.origin for c in first[: 8 - n]} == {"sample"} and {c.origin for c in first[8 - n :]} <= {"mating"}
    else:
        assert {c.origin for c in first} == {"mating"}
    for candidate in first:
        optimizer.tell(candidate, {**OUTCOME, "f1": 200.0, "f2": 200.0})
    assert set(optimizer.population_ids()) & {c.id for c in candidates}
    assert set(optimizer.optimum_ids()) <= {c.id for c in candidates}
    assert optimizer.n_within(10) == 10 - len(first)


def test_a_told_candidate_may_be_named_by_its_configuration():
    optimizer = new("bnh")
    (first,) = optimizer.ask(1)
    assert optimizer.tell(first.configuration, OUTCOME) is None
    with pytest.raises(StateError, match="all candidates made before it asked for, but 7 wait"):
        told(optimizer, 1)
    for candidate in optimizer.ask():
        optimizer.tell(candidate.configuration, OUTCOME)
    assert optimizer.generation == 1


def test_a_configuration_is_told_once():
    optimizer = Optimizer(Mine(), pop_size=4)
    optimizer.tell({"x": 0.5}, {"f": 0.5})
    with pytest.raises(StateError, match="a told configuration must be new"):
        optimizer.tell({"x": 0.5}, {"f": 0.5})
    with pytest.raises(EvoMooError, match="must lie between 0 and 1"):
        optimizer.tell({"x": 2}, {"f": 0.5})
    assert optimizer.tell({"x": 0.25}, None).id == 2


def test_a_state_with_told_candidates_goes_on_as_without_a_load():
    one, other = (Optimizer(Mine(), pop_size=4, seed=3) for _ in range(2))
    for x in (0.1, 0.9):
        one.tell({"x": x}, {"f": x})
    other.load(one.dump())
    for _ in range(3):
        asked = one.ask()
        assert [c.configuration for c in asked] == [c.configuration for c in other.ask()]
        for c in asked:
            for optimizer in (one, other):
                optimizer.tell(c.id, {"f": c.configuration["x"]})
    assert one.n_within(50) == other.n_within(50) == 50 - (one.n_asked - 2)


def test_a_start_that_a_population_cannot_hold_is_asked_whole():
    start = [{"x": i / 16} for i in range(9)]
    optimizer = Optimizer(Mine(), pop_size=4, start=start)
    asked = optimizer.ask()
    assert [c.configuration for c in asked] == start and {c.origin for c in asked} == {"start"}


@pytest.mark.parametrize(("name", "value"), [("algorithm", "nsga4"), ("mode", "async")])
def test_an_unknown_algorithm_or_mode_is_refused(name, value):
    with pytest.raises(EvoMooError, match=f"`{name}` must be .*, but is '{value}'"):
        Optimizer(Mine(), **{name: value})

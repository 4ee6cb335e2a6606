import itertools
import json
import re

import numpy as np
import pytest
from pymoo.problems import get_problem

import evo_moo
from evo_moo.errors import JobError, StateError
from evo_moo.job.check import check_job
from evo_moo.optimizer.optimizer import Optimizer
from evo_moo.problem.pymoo_problem import as_search_problem
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.run.assembly import words_on_the_grid
from evo_moo.space.designs import GridDesign, new_rows
from evo_moo.space.variables import Boolean, Choice, Integer, Real


class Mixed(SearchProblem):
    variables = {
        "n": Integer(1, 3),
        "act": Choice(["relu", "gelu"]),
        "skip": Boolean(when={"act": "gelu"}),
        "lr": Real(1e-4, 1, log=True),
    }
    forbidden = {"deep gelu": lambda config: config["n"] == 3 and config["act"] == "gelu"}
    objectives = {"loss": "min"}

    def evaluate(self, config):
        return {"loss": config["lr"]}


class Large(SearchProblem):
    variables = {"a": Integer(1, 300), "b": Integer(1, 300)}
    objectives = {"loss": "min"}

    def evaluate(self, config):
        return {"loss": config["a"]}


def asked(optimizer, n=10_000):
    configurations = []
    while len(configurations) < n and (batch := optimizer.ask()):
        for candidate in batch:
            configurations.append(candidate.configuration)
            optimizer.tell(candidate.id, {o.metric: 1.0 for o in optimizer.goals.objectives})
    return configurations


def texts(configurations):
    return sorted(json.dumps(c) for c in configurations)


def by_hand(rates):
    kinds = [{"act": "relu"}, {"act": "gelu", "skip": False}, {"act": "gelu", "skip": True}]
    rows = [{"n": n} | kind | {"lr": lr} for n, kind, lr in itertools.product((1, 2, 3), kinds, rates)]
    return texts(row for row in rows if not (row["n"] == 3 and row["act"] == "gelu"))


@pytest.mark.parametrize("mode", ["generational", "steady-state"])
@pytest.mark.parametrize(
    ("points", "rates"),
    [
        (None, [1e-4, 1e-3, 1e-2, 0.1, 1.0]),
        (3, [1e-4, 1e-2, 1.0]),
        ({"lr": 2}, [1e-4, 1.0]),
        ({"lr": [0.3, 0.5]}, [0.3, 0.5]),
    ],
)
def test_a_grid_is_every_combination_once_and_then_ends(points, rates, mode):
    optimizer = Optimizer(Mixed(), "grid", pop_size=4, mode=mode, grid_points=points)
    assert texts(asked(optimizer)) == by_hand(rates)
    assert optimizer.exhausted


def test_a_grid_takes_fewer_values_of_what_is_named():
    points = {"n": 2, "act": ["relu"], "lr": [0.5]}
    configurations = asked(Optimizer(Mixed(), "grid", pop_size=4, grid_points=points))
    assert texts(configurations) == texts({"n": n, "act": "relu", "lr": 0.5} for n in (1, 3))


def test_a_grid_that_exceeds_the_budget_is_sampled_all_over():
    problem = as_search_problem(get_problem("zdt1", n_var=4))
    first = asked(Optimizer(problem, "grid", pop_size=50), 50)
    assert all({row[name] for row in first} == {0.0, 0.25, 0.5, 0.75, 1.0} for name in problem.variables)


@pytest.mark.parametrize("algorithm", ["random", "sobol", "grid"])
def test_the_given_configurations_come_first_and_only_once(algorithm):
    start = [{"n": 2, "act": "relu", "lr": 0.01}, {"n": 1, "act": "gelu", "skip": True, "lr": 1.0}]
    optimizer = Optimizer(Mixed(), algorithm, pop_size=4, start=[*start, start[0]])
    batch = optimizer.ask()
    assert [c.configuration for c in batch[:2]] == start and len(batch) == 4
    assert [c.origin for c in batch] == ["start", "start", "sample", "sample"]


@pytest.mark.parametrize("mode", ["generational", "steady-state"])
def test_a_sobol_sequence_is_continued_from_batch_to_batch(mode):
    # A net of 64 points in base 2 has one in each of 8 x 8 boxes (Niederreiter 1988), whatever the size of a batch.
    problem = as_search_problem(get_problem("zdt1", n_var=2))
    points = np.array([list(c.values()) for c in asked(Optimizer(problem, "sobol", pop_size=7, mode=mode), 64)[:64]])
    assert len({tuple(box) for box in (points * 8).astype(int).tolist()}) == 64


def test_new_rows_are_followed_by_the_first_not_looked_at():
    design = GridDesign(Large().space, 1)
    keys = [row.tobytes() for row in design.rows(0, 6)]
    assert new_rows(design, 2, 2, [], lambda rows: np.ones(len(rows), bool)) == (keys[2:4], 4)
    assert new_rows(design, 2, 2, [keys[2]], lambda rows: rows[:, 0] != design.rows(3, 1)[0, 0])[1] == 5


@pytest.mark.parametrize("algorithm", ["random", "sobol", "nsga2"])
def test_the_last_configuration_of_a_large_finite_space_is_found(algorithm):
    optimizer = Optimizer(Large(), algorithm, pop_size=4)
    every = GridDesign(Large().space, 1).rows(0, 100_000)
    assert len(every) == 90_000
    optimizer.load(optimizer.dump(with_seen=False), seen=every[1:])
    (last,) = optimizer.ask()
    assert last.configuration == Large().space.decode(every[:1])[0]
    optimizer.tell(last.id, {"loss": 1.0})
    assert optimizer.ask() == [] and optimizer.exhausted


@pytest.mark.parametrize("algorithm", ["random", "sobol", "grid"])
def test_a_run_that_goes_on_asks_what_one_in_one_go_asks(algorithm, tmp_path):
    found = []
    for name, budgets in (("in one go", [23]), ("in steps", [5, 14, 23])):
        for n_evals in budgets:
            result = evo_moo.search(
                Mixed(), algorithm, 6, ("n_evals", n_evals), seed=4, workers=1, run_dir=tmp_path / name
            )
        found.append([(e.configuration, e.seed, e.generation) for e in result.evaluations])
    assert found[0] == found[1] and len(found[0]) == 23


def test_a_baseline_on_a_plain_problem_is_searched_in_our_space():
    job, problem, _ = check_job(
        {"problem": {"use": "pymoo:zdt1"}, "search": {"algorithm": "random"}, "budget": {"n_evals": 9}}
    )
    assert not job.is_searched_as_by_pymoo(problem)
    assert Optimizer(problem, "random").pop_size == 20


def test_the_state_of_another_grid_is_refused():
    state = Optimizer(Mixed(), "grid", grid_points=2).dump()
    with pytest.raises(StateError, match="of the kind"):
        Optimizer(Mixed(), "grid", grid_points=3).load(state)


@pytest.mark.parametrize(
    ("points", "fault"),
    [
        (1, "must be a whole number of at least 2, but is 1"),
        ("5", "must be a whole number of at least 2, but is '5'"),
        (True, "must be a whole number of at least 2, but is True"),
        ({"lr": 1}, "must be at least 2, but is 1 for lr"),
        ({"rate": 3}, "must name variables, but names 'rate'; they are n, act, skip, lr"),
        ({"n": [7]}, "must hold values of n, which must lie between 1 and 3, but is 7"),
        ({"n": []}, r"must be a number of points or a list of values, but is \[\] for n"),
        ({"lr": 50_000}, "must make a grid of at most 100,000, but make 600,000 .*; give fewer"),
    ],
)
def test_wrong_points_are_refused(points, fault):
    with pytest.raises(JobError, match=fault):
        Optimizer(Mixed(), "grid", grid_points=points)
    data = {"problem": {"use": "Mixed"}, "search": {"algorithm": "grid", "grid_points": points}}
    with pytest.raises(JobError, match=fault):
        check_job(data | {"budget": {"n_evals": 9}}, Mixed())


@pytest.mark.parametrize(
    ("search", "more", "fault"),
    [
        (
            {"algorithm": "random", "sampling": "lhs"},
            {},
            "`search.sampling` must go with algorithm = 'nsga2', 'nsga3', 'weighted",
        ),
        ({"algorithm": "sobol"}, {"surrogate": {}}, "`surrogate` must go with algorithm = 'nsga2' or 'nsga3', but"),
        (
            {"algorithm": "tchebycheff"},
            {"surrogate": {}},
            "`surrogate` must go with algorithm = 'nsga2' or 'nsga3', but",
        ),
        ({"grid_points": 3}, {}, "`search.grid_points` must go with algorithm = 'grid', but it is 'nsga2'"),
        ({"algorithm": "grid"}, {}, "`search.grid_points` must make a grid of at most 100,000, but make 9.3e[+]20"),
    ],
)
def test_options_that_contradict_each_other_are_refused(search, more, fault):
    with pytest.raises(JobError, match=fault):
        check_job({"problem": {"use": "pymoo:zdt1"}, "search": search, "budget": {"n_evals": 9}} | more)


@pytest.mark.parametrize(
    ("n_evals", "words"),
    [(35, "the grid has 35 configurations"), (9, "the grid has 35 .*, of which n_evals = 9 are evaluated, drawn at")],
)
def test_evaluated_share_of_a_grid_is_stated(n_evals, words):
    data = {"problem": {"use": "Mixed"}, "search": {"algorithm": "grid"}, "budget": {"n_evals": n_evals}}
    job, problem, _ = check_job(data, Mixed())
    assert re.match(words, words_on_the_grid(job, problem))

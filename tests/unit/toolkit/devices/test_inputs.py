import numpy as np

from evo_moo.problem.search_problem import SearchProblem
from evo_moo.space.variables import Boolean, Choice, Integer, Real
from evo_moo.toolkit.devices.inputs import architecture_inputs
from evo_moo.toolkit.modnas.decisions import Decisions


class Mixed(SearchProblem):
    variables = {
        "op": Choice(["a", "b", "c"]),
        "wide": Boolean(),
        "width": Integer(1, 101, when={"wide": True}),
        "depth": Integer(2, 4),
        "lr": Real(0.1, 1),
    }
    architecture = ["op", "wide", "width", "depth"]
    objectives = {"latency_ms": "min"}


def test_options_are_one_hots_and_numbers_lie_in_their_range():
    rows = [
        {"op": "b", "wide": True, "width": 51, "depth": 2, "lr": 0.5},
        {"op": "c", "wide": False, "depth": 4, "lr": 0.5},
    ]
    assert architecture_inputs(Mixed(), rows).tolist() == [
        [0, 1, 0, 0, 1, 0.5, 1, 1, 0, 0],
        [0, 0, 1, 1, 0, 0, 0, 0, 0, 1],
    ]


def test_spaces_of_options_have_the_one_hots_of_decisions():
    class Options(SearchProblem):
        variables = {"n": Choice([1, 2]), "second": Choice(["x", "y", "z"], when={"n": 2}), "flag": Boolean()}
        objectives = {"latency_ms": "min"}

    problem = Options()
    rows = problem.space.decode(problem.space.sample(20, np.random.default_rng(0)))
    assert (architecture_inputs(problem, rows) == Decisions(problem.space).encode(rows).numpy()).all()

import math
import re

import numpy as np
import pytest
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core import variable as pymoo_variable
from pymoo.core.problem import ElementwiseProblem, Problem
from pymoo.optimize import minimize
from pymoo.problems import get_problem

from evo_moo.errors import ProblemError
from evo_moo.problem.pymoo_problem import PymooProblem, as_search_problem
from evo_moo.space.operators import space_operators
from evo_moo.space.variables import Boolean, Choice, Integer, Real


class WithBoth(ElementwiseProblem):
    """Two variables, two objectives, a G and an H; NaN where the first variable is 1."""

    def __init__(self):
        super().__init__(n_var=2, n_obj=2, n_ieq_constr=1, n_eq_constr=1, xl=np.array([0, -1]), xu=np.array([1, 1]))

    def _evaluate(self, x, out, *args, **kwargs):
        out["F"] = [x[0] if x[0] < 1 else np.nan, x[0] + x[1]]
        out["G"], out["H"] = [x[0] - 0.5], [x[1] - 0.25]


def test_a_plain_pymoo_problem_is_adapted():
    problem = as_search_problem(WithBoth())
    assert isinstance(problem, PymooProblem) and problem.is_plain and problem.name() == "WithBoth"
    assert problem.space.names == ("x1", "x2")
    assert problem.objectives == {"f1": "min", "f2": "min"}
    assert problem.constraints == {"g1": {"at_most": 0.0}, "h1": {"equals": 0.0}}
    config = {"x1": 0.75, "x2": 0.5}
    metrics = problem.call_evaluate(config, seed=0).metrics
    assert metrics == {"f1": 0.75, "f2": 1.25, "g1": 0.25, "h1": 0.25}
    assert problem.goals.violation(metrics) == pytest.approx(0.5 - 1e-4)


def test_a_batch_gives_each_row_its_metrics():
    fine, broken = as_search_problem(WithBoth()).evaluate_batch([{"x1": x, "x2": 0.0} for x in (0.5, 1.0)])
    assert fine == {"f1": 0.5, "f2": 0.5, "g1": 0.0, "h1": -0.25}
    assert math.isnan(broken["f1"])


@pytest.mark.parametrize("name", ["zdt1", "osy", "bnh", "dtlz2"])
def test_an_adapted_problem_gives_pymoo_the_same_values(name):
    plain = get_problem(name)
    X = np.random.default_rng(0).uniform(plain.xl, plain.xu, (20, plain.n_var))
    wanted = {"return_as_dictionary": True, "return_values_of": ["F", "G", "H"]}
    expected, found = plain.evaluate(X, **wanted), PymooProblem(plain).evaluate(X, **wanted)
    for key in ("F", "G", "H"):
        np.testing.assert_array_equal(found[key], expected[key])


class WithVars(ElementwiseProblem):
    def __init__(self):
        kinds = {"b": pymoo_variable.Binary(), "c": pymoo_variable.Choice(options=["u", "v"])}
        kinds |= {"n": pymoo_variable.Integer(bounds=(2, 5)), "r": pymoo_variable.Real(bounds=(0.0, 1.5))}
        super().__init__(vars=kinds, n_obj=1)

    def _evaluate(self, x, out, *args, **kwargs):
        out["F"] = x["n"] + x["r"] + 10 * x["b"] + 100 * (x["c"] == "v")


class OfKind(Problem):
    def __init__(self, kind):
        super().__init__(n_var=2, n_obj=1, xl=0, xu=1 if kind is bool else 9, vtype=kind)

    def _evaluate(self, X, out, *args, **kwargs):
        assert X.dtype == self.vtype
        out["F"] = X.sum(axis=1, keepdims=True) * 1.0


def test_pymoos_own_kinds_of_variables_are_translated():
    problem = as_search_problem(WithVars())
    assert problem.variables == {"b": Boolean(), "c": Choice(["u", "v"]), "n": Integer(2, 5), "r": Real(0.0, 1.5)}
    assert problem.call_evaluate({"b": True, "c": "v", "n": 3, "r": 0.5}, seed=0).metrics == {"f1": 113.5}
    assert not problem.is_plain


@pytest.mark.parametrize(
    ("kind", "variable", "values", "f1"), [(int, Integer(0, 9), (3, 4), 7), (bool, Boolean(), (True, False), 1)]
)
def test_grids_of_pymoo_are_translated(kind, variable, values, f1):
    problem = as_search_problem(OfKind(kind))
    assert problem.variables == {"x1": variable, "x2": variable} and not problem.is_plain
    assert problem.call_evaluate(dict(zip(problem.space.names, values, strict=True)), seed=0).metrics == {"f1": f1}


@pytest.mark.parametrize("plain", [WithBoth(), WithVars(), OfKind(int), OfKind(bool)], ids=lambda p: p.name())
def test_pymoos_own_algorithm_runs_every_adapted_problem(plain):
    problem = as_search_problem(plain)
    result = minimize(problem, NSGA2(pop_size=8, **space_operators(problem.space)), ("n_gen", 3), seed=1)
    assert len(result.pop) >= 1


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        (Problem(n_var=2, n_obj=1), "must have bounds xl and xu"),
        (Problem(n_var=2, n_obj=1, xl=0, xu=9, vtype=complex), "must have vtype float, int or bool, but has"),
        (Problem(vars={"a": object()}, n_obj=1), "`a` must be a Real, Integer, Choice or Binary of pymoo, but is"),
    ],
)
def test_a_plain_problem_that_does_not_fit_is_refused(plain, message):
    with pytest.raises(ProblemError, match=re.escape(message)):
        as_search_problem(plain)

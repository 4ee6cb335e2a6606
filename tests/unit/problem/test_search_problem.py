import functools
import inspect
import pickle
from pathlib import Path

import numpy as np
import pytest
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.problem import Problem
from pymoo.optimize import minimize

from evo_moo.errors import EvoMooError, MetricError, ProblemError, SpaceError
from evo_moo.problem.function_problem import FunctionProblem
from evo_moo.problem.metrics import Metric
from evo_moo.problem.pymoo_problem import as_search_problem
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.space.operators import space_operators
from evo_moo.space.variables import Choice, Integer, Real

CONFIG = {"n": 2, "lr": 0.1, "act": "gelu"}


class Mixed(SearchProblem):
    variables = {
        "n": Integer(1, 3),
        "lr": Real(1e-4, 1, log=True),
        "act": Choice(["relu", "gelu"]),
        "m": Integer(1, 9, when={"n": 3}),
    }
    objectives = {"accuracy": "max", "latency_ms": "min"}
    constraints = {"latency_ms": {"at_most": 20}, "accuracy": {"at_least": 0.1}}

    def profile(self, config):
        return {"latency_ms": 8.0 * config["n"] + config.get("m", 0)}

    def evaluate(self, config):
        return {"accuracy": 1 - abs(config["lr"] - 0.01) - 0.5 * (config["act"] == "relu")}


def problem_class(**attributes):
    """Make a problem class that is sound but for the given attributes; None leaves one out."""
    sound = {
        "variables": {"x": Real(0, 1)},
        "objectives": {"f": "min"},
        "evaluate": lambda self, config: {"f": config["x"]},
    }
    return type("Mine", (SearchProblem,), {k: v for k, v in (sound | attributes).items() if v is not None})


def test_search_problem_is_a_pymoo_problem_over_encoded_columns():
    problem = Mixed()
    assert isinstance(problem, Problem)
    assert (problem.n_var, problem.n_obj, problem.n_ieq_constr, problem.n_eq_constr) == (4, 2, 2, 0)
    np.testing.assert_array_equal([problem.xl, problem.xu], [problem.space.xl, problem.space.xu])


def test_pymoo_gets_F_and_G_of_profile_and_evaluate_together():
    problem = Mixed()
    X = problem.space.encode([CONFIG, CONFIG | {"n": 3, "m": 9, "act": "relu"}])
    out = problem.evaluate(X, return_as_dictionary=True, return_values_of=["F", "G", "H"])
    np.testing.assert_allclose(out["F"], [[-0.91, 16.0], [-0.41, 33.0]])
    np.testing.assert_allclose(out["G"], [[-4.0, 0.1 - 0.91], [13.0, 0.1 - 0.41]])
    assert out["H"].shape == (2, 0)


@pytest.mark.parametrize("operators", [{}, space_operators(Mixed().space)], ids=["pymoo's operators", "ours"])
def test_pymoos_own_algorithm_runs_it(operators):
    result = minimize(Mixed(), NSGA2(pop_size=12, **operators), ("n_gen", 4), seed=1)
    assert len(result.F) >= 1 and (result.G <= 0).all()


def test_our_callers_and_pymoo_share_one_evaluate():
    problem = Mixed()
    assert problem.evaluate(CONFIG) == {"accuracy": 0.91}
    assert problem.evaluate(problem.space.encode([CONFIG]))[0].tolist() == [[-0.91, 16.0]]
    assert list(inspect.signature(problem.evaluate).parameters) == ["config"]


def test_evaluate_may_extend_that_of_its_parent():
    class Child(Mixed):
        def evaluate(self, config):
            return super().evaluate(config) | {"more": 1}

    assert Child().call_evaluate(CONFIG, seed=0).metrics == {"accuracy": 0.91, "more": 1}


@pytest.mark.parametrize(
    ("evaluate", "returned"),
    [
        (lambda self, config: {"f": 1}, {"f": 1}),
        (lambda self, config, seed: {"f": seed}, {"f": 7}),
        (lambda self, config, *, seed, fidelity: {"f": seed, "none": fidelity is None}, {"f": 7, "none": 1}),
        (lambda self, config, factor=3, *, seed=0: {"f": factor * seed}, {"f": 21}),
        (lambda self, config, *, seed, replicate: {"f": seed + replicate}, {"f": 7}),
        (lambda self, config, **kwargs: {"f": len(kwargs)}, {"f": 0}),
    ],
)
def test_evaluate_gets_the_keywords_that_it_names(evaluate, returned):
    problem = as_search_problem(problem_class(evaluate=evaluate)())
    assert problem.call_evaluate({"x": 0.5}, seed=7).metrics == returned


def test_a_workspace_is_made_only_if_it_is_named(tmp_path):
    def evaluate(self, config, *, workspace):
        assert isinstance(workspace, Path)
        (workspace / "weights").write_text("w")
        return {"f": len(list(workspace.iterdir()))}

    problem = problem_class(evaluate=evaluate)()
    assert problem.call_evaluate({"x": 0.5}, seed=0, workspace=str(tmp_path / "a" / "b")).metrics == {"f": 1}
    assert (tmp_path / "a" / "b" / "weights").read_text() == "w"
    problem_class()().call_evaluate({"x": 0.5}, seed=0, workspace=str(tmp_path / "c"))
    assert not (tmp_path / "c").exists()


def test_a_temporary_workspace_is_removed():
    seen = []
    problem = problem_class(evaluate=lambda self, config, workspace: seen.append(workspace) or {"f": 1})()
    problem.call_evaluate({"x": 0.5}, seed=0)
    assert not seen[0].exists()


def test_a_problem_cannot_change_the_configuration_of_its_caller():
    problem = problem_class(
        profile=lambda self, config: config.clear() or {}, evaluate=lambda self, config: {"f": config.pop("x")}
    )()
    config = {"x": 0.5}
    problem.call_profile(config)
    problem.call_evaluate(config, seed=0)
    assert config == {"x": 0.5}


@pytest.mark.parametrize("method", ["call_profile", "call_evaluate"])
def test_returned_values_must_have_names(method):
    def bad(self, config):
        return [0.5]

    problem = problem_class(profile=bad, evaluate=bad)()
    with pytest.raises(MetricError, match="must return a dict of metrics, but it returned list"):
        getattr(problem, method)({"x": 0.5}, **({"seed": 0} if method == "call_evaluate" else {}))


def test_options_may_change_the_declarations():
    class Optional(SearchProblem):
        objectives = {"f": "min"}

        def __init__(self, width=3, limit=None):
            # No super().__init__(): nothing depends on it.
            self.variables = {f"x{i}": Real(0, 1) for i in range(width)}
            if limit is not None:
                self.constraints = {"f": {"at_most": limit}}

        def evaluate(self, config):
            return {"f": sum(config.values())}

    wide, limited = Optional(5), Optional(limit=2)
    assert (wide.n_var, wide.n_ieq_constr, limited.n_var, limited.n_ieq_constr) == (5, 0, 3, 1)
    assert wide.evaluate(np.ones((2, 5))).tolist() == [[5.0], [5.0]]
    assert as_search_problem(wide) is wide


def test_a_missing_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'Mixed' object has no attribute 'latency'"):
        _ = Mixed().latency
    assert pickle.loads(pickle.dumps(Mixed())).n_var == 4


def test_all_metrics_are_known_with_their_descriptions():
    speed = Metric(unit="ms", timed=True)
    problem = problem_class(constraints={"g": {"at_most": 1}}, metrics={"f": speed, "size": Metric(unit="MB")})()
    assert problem.known_metrics == {"f": speed, "g": Metric(), "size": Metric(unit="MB")}


@pytest.mark.parametrize(
    ("attributes", "error", "messages"),
    [
        ({"variables": {}}, SpaceError, ["at least one variable"]),
        ({"variables": {"x": 3, "y": Real(1, 0)}}, SpaceError, ["`x`: must be a Real", "`y`: low must be below high"]),
        ({"objectives": {}}, ProblemError, ["Mine: `objectives`: name at least one metric"]),
        (
            {"objectives": {"f": "up"}, "constraints": {"f": 3, "g": {"below": 1}}},
            ProblemError,
            ["Mine: `objectives.f` must be", "Mine: `constraints.f` must be a limit", "Mine: `constraints.g.below`"],
        ),
        ({"metrics": {"f": Metric(held_out=True)}}, ProblemError, ["`f` is held out for the final report"]),
        ({"evaluate": None}, ProblemError, ["`Mine` must define `evaluate(self, config)`"]),
        (
            {"evaluate": lambda self, config, gpu, *, rank: {}},
            ProblemError,
            [
                "may ask for fidelity, seed, workspace, weights, report, replicate, but it asks for gpu, rank; give "
                "those a default"
            ],
        ),
        ({"evaluate": lambda self: {}}, ProblemError, ["`evaluate` of `Mine` must take a configuration first"]),
    ],
)
def test_a_wrong_definition_is_refused_with_all_its_faults(attributes, error, messages):
    with pytest.raises(error) as raised:
        as_search_problem(problem_class(**attributes)())
    for message in messages:
        assert message in str(raised.value)


def test_a_profile_with_arguments_that_nobody_gives_is_refused():
    with pytest.raises(ProblemError, match="asks for seeds"):
        as_search_problem(problem_class(profile=lambda self, config, seeds: {})())


@pytest.mark.parametrize("name", ["variables", "objectives", "constraints", "metrics"])
def test_a_declaration_that_is_no_mapping_is_refused(name):
    with pytest.raises(EvoMooError, match=f"`{name}`"):
        as_search_problem(problem_class(**{name: ["f"]})())


@pytest.mark.parametrize("thing", [None, 3, "zdt1", Mixed])
def test_object_that_is_no_problem_is_refused(thing):
    with pytest.raises(ProblemError, match=r"must be a SearchProblem or a pymoo Problem, but is a|hand over Mixed\(\)"):
        as_search_problem(thing)


def test_a_bare_function_is_a_problem():
    def mine(config, *, seed, factor=2):
        return {"f": factor * config["x"] + seed}

    problem = as_search_problem(FunctionProblem(mine, {"x": Real(0, 1)}, {"f": "min"}, {"f": {"at_most": 3}}))
    assert problem.call_evaluate({"x": 0.5}, seed=7).metrics == {"f": 8.0}
    assert problem.evaluate(np.array([[0.5], [1.0]]), return_values_of=["F"]).shape == (2, 1)
    assert problem.name() == "mine" and problem.n_ieq_constr == 1
    with pytest.raises(ProblemError, match=r"`evaluate` of `<lambda>` may ask for .*, but it asks for gpu"):
        as_search_problem(FunctionProblem(lambda config, gpu: {}, {"x": Real(0, 1)}, {"f": "min"}))


def test_function_takes_variables_by_their_names():
    variables = {"x": Real(0, 1), "y": Integer(1, 9), "z": Real(0, 1, when={"y": [1, 2]})}
    config = {"x": 0.5, "y": 3}

    def by_name(x, y, z=0.25, *, seed):
        return {"f": x + y + z + seed}

    def by_rest(x, **rest):
        return {"f": x + rest["y"]}

    def by_config(config):
        return {"f": config["x"] + config["y"]}

    for function, value in ((by_name, 4.75), (by_rest, 3.5), (by_config, 3.5)):
        problem = FunctionProblem(function, variables, {"f": "min"})
        problem.check()
        assert problem.call_evaluate(config, seed=1).metrics == {"f": value}
    for wrong in (lambda x, y, z: {}, lambda x, y, w: {}):
        with pytest.raises(ProblemError, match=r"must take all, those with `when` with a default: x, y, z"):
            FunctionProblem(wrong, variables, {"f": "min"}).check()


def test_function_without_a_signature_takes_a_configuration():
    problem = as_search_problem(FunctionProblem(dict, {"x": Real(0, 1)}, {"x": "min"}))
    assert problem.call_evaluate({"x": 0.5}, seed=7).metrics == {"x": 0.5} and not problem.is_seeded


def test_names_that_pymoo_uses_may_be_a_problems_own():
    class Own(SearchProblem):
        variables = {"x": Real(0, 1)}
        objectives = {"f": "min"}

        def __init__(self):
            self.vtype = "mine"

        @functools.cached_property
        def data(self):
            return {"train": 2.0}

        def evaluate(self, config):
            return {"f": config["x"] * self.data["train"]}

    problem = Own()
    assert problem.n_var == 1 and problem.vtype == "mine" and problem.data == {"train": 2.0}
    assert problem.evaluate(np.array([[0.25]]), return_values_of=["F"]).tolist() == [[0.5]]

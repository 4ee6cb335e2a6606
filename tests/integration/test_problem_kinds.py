"""Problems of every kind come in through one door and are searched unmodified."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.moo.nsga3 import NSGA3
from pymoo.core.mixed import MixedVariableGA
from pymoo.core.problem import ElementwiseProblem, Problem
from pymoo.core.variable import Binary
from pymoo.core.variable import Choice as PymooChoice
from pymoo.core.variable import Integer as PymooInteger
from pymoo.core.variable import Real as PymooReal
from pymoo.operators.survival.rank_and_crowding import RankAndCrowding
from pymoo.optimize import minimize
from pymoo.problems import get_problem

import evo_moo as package
from evo_moo.analysis.result import Result
from evo_moo.errors import ProblemError
from evo_moo.optimizer.algorithms import make_algorithm, reference_directions
from evo_moo.pareto import hypervolume
from evo_moo.testing import check_problem
from tests.integration.running import USER_FILE, evo_moo, front_of, ledger_of

pytestmark = pytest.mark.slow

TWO_OBJECTIVES = ["zdt3", "zdt6", "srn", "tnk", "truss2d", "mw2"]
THREE_OBJECTIVES = ["dtlz1", "dtlz7", "c2dtlz2", "carside"]


@pytest.mark.parametrize("name", TWO_OBJECTIVES)
def test_pymoo_problems_with_two_objectives_end_as_with_pymoo(name: str) -> None:
    expected = minimize(get_problem(name), NSGA2(pop_size=40), ("n_evals", 800), seed=1)
    result = package.search(f"pymoo:{name}", pop_size=40, termination=("n_evals", 800), seed=1)
    assert np.array_equal(result.F, expected.F)


@pytest.mark.parametrize("name", THREE_OBJECTIVES)
def test_pymoo_problems_with_three_objectives_end_as_with_pymoo(name: str) -> None:
    problem = get_problem(name)
    algorithm = NSGA3(reference_directions(3, 36), pop_size=36)
    if problem.n_constr:
        # pymoo draws ties between infeasible ones without its seed: no two of its own runs are alike.
        algorithm.mating.selection = make_algorithm("nsga3", 3, 36, {}).mating.selection
    expected = minimize(problem, algorithm, ("n_evals", 1080), seed=1)
    result = package.search(f"pymoo:{name}", "nsga3", 36, ("n_evals", 1080), seed=1)
    assert np.array_equal(result.F, expected.F)


def test_constrained_nsga3_obeys_its_seed() -> None:
    runs = [package.search("pymoo:c1dtlz1", "nsga3", 36, ("n_evals", 1080), seed=4) for _ in range(2)]
    assert np.array_equal(runs[0].F, runs[1].F)


class Mixed(ElementwiseProblem):
    """Every kind of pymoo's variables; the front needs a flag, a choice and an integer to be right."""

    def __init__(self, **kwargs):
        variables = {
            "flag": Binary(),
            "kind": PymooChoice(options=["plain", "costly", "cheap"]),
            "n": PymooInteger(bounds=(0, 20)),
            "z": PymooReal(bounds=(-5, 5)),
        }
        super().__init__(vars=variables, n_obj=2, **kwargs)

    def _evaluate(self, X, out, *args, **kwargs):
        cost = {"plain": 2, "costly": 5, "cheap": 0}[X["kind"]] + (0 if X["flag"] else 3)
        out["F"] = [X["z"] ** 2 + (X["n"] - 7) ** 2 + cost, (X["z"] - 2) ** 2 + (X["n"] - 9) ** 2 + cost]


def test_mixed_pymoo_problem_is_searched_as_well_as_by_pymoo() -> None:
    ref, shares = [60.0, 60.0], []
    for seed in (1, 2, 3):
        algorithm = MixedVariableGA(pop_size=20, survival=RankAndCrowding())
        theirs = minimize(Mixed(), algorithm, ("n_evals", 400), seed=seed)
        ours = package.search(Mixed(), "nsga2", 20, ("n_evals", 400), seed=seed, workers=1, surrogate="none")
        shares.append(ours.hypervolume(ref) / hypervolume(theirs.F, ref))
        assert {c["kind"] for c in ours.configurations} == {"cheap"}
    assert np.median(shares) > 0.99


class Integers(Problem):
    def __init__(self):
        super().__init__(n_var=5, n_obj=2, n_ieq_constr=1, xl=0, xu=9, vtype=int)

    def _evaluate(self, X, out, *args, **kwargs):
        if X.dtype.kind != "i":
            raise TypeError("integers, please")
        out["F"] = np.column_stack([X.sum(axis=1), ((9 - X) ** 2).sum(axis=1)])
        out["G"] = 10 - X.sum(axis=1)[:, None]


def test_integer_pymoo_problem_gets_each_integer_once() -> None:
    result = package.search(Integers(), pop_size=40, termination=("n_evals", 800), seed=1, surrogate="none")
    assert {e.status for e in result.evaluations} == {"ok"}
    assert len({e.configuration_json for e in result.evaluations}) == 800
    assert result.F[:, 0].min() == 10


def test_a_function_is_a_problem_and_its_failures_are_listed(tmp_path: Path) -> None:
    def function(config, seed):
        if config["x"] > 0.7:
            raise OverflowError("too far to the right")
        return {"a": config["x"], "b": (1 - config["x"]) / config["n"], "seed": seed}

    variables = {"x": package.Real(0, 1), "n": package.Integer(1, 4)}
    result = package.search(
        function,
        variables=variables,
        objectives={"a": "min", "b": "min"},
        termination=("n_evals", 40),
        workers=2,
        surrogate="none",
        run_dir=tmp_path / "r",
    )
    failed = [e for e in result.evaluations if e.configuration["x"] > 0.7]
    assert failed and {e.status for e in failed} == {"failed"}
    assert {e.status for e in result.evaluations if e not in failed} == {"ok"}
    assert all(e.metrics["seed"] == e.seed for e in result.evaluations if e.status == "ok")
    shown = evo_moo("show", tmp_path / "r", cwd=tmp_path).stdout
    assert f"{len(failed)} failed: OverflowError: too far to the right" in shown


def test_start_configurations_come_first_and_designs_spread() -> None:
    start = [{"x": 0.25, "rate": 0.01, "n": 3, "kind": "plain"}]
    for sampling in ("random", "lhs", "sobol"):
        result = package.search(
            f"{USER_FILE}:Small", pop_size=16, termination=("n_evals", 16), workers=1, sampling=sampling, start=start
        )
        assert result.evaluations[0].configuration == start[0]
        values = np.array([e.configuration["x"] for e in result.evaluations[1:]])
        if sampling == "lhs":
            assert len(set((values * 15).astype(int))) == 15


def test_entry_points_of_another_package_are_problems_too(tmp_path: Path) -> None:
    package_dir = tmp_path / "other"
    package_dir.mkdir()
    (package_dir / "other_problems.py").write_text(
        "from evo_moo import Real, SearchProblem\n\n\nclass Other(SearchProblem):\n"
        '    variables = {"x": Real(0, 1)}\n    objectives = {"a": "min", "b": "min"}\n\n'
        '    def evaluate(self, config):\n        return {"a": config["x"], "b": 1 - config["x"]}\n'
    )
    info = package_dir / "other-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[evo_moo.problems]\nother = other_problems:Other\n")
    code = (
        "import evo_moo; r = evo_moo.search('other', termination=('n_evals', 20), workers=1, surrogate='none')\n"
        "print(len(r.front))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=package_dir, capture_output=True, text=True)
    assert done.stdout.strip() == "20", done.stderr


def test_a_users_file_runs_from_another_folder_with_its_options(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    settings = ["--option", "failing=false", "--n-evals", 40, "--workers", 2, "--run-dir", "r", "--seed", 4]
    settings += ["--surrogate", "none"]
    evo_moo("run", f"{USER_FILE}:Small", *settings, cwd=tmp_path / "elsewhere")
    result = Result.read(tmp_path / "elsewhere" / "r")
    assert {e.status for e in result.evaluations} == {"ok", "infeasible"}
    again = package.search(
        f"{USER_FILE}:Small",
        options={"failing": False},
        termination=("n_evals", 40),
        seed=4,
        run_dir=tmp_path / "s",
        workers=1,
        surrogate="none",
    )
    assert len(again.front) == len(front_of(tmp_path / "elsewhere" / "r"))
    assert ledger_of(tmp_path / "s") == ledger_of(tmp_path / "elsewhere" / "r")


BAD = {
    "missing.py": ('return {"a": 1.0}', "must return `b`, but it returned `a` (missing.py, line 8)"),
    "text.py": ('return {"a": "small", "b": 1.0}', "must be a number, but is str 'small' (text.py, line 8)"),
    "nan.py": ('return {"a": float("nan"), "b": 1.0}', "must be finite, but is nan (nan.py, line 8)"),
    "raises.py": ("raise KeyError('lr')", "KeyError: 'lr' (raises.py, line 9)"),
    "random.py": (
        'import random; return {"a": random.random(), "b": config["x"]}',
        "must be the same for the same configuration and seed",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_check_names_the_fault_and_its_line(name: str, tmp_path: Path) -> None:
    body, message = BAD[name]
    (tmp_path / f"bad_{name}").write_text(
        "from evo_moo import Real, SearchProblem\n\n\nclass Bad(SearchProblem):\n"
        '    variables = {"x": Real(0, 1)}\n    objectives = {"a": "min", "b": "min"}\n\n'
        f"    def evaluate(self, config):\n        {body}\n"
    )
    done = evo_moo("check", f"bad_{name}:Bad", cwd=tmp_path, code=2)
    assert message.replace(name, f"bad_{name}") in done.stderr
    if name == "nan.py":
        with pytest.raises(ProblemError):
            check_problem(f"{tmp_path}/bad_{name}:Bad")


def test_check_describes_a_good_problem(tmp_path: Path) -> None:
    done = evo_moo("check", "digits_cnn", "--option", "epochs=1", "--option", "copies=1", "--n-evals", 1, cwd=tmp_path)
    assert all(word in done.stdout for word in ("latency_ms", "held_out", "3 of 3 ended well", "No faults found"))
    check = check_problem(get_problem("bnh"))
    assert check.problem is not None and check.notes == []
    assert len(check.observed("f1")) == 6


def test_new_writes_a_file_that_checks_and_runs(tmp_path: Path) -> None:
    evo_moo("new", "my_first.py", cwd=tmp_path)
    assert "No faults found" in evo_moo("check", "my_first.py:MyFirst", cwd=tmp_path).stdout
    options = ["--n-evals", 60, "--option", "n_samples=100", "--surrogate", "none"]
    done = evo_moo("run", "my_first.py:MyFirst", *options, cwd=tmp_path)
    assert "Pareto front" in done.stdout and "infeasible: `n_params` must be at most 150" in done.stdout
    assert "must be a new file" in evo_moo("new", "my_first.py", cwd=tmp_path, code=2).stderr


def test_a_class_that_is_no_problem_is_refused(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text("class Odd:\n    pass\n")
    done = evo_moo("run", "odd.py:Odd", "--n-evals", 9, cwd=tmp_path, code=2)
    told = done.stderr
    assert "odd.py:Odd" in told and "must be a SearchProblem or a pymoo Problem, but is the class Odd" in told

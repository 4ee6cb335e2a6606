"""Define-by-run objectives, searched without Optuna: explored, continued after a kill, pruned, and limited."""

import contextlib
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evo_moo import JobError, MetricError, RunFolderError, SearchFailedError, resume, search
from evo_moo.problem.trials.trial import TrialPruned
from evo_moo.storage.reading import reading
from tests.integration.running import evo_moo, ledger_of

STUDY = """
import random, time
from pathlib import Path

def objective(trial):
    x = trial.suggest_float("x", -5, 5)
    if trial.suggest_categorical("kind", ["plain", "layered"]) == "layered":
        for i in range(trial.suggest_int("n layers", 1, 3)):
            x += trial.suggest_float(f"u{i}", 0, 1)
    trial.set_user_attr("note", f"x is {x:.2f}")
    trial.set_user_attr("size_mb", abs(x) + 1)
    trial.set_user_attr("luck", random.random())
    trial.set_user_attr("constraint", (1 - x,))
    if Path("slow").exists():
        time.sleep(0.3)
    return x**2, (x - 2) ** 2

def constraints(trial):
    return trial.user_attrs["constraint"]
"""
DIRECTIONS = ["--directions", "minimize", "minimize"]
QUICK = ["--surrogate", "none", "--set", "search.pop_size=8"]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "study.py").write_text(STUDY)
    return tmp_path


def spaces(run_dir: Path) -> dict[str, Any]:
    with reading(run_dir) as ledger:
        return {name: kind.get("when") for name, kind in ledger.facts().space.items()}


def test_a_command_explores_an_objective_and_searches_it(study: Path) -> None:
    said = evo_moo(
        "run", "study.py:objective", *DIRECTIONS, *QUICK, "--n-evals", 30, "--run-dir", "r", cwd=study
    ).stderr
    assert spaces(study / "r") == {
        "x": None,
        "kind": None,
        "n_layers": {"kind": ["layered"]},
        "u0": {"kind": ["layered"]},
        "u1": {"n_layers": {"at_least": 2}},
        "u2": {"n_layers": {"at_least": 3}},
    }
    assert "explores by up to 15 evaluations" in said and "`n layers` is named `n_layers` here" in said
    with reading(study / "r") as ledger:
        n_explored = len(list(ledger.events("explored")))
        evaluated = [e for e in ledger.evaluations() if not e.is_told]
        assert n_explored + len(evaluated) == 30
        assert all(e.facts["note"].startswith("x is") and e.metrics["size_mb"] >= 1 for e in evaluated)
        assert not any("unlearnt" in e.facts for e in evaluated)


@pytest.mark.slow
def test_a_killed_exploration_goes_on_and_ends_as_its_twin(study: Path) -> None:
    command = ["run", "study.py:objective", *DIRECTIONS, *QUICK, "--n-evals", 24, "--workers", 1, "--run-dir"]
    evo_moo(*command, "whole", cwd=study)
    (study / "slow").touch()
    arguments = [sys.executable, "-m", "evo_moo", *map(str, command), "killed"]
    process = subprocess.Popen(arguments, cwd=study, stderr=subprocess.DEVNULL)
    for _ in range(600):
        time.sleep(0.1)
        with contextlib.suppress(RunFolderError), reading(study / "killed") as ledger:
            if list(ledger.events("explored")):
                break
    assert process.poll() is None
    process.kill()
    process.wait()
    (study / "slow").unlink()
    evo_moo("show", "killed", cwd=study, code=1)
    evo_moo("resume", "killed", cwd=study)
    assert spaces(study / "killed") == spaces(study / "whole")
    assert ledger_of(study / "killed") == ledger_of(study / "whole")
    evo_moo(*command, "killed", cwd=study)  # finished
    evo_moo("resume", "killed", "--n-evals", 28, cwd=study)
    with reading(study / "killed") as ledger:
        assert len(list(ledger.events("explored"))) + sum(not e.is_told for e in ledger.evaluations()) == 28


@pytest.mark.slow
def test_two_workers_explore_what_one_does(study: Path) -> None:
    for n in (1, 2):
        n_evals = ["--n-evals", 20, "--workers", n, "--run-dir", f"r{n}"]
        evo_moo("run", "study.py:objective", *DIRECTIONS, *QUICK, *n_evals, cwd=study)
    assert ledger_of(study / "r1") == ledger_of(study / "r2")


def test_named_directions_and_constraints_by_command(study: Path) -> None:
    named = ["--directions", "near=minimize", "far=minimize", "--option", "constraints_func=constraints"]
    evo_moo("run", "study.py:objective", *named, *QUICK, "--n-evals", 30, "--run-dir", "r", cwd=study)
    with reading(study / "r") as ledger:
        goals = ledger.facts().goals
        assert [o.metric for o in goals.objectives] == ["near", "far"]
        assert [limit.metric for limit in goals.limits] == ["constraint_0"]
        assert all(e.metrics["near"] >= 1 for e in ledger.feasible())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--directions", "minimize", "down"], "`--directions` must be maximize or minimize for each value"),
        (["minimize"], "a run must be of one job or problem, but 'minimize' is given too; leave it out"),
        ([], "or one that takes a trial with directions=…"),
        (["--directions", "minimize"], "the objective must return 1 value"),
        ([*DIRECTIONS, "--option", "constraints_func=limits"], "beside the objective, but there is no `limits`"),
    ],
)
def test_wrong_calls_are_one_message(study: Path, arguments: list[str], words: str) -> None:
    call = ["run", "study.py:objective", *arguments, "--n-evals", 10, "--run-dir", "r"]
    said = evo_moo(*call, cwd=study, code=None)
    assert said.returncode in (1, 2) and words in said.stderr and "Traceback" not in said.stderr
    assert not (study / "r").exists()


def bumpy(trial: Any) -> float:
    x = trial.suggest_float("x", -5, 5)
    y = 0.0
    for step in range(8):
        y = x**2 + 10 / (step + 1)
        trial.report(y, step)
        if trial.should_prune():
            raise TrialPruned
    return y


@pytest.mark.slow
def test_should_prune_stops_trainings_early() -> None:
    budget, options = ("n_evals", 60), {"workers": 1, "surrogate": "none", "pop_size": 8}
    result = search(bumpy, directions=["minimize"], termination=budget, refinement={"risk": 0.3}, **options)
    stopped = [e for e in result.evaluations if e.status == "stopped"]
    assert stopped and all("at best value" in e.reason for e in stopped)
    assert min(e.metrics["value"] for e in result.front) == min(e.metrics["value"] for e in result.evaluations)


def test_an_objective_may_prune_by_a_rule_of_its_own() -> None:
    def objective(trial: Any) -> float:
        x = trial.suggest_float("x", 0, 1)
        trial.report(x, 0)
        if x > 0.5:
            raise TrialPruned
        return x

    result = search(objective, directions=["minimize"], termination=("n_evals", 20), workers=1, surrogate="none")
    ended = {e.status for e in result.evaluations if not e.is_told}
    assert ended <= {"ok", "stopped"} and all(e.metrics["value"] <= 0.5 for e in result.front)


def test_constraints_of_the_trial_and_of_user_attributes() -> None:
    def objective(trial: Any) -> tuple[float, float]:
        x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
        trial.set_constraint("sum", 0.5 - x - y)
        trial.set_user_attr("cost", np.float64(x * y))
        return x, y

    result = search(
        objective,
        directions={"x": "minimize", "y": "minimize"},
        constraints={"cost": {"at_most": 0.1}},
        termination=("n_evals", 30),
        workers=1,
        surrogate="none",
    )
    assert [limit.metric for limit in result.goals.limits] == ["cost", "sum"]
    assert all(e.metrics["sum"] <= 0 and e.metrics["cost"] <= 0.1 for e in result.front)


def test_unlearnt_values_are_drawn_and_noted() -> None:
    calls = []

    def objective(trial: Any) -> float:
        x = trial.suggest_float("x", 0, 1)
        calls.append(x)
        return x + (trial.suggest_float("rare", 1, 2) if len(calls) > 6 else 0.0)

    result = search(
        objective, directions=["maximize"], termination=("n_evals", 8), start=[], workers=1, surrogate="none", explore=4
    )
    noted = [set(e.facts.get("unlearnt", {})) for e in result.evaluations]
    assert {"rare"} in noted and all(names <= {"rare"} for names in noted)


def test_a_python_objective_goes_on_in_its_folder(tmp_path: Path) -> None:
    def objective(trial: Any) -> float:
        return trial.suggest_float("x", 0, 1) ** 2

    options: dict[str, Any] = {"directions": ["minimize"], "workers": 1, "surrogate": "none", "run_dir": tmp_path / "r"}
    first = search(objective, termination=("n_evals", 12), **options)
    more = search(objective, termination=("n_evals", 20), **options)
    assert len(more.evaluations) == len(first.evaluations) + 8
    assert [e.configuration for e in more.evaluations][: len(first.evaluations)] == [
        e.configuration for e in first.evaluations
    ]
    with pytest.raises(Exception, match=r"call evo_moo\.search again as before"):
        resume(tmp_path / "r")


def test_objectives_without_a_space_are_refused() -> None:
    budget = {"termination": ("n_evals", 10), "workers": 1, "directions": ["minimize"]}

    def failing(trial: Any) -> float:
        raise ValueError("no data")

    def changing(trial: Any) -> float:
        n = trial.suggest_int("n", 1, 4)
        return float(trial.suggest_categorical("c", [*range(n)]))

    with pytest.raises(SearchFailedError, match="every evaluation that explored failed, the first with ValueError: no"):
        search(failing, **budget)
    with pytest.raises(JobError, match="`problem`: `c`: choices must be the same in each call"):
        search(changing, **budget)
    with pytest.raises(JobError, match="asked for none"):
        search(lambda trial: 1.0, **budget)
    with pytest.raises(JobError, match="`directions` must hold 'maximize' or 'minimize'"):
        search(failing, **{**budget, "directions": ["up"]})
    with pytest.raises(JobError, match="declares no `fidelity`"):
        search(lambda t: t.suggest_float("x", 0, 1), refinement={"risk": 0.1}, **budget)
    assert issubclass(MetricError, ValueError)

from pathlib import Path

import pytest

from evo_moo import Real, SearchProblem
from evo_moo.analysis.governance.audit import Audit
from evo_moo.analysis.governance.run_difference import RunDifference
from evo_moo.errors import JobError, ProblemError, RunFolderError
from evo_moo.job.check import check_job
from evo_moo.run.api import run_job
from evo_moo.run.preparation.prepared import prepare


class Rows(SearchProblem):
    variables = {"x": Real(0, 1)}
    objectives = {"a": "min", "b": "min"}
    constraints = {"a": {"at_most": 0.9}}

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.data_files = [file]

    def evaluate(self, config):
        return {"a": config["x"], "b": 1 - config["x"]}


def search(problem: SearchProblem, folder: Path, seed: int = 1, n_evals: int = 8, **more) -> None:
    evaluation = {"workers": 1, "pool": "serial"}
    job = {"problem": {"use": "the Python object Rows"}, "search": {"pop_size": 4, "seed": seed}, **more}
    job |= {"budget": {"n_evals": n_evals}, "surrogate": {"model": "none"}, "evaluation": evaluation}
    run_job(prepare(*check_job(job, problem), folder), folder, verbose=False)


@pytest.fixture
def problem(tmp_path: Path) -> Rows:
    (tmp_path / "rows.csv").write_text("1")
    return Rows(tmp_path / "rows.csv")


def test_an_audit_says_who_asked_for_what_and_why(problem: Rows, tmp_path: Path) -> None:
    search(problem, tmp_path / "r", policies={"a": "SLO 17; owner: shop"})
    search(problem, tmp_path / "r", n_evals=12, policies={"a": "SLO 18; owner: shop"})
    found = Audit.read(tmp_path / "r")
    assert found.goals == {"min a": "SLO 18; owner: shop", "min b": "", "a at_most 0.9": "SLO 18; owner: shop"}
    assert [(entry.what, entry.detail["budget"]["n_evals"]) for entry in found.trail] == [("run", 8), ("resume", 12)]
    assert sum(found.origins.values()) == 12
    assert found.parts[f"data {problem.data_files[0]}"].startswith("digest ")


def test_a_run_on_other_data_is_refused(problem: Rows, tmp_path: Path) -> None:
    search(problem, tmp_path / "r")
    problem.data_files[0].write_text("2")
    with pytest.raises(RunFolderError, match=r"rows\.csv` has changed"):
        search(problem, tmp_path / "r", n_evals=12)
    problem.data_files[0].unlink()
    with pytest.raises(ProblemError, match="must name files, but there is no"):
        search(problem, tmp_path / "new")


def test_a_policy_of_no_goal_is_a_fault(problem: Rows, tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"`policies\.c` must be of an objective or a limit, a, b, but is of neither"):
        search(problem, tmp_path / "r", policies={"c": "why"})


def test_two_runs_differ_where_they_do(problem: Rows, tmp_path: Path) -> None:
    search(problem, tmp_path / "one")
    search(problem, tmp_path / "same")
    search(problem, tmp_path / "other", seed=2, constraints={"a": {"at_most": 0.5}})
    same = RunDifference.read(tmp_path / "one", tmp_path / "same").to_json()
    assert {part: table for part, table in same.items() if table and part != "runs"} == {
        "front": {name: same["front"][name] for name in ("evaluations", "members")}
    }
    found = RunDifference.read(tmp_path / "one", tmp_path / "other")
    assert found.job["search.seed"] == (1, 2)
    assert found.goals == {"limit a at_most": (0.9, 0.5)}
    assert not found.space and not found.parts


def test_the_trail_is_no_part_of_a_refused_run(tmp_path: Path, problem: Rows) -> None:
    with pytest.raises(JobError):
        search(problem, tmp_path / "r", n_evals=0)
    assert not (tmp_path / "r").exists()
    with pytest.raises(RunFolderError):
        Audit.read(tmp_path / "r")

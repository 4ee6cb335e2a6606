"""Confirming and comparing through the command line, and through kills."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from evo_moo.analysis.result import Result
from tests.integration.running import evo_moo as command

pytestmark = pytest.mark.slow

PROBLEM = """
import random, evo_moo
class Mine(evo_moo.SearchProblem):
    variables = {"x": evo_moo.Integer(1, 30)}
    objectives = {"error": "min", "size": "min"}
    def evaluate(self, config, *, seed):
        return {"error": 9 / config["x"] + random.Random(seed + config["x"]).gauss(0, 0.1), "size": config["x"]}
"""


def test_confirmation_killed_at_any_write_ends_as_undisturbed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.kill_at_confirmation", str(tmp_path), "17"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_run_is_confirmed_in_workers_and_its_members_compared(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PROBLEM)
    search = ["--n-evals", 8, "--algorithm", "random", "--set", "evaluation.pool=serial", "--run-dir", "runs/a"]
    command("run", "mine.py:Mine", *search, cwd=tmp_path)
    report = json.loads(command("confirm", "a", "--seeds", 3, "--workers", 2, "--json", cwd=tmp_path).stdout)
    front = Result.read(tmp_path / "runs" / "a").rows()
    assert [member["id"] for member in report["members"]] == [row["id"] for row in front]
    assert any("no test split for error" in note for note in report["notes"])
    assert (tmp_path / "runs" / "a" / "confirmation" / "confirmation.png").stat().st_size > 0
    ids = [f"a:{row['id']}" for row in front[:2]]
    compared = json.loads(command("compare", *ids, "--json", cwd=tmp_path).stdout)
    assert {test["metric"] for test in compared["comparisons"]} == {"error", "size"}
    assert (
        "must go with configurations" in command("compare", "a", "b", "--metric", "error", cwd=tmp_path, code=2).stderr
    )

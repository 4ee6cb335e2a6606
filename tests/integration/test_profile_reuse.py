"""A profile is made once per architecture, in a run and in those after it; the ledger says so."""

import sqlite3
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from evo_moo import Result
from tests.integration.running import evo_moo

PROBLEM = """
from pathlib import Path

import evo_moo.problem.measurements
import evo_moo.toolkit.latency
from evo_moo import Integer, Real, SearchProblem
from evo_moo.toolkit.latency import Effort, measure_latency

# Whatever else runs on the machine of the test, nothing is in doubt.
evo_moo.toolkit.latency.were_alone = lambda blocks: True
evo_moo.problem.measurements.WIDEST = float("inf")


class Measured(SearchProblem):
    variables = {"width": Integer(1, 3), "lr": Real(0, 1)}
    architecture = ["width"]
    objectives = {"error": "min", "latency_ms": "min"}
    constraints = {"latency_ms": {"at_most": 1000}}

    def profile(self, config):
        with Path(__file__).with_name("calls").open("a") as file:
            file.write(f"{config['width']}\\n")
        # 30 blocks of 3 ms with the reference's between them: never below 0.1 s
        effort = Effort(warmup_s=0.01, min_blocks=30, max_blocks=30)
        return {"latency_ms": measure_latency(lambda: sum(range(100 * config["width"])), effort=effort).corrected_ms}

    def evaluate(self, config):
        return {"error": config["lr"]}
"""


def calls(folder: Path) -> Counter[str]:
    counted = Counter((folder / "calls").read_text().split())
    (folder / "calls").write_text("")
    return counted


def latencies(run: Path) -> dict[int, set[float]]:
    """The latencies of each width."""
    seen = defaultdict(set)
    for evaluation in Result.read(run).evaluations:
        seen[evaluation.configuration["width"]].add(evaluation.metrics["latency_ms"])
    return seen


def reused(run: Path) -> list[int]:
    """The evaluations whose profile the ledger says to be another's."""
    with sqlite3.connect(run / "run.sqlite") as db:
        events = db.execute(
            "SELECT json_extract(detail, '$.evaluation') FROM events WHERE kind = 'profile reused' AND "
            "json_extract(detail, '$.measured_at') > 0"
        )
        return [number for (number,) in events]


@pytest.mark.slow
def test_a_profile_is_made_once_per_architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVO_MOO_CACHE_DIR", str(tmp_path / "cache"))
    file = tmp_path / "measured.py"
    file.write_text(PROBLEM)

    def search(name: str, seed: int, *settings: Any) -> dict[int, set[float]]:
        more = ["--set", f"search.seed={seed}", "--set", "search.pop_size=6", "--surrogate", "none", *settings]
        use = ["measured.py:Measured", "--n-evals", 12, "--workers", 1, "--run-dir", name]
        evo_moo("run", *use, *more, cwd=tmp_path)
        return latencies(tmp_path / name)

    first = search("first", 1)
    assert calls(tmp_path) == {"1": 1, "2": 1, "3": 1}
    assert {len(values) for values in first.values()} == {1}
    assert len(reused(tmp_path / "first")) == 12 - 3

    second = search("second", 2)
    assert second == first
    assert calls(tmp_path) == {} and reused(tmp_path / "second") == list(range(1, 13))

    anew = search("anew", 2, "--set", "evaluation.profile_cache=false")
    assert calls(tmp_path).total() == 12 and reused(tmp_path / "anew") == []
    assert {len(values) for values in anew.values()} == {1}  # what all its measurements say

    in_process = search("serial", 2, "--set", "evaluation.pool=serial")
    assert calls(tmp_path) == {"1": 1, "2": 1, "3": 1} and in_process != first

    file.write_text(PROBLEM + "\nchanged = 1\n")
    search("changed", 1)
    assert calls(tmp_path) == {"1": 1, "2": 1, "3": 1}

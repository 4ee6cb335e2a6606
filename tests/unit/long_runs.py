"""Runs of many evaluations, which were never made, and what reading them takes."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from evo_moo import Choice, Integer, Real, SearchProblem
from evo_moo.evaluation.task import Outcome
from evo_moo.optimizer.candidate import Candidate
from evo_moo.storage.ledger import Ledger


class Plain(SearchProblem):
    variables = {
        **{f"x{i}": Real(0.0, 1.0) for i in range(4)},
        "kind": Choice(["one", "other"]),
        "n": Integer(1, 9, when={"kind": "one"}),
    }
    objectives = {"a": "min", "b": "max"}
    constraints = {"c": {"at_most": 0.8}}


def long_run(path: Path, n: int) -> Path:
    """Write a finished run of ``n`` evaluations into a folder; a tenth of them failed."""
    rng, problem = np.random.default_rng(1), Plain()
    X = problem.space.sample(n, rng)
    values = rng.random((n, 3))
    ledger = Ledger(path / "run.sqlite")
    with ledger.transaction():
        job = {"problem": {"use": "plain.py:Plain"}, "search": {"algorithm": "nsga2", "seed": 1}, "budget": {}}
        metrics = {name: {} for name in "abc"}
        ledger.set_meta(job=job, goals=problem.goals.to_json(), metrics=metrics, space=problem.space.to_json())
        ledger.set_meta(front="archive", state="finished")
        configurations = problem.space.decode(X)
        ledger.record_asked(
            (Candidate(i, i // 100 + 1, configurations[i - 1], X[i - 1], "mating", ()), i) for i in range(1, n + 1)
        )
        outcomes = [
            Outcome(i, "ok", m, facts={"note": "n"})
            if i % 10
            else Outcome(i, "failed", {}, f"RuntimeError: number {i % 7}")
            for i, row in enumerate(values.tolist(), 1)
            for m in [dict(zip("abc", row, strict=True))]
        ]
        ledger.record_outcomes(outcomes, problem.goals.violation)
    ledger.close()
    return path


def peak_mb(reader: Callable[[Path], Any], run: Path) -> float:
    """Return how much memory Python needs at most to read a run, in MB."""
    tracemalloc.start()
    try:
        reader(run)
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()

"""Make golden run folders of the present format: ``python -m tests.golden.make_golden``.

They are made once for each format, by the version that wrote it, and kept for good. Nothing in them tells of the
machine that made them.
"""

import contextlib
import itertools
import json
import os
import shutil
import signal
import sqlite3
from pathlib import Path
from typing import Any

import evo_moo
from evo_moo.errors import RunStoppedError
from evo_moo.storage.migrations import FORMAT
from tests.golden.ladder import GoldenLadder
from tests.golden.points import GoldenPoints
from tests.golden.problem import Golden

HERE = Path(__file__).parent
JOBS: dict[str, dict[str, Any]] = {
    "finished": {"algorithm": "nsga2", "termination": ("n_evals", 32)},
    "stopped": {"algorithm": "nsga2", "termination": ("n_evals", 40)},
    "stopped-points": {"algorithm": "nsga2", "termination": ("n_evals", 40)},
    "stopped-refined": {"termination": ("n_evals", 20), "refinement": {"eta": 3, "replicates": 2}},
    "stopped-steady-state": {"algorithm": "nsga2", "termination": ("n_evals", 40), "mode": "steady-state"},
}
STOPPED_AT = {"stopped": 17, "stopped-points": 17, "stopped-refined": 45, "stopped-steady-state": 17}
ENVIRONMENT = {"platform": "any", "processor": "any", "cores": 2, "memory_gb": 8.0, "git_commit": None, "packages": {}}


def search(name: str, run_dir: Path | None) -> evo_moo.Result:
    """Run one of the jobs in this process."""
    problem = GoldenLadder if "refinement" in JOBS[name] else GoldenPoints if name == "stopped-points" else Golden
    use = f"{problem.__module__}:{problem.__name__}"
    return evo_moo.search(use, pop_size=8, seed=3, workers=1, run_dir=run_dir, surrogate="none", **JOBS[name])


def make(name: str, run_dir: Path) -> None:
    """Run a job; one to be stopped asks for it itself, in the midst of an evaluation."""
    evaluate, count = Golden.evaluate, itertools.count(1)

    def stopping(self: Golden, config: dict[str, Any], *, seed: int) -> dict[str, float]:
        if next(count) == STOPPED_AT.get(name):
            signal.raise_signal(signal.SIGTERM)
        return evaluate(self, config, seed=seed)

    Golden.evaluate = stopping
    try:
        with contextlib.suppress(RunStoppedError):
            search(name, run_dir)
    finally:
        Golden.evaluate = evaluate
    environment = json.loads((run_dir / "environment.json").read_text())
    (run_dir / "environment.json").write_text(json.dumps(environment | ENVIRONMENT, indent=2) + "\n")
    with contextlib.closing(sqlite3.connect(run_dir / "run.sqlite", isolation_level=None)) as db:
        db.execute("UPDATE evaluations SET worker = 1, traceback = replace(traceback, ?, '')", (f"{HERE.parents[1]}/",))
        db.execute("DELETE FROM meta WHERE key = 'place'")
        db.execute("VACUUM")
    (run_dir / ".lock").unlink(missing_ok=True)


def main() -> None:
    """Make all folders anew."""
    folder = HERE / f"format_{FORMAT}"
    shutil.rmtree(folder, ignore_errors=True)
    os.environ["TZ"] = "UTC"
    for name in JOBS:
        make(name, folder / name)
        (folder / name / ".seal").unlink(missing_ok=True)


if __name__ == "__main__":
    main()

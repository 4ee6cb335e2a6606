"""How the integration tests start the command line and read what it left."""

import csv
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

USER_FILE = Path(__file__).parent / "user" / "problem.py"
MEASURED = ("latency_ms", "train_s")


def evo_moo(*arguments: Any, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command and check its exit code."""
    command = [sys.executable, "-m", "evo_moo", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=250, env=dict(os.environ))
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr or code == 1, done.stderr
    return done


def ledger_of(run_dir: Path) -> list[tuple[Any, ...]]:
    """Everything of the evaluations that is not a measured time."""
    with sqlite3.connect(run_dir / "run.sqlite") as db:
        rows = db.execute("SELECT id, generation, configuration, seed, status, reason, metrics FROM evaluations")
        table = [(*row[:-1], reproducible(json.loads(row[-1]))) for row in rows]
        generations = db.execute("SELECT generation, n_asked, population, optimum FROM generations").fetchall()
    return table + generations


def front_of(run_dir: Path) -> list[dict[str, Any]]:
    with (run_dir / "front.csv").open() as file:
        return [reproducible(row) for row in csv.DictReader(file)]


def reproducible(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in MEASURED}

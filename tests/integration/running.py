"""How the integration tests start the command line and read what it left."""

import csv
import json
import os
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from evo_moo.evaluation.pool import Pool
from evo_moo.evaluation.task import Outcome, Task
from evo_moo.plugins import ProblemSource
from tests.integration import command_server

USER_FILE = Path(__file__).parent / "user" / "problem.py"
PATIENCE_S = 600
"""For what ends by itself: only a test that hangs ever waits as long, however slow the machine."""
MEASURED = ("latency_ms", "latency_raw_ms", "train_s")


def evo_moo(*arguments: Any, cwd: Path, code: int | None = 0, draws: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a command and check its exit code, unless that is None; a search leaves no picture unless it ``draws``."""
    done = command_server.run([str(argument) for argument in arguments], cwd, draws)
    assert code is None or done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr or code == 1, done.stderr
    return done


def ledger_of(run_dir: Path) -> list[tuple[Any, ...]]:
    """Everything of the evaluations that is not a measured time."""
    with sqlite3.connect(run_dir / "run.sqlite") as db:
        rows = db.execute("SELECT id, generation, configuration, seed, status, reason, metrics FROM evaluations")
        table = [(*row[:-1], reproducible(json.loads(row[-1]))) for row in rows]
        generations = db.execute("SELECT generation, n_asked, population, optimum FROM generations").fetchall()
        rows = db.execute("SELECT evaluation, point, choices, fault, metrics FROM points ORDER BY 1, 2")
        points = [(*row[:-1], reproducible(json.loads(row[-1]))) for row in rows]
    return table + generations + points


def front_of(run_dir: Path) -> list[dict[str, Any]]:
    with (run_dir / "front.csv").open() as file:
        return [reproducible(row) for row in csv.DictReader(file)]


def reproducible(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key.rpartition(".")[2] not in MEASURED}


def fates(folder: Path) -> ProblemSource:
    """The problem of every fate; its evaluations keep their files in the folder."""
    return ProblemSource(f"{USER_FILE.with_name('fates.py')}:Fates", {"folder": str(folder)})


def evaluated(pool: Pool, names: Sequence[str]) -> list[Outcome]:
    """Evaluate one configuration for each fate, as the engine does."""
    tasks = [Task(i, {"fate": name, "i": i}, i) for i, name in enumerate(names)]
    outcomes: list[Outcome] = []
    while tasks or pool.running:
        while tasks and pool.free:
            pool.submit(tasks.pop(0))
        outcomes += pool.next_finished(1.0)
    return outcomes


class Killer:
    """Kills the processes whose ids come through a named pipe."""

    def __init__(self, pipe: Path) -> None:
        os.mkfifo(pipe)
        self._pipe, self.killed = pipe, list[int]()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._kill)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._pipe.open("w") as file:
            file.write("end\n")
        self._thread.join()

    def _kill(self) -> None:
        with os.fdopen(os.open(self._pipe, os.O_RDWR), "rb", buffering=0) as file:
            while (line := file.readline()) != b"end\n":
                self.killed.append(int(line))
                os.kill(int(line), signal.SIGKILL)

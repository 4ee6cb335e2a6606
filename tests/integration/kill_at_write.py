"""Run a short search again and again, each time killed at another of its writes: ``python -m`` this, with a folder.

A write is a statement that changes the ledger, or one of the steps in which a file is written, removed or renamed.
Every run is a forked process of its own.
"""

import itertools
import os
import pathlib
import shutil
import sqlite3
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import evo_moo
from evo_moo.run.doctor import examine
from evo_moo.storage import database
from evo_moo.storage.reading import reading
from tests.integration.running import front_of, ledger_of

KILLED = 77


class Death:
    """Ends the process at the n-th write."""

    def __init__(self, at: int | None) -> None:
        self.at, self.count = at, 0

    def comes(self) -> bool:
        self.count += 1
        return self.count == self.at

    def may_come(self) -> None:
        if self.comes():
            os._exit(KILLED)


def arm(death: Death) -> None:
    class Dying(database.Bounded):
        def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
            if not sql.startswith(("SELECT", "PRAGMA trusted_schema")):
                death.may_come()
            return super().execute(sql, *args)

        def executemany(self, sql: str, *args: Any) -> sqlite3.Cursor:
            death.may_come()
            return super().executemany(sql, *args)

        def executescript(self, sql: str) -> sqlite3.Cursor:
            *statements, _ = sql.split(";")
            for statement in statements:
                self.execute(statement.strip())
            return self.cursor()

    database.Bounded = Dying  # type: ignore[misc]
    for name in ("replace", "unlink", "mkdir"):
        setattr(pathlib.Path, name, before(death, getattr(pathlib.Path, name)))
    for name in ("open", "fsync"):
        setattr(os, name, before(death, getattr(os, name)))


def before(death: Death, act: Callable[..., Any]) -> Callable[..., Any]:
    def acting(*args: Any, **options: Any) -> Any:
        death.may_come()
        return act(*args, **options)

    return acting


def search(run_dir: Path, mode: str, callbacks: Sequence[evo_moo.Callback] = ()) -> None:
    if mode.startswith("stopping"):
        evo_moo.search(
            "tests.integration.learning:Learning",
            pop_size=6,
            termination=("n_evals", 12),
            seed=3,
            workers=1,
            mode="steady-state" if mode.endswith("steady-state") else "generational",
            surrogate="none",
            refinement={"rungs": [9], "risk": 0.5},
            run_dir=run_dir,
            callbacks=callbacks,
        )
        return
    kind, _, mode = mode.partition("-") if mode.startswith(("refined", "points")) else ("", "", mode)
    refined, mode = kind == "refined", mode or "generational"
    problems = {"refined": "tests.golden.ladder:GoldenLadder", "points": "tests.golden.points:GoldenPoints"}
    evo_moo.search(
        problems.get(kind, "tests.golden.problem:Golden"),
        pop_size=4,
        termination=("n_evals", 5 if refined else 12),
        seed=3,
        workers=1,
        mode=mode,
        surrogate="none",
        refinement={} if refined else None,
        run_dir=run_dir,
        callbacks=callbacks,
    )


def forked(act: Callable[[], int | None]) -> int:
    """Do it in a process of its own; give its exit code, or what it returned if that is a small number."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = act() or 0
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", flush=True)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def killed_at(write: int, run_dir: Path, mode: str) -> int:
    def act() -> None:
        arm(Death(write))
        search(run_dir, mode)

    return forked(act)


def look(run_dir: Path) -> None:
    """Open what a kill left, as readers do."""
    if any((run_dir / name).exists() for name in ("job.toml", "run.sqlite")):
        findings = examine(run_dir)
        faults = {finding.what for finding in findings if not finding.sound}
        # Until the first transaction is committed, a run has no facts, and perhaps no tables yet.
        assert faults <= {
            "ledger",
            "facts",
            "job.toml",
            "evaluations",
            "generations",
            "checkpoint",
            "events",
            "points",
        }, faults
        if (run_dir / "run.sqlite").exists() and "ledger" not in faults and "facts" not in faults:
            assert not faults, faults
            if any(finding.detail == "the run has not begun yet" for finding in findings):
                return
            with reading(run_dir) as ledger:
                assert ledger.cost() <= 12
            evo_moo.Result.read(run_dir)


def main() -> None:
    folder, mode, step = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    search(folder / "twin", mode)
    expected = ledger_of(folder / "twin"), front_of(folder / "twin")
    faults = n_kills = 0
    run_dir = folder / "killed"
    for write in itertools.count(1, step):
        shutil.rmtree(run_dir, ignore_errors=True)
        code = killed_at(write, run_dir, mode)
        if code == 0:
            break
        n_kills += 1
        codes = [code, forked(lambda: look(run_dir))]
        again = killed_at(1 + write * 7 % 30, run_dir, mode) if write % 3 == 0 else 0
        codes += [forked(lambda: look(run_dir)), forked(lambda: search(run_dir, mode))]
        same = (ledger_of(run_dir), front_of(run_dir)) == expected
        if codes != [KILLED, 0, 0, 0] or again not in (0, KILLED) or not same:
            faults += 1
            print(f"killed at write {write}: {codes}, again {again}, {'same' if same else 'another'} end", flush=True)
    print(f"{n_kills} kills, {faults} faults")
    sys.exit(faults > 0 or n_kills < 90 // step)


if __name__ == "__main__":
    main()

"""Over two hundred SIGKILLs at random instants, of runs and of their workers.

Each of some short searches is killed again and again, and started again by the same command each time. In the end
its ledger and its front must be those of a twin that was left in peace, bit for bit, and every outcome that was
recorded before a kill must still be there, with the times of the evaluation that gave it: nothing lost, nothing
evaluated twice after it was recorded.
"""

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.integration.running import USER_FILE, evo_moo, front_of, ledger_of

N_EVALS, POP_SIZE, SEED = 96, 12, 20
LADDER = "[refinement]\nrungs = [1, 2, 4]"
KNOWN = (
    'configuration = { x = 0.3, rate = 0.01, n = 2, kind = "plain" }, '
    "metrics = { loss = 0.1, speed = 0.8, rate = 0.01, size = 2 }"
)
SEARCHES = {
    "nsga2, 1 worker": {},
    "nsga2, 2 workers": {"workers": 2},
    "nsga3, 2 workers": {"workers": 2, "algorithm": "nsga3"},
    "nsga2, no failures, 2 workers": {"workers": 2, "failing": False},
    "nsga2, in process": {"pool": "serial"},
    "steady-state, 1 worker": {"mode": "steady-state"},
    "steady-state nsga3, 1 worker": {"mode": "steady-state", "algorithm": "nsga3"},
    "models, 2 workers": {"workers": 2, "model": "rf"},
    "told values first, 2 workers": {"workers": 2, "more": f"start = [{{ {KNOWN} }}]"},
    "refinement, 2 workers": {"workers": 2, "problem": "Climbing", "n_evals": 32, "more": LADDER},
    "refinement, steady-state, 1 worker": {
        "mode": "steady-state",
        "problem": "Climbing",
        "n_evals": 32,
        "more": LADDER,
    },
    "refinement, models, 2 workers": {
        "workers": 2,
        "problem": "Climbing",
        "n_evals": 32,
        "model": "rf",
        "more": LADDER,
    },
    "dask, 2 workers": {"workers": 2, "pool": "dask"},
}
"""All but one have evaluations that fail; all have a limit that some candidates break."""
KINDS = ["start-up"] * 3 + ["evaluation"] * 8 + ["worker"] * 5 + ["end"] * 2


@dataclass
class Siege:
    """What a search went through: kills by the state in which they found it, and what they did to it."""

    found: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    repeated: int = 0
    equal: bool = False


def job(
    folder: Path, workers: int = 1, algorithm: str = "nsga2", mode: str = "generational", **settings: object
) -> Path:
    n_evals = settings.get("n_evals", N_EVALS)
    failing, pool = str(settings.get("failing", True)).lower(), settings.get("pool", "auto")
    path = folder / "job.toml"
    path.write_text(
        f'[problem]\nuse = "{USER_FILE}:{settings.get("problem", "Steady")}"\noptions = {{ failing = {failing} }}\n'
        f'[search]\nalgorithm = "{algorithm}"\npop_size = {POP_SIZE}\nseed = 3\nmode = "{mode}"\n'
        f"{settings.get('more', '')}\n"
        f'[surrogate]\nmodel = "{settings.get("model", "none")}"\n[budget]\nn_evals = {n_evals}\n'
        f'[evaluation]\nworkers = {workers}\npool = "{pool}"\nretries = 50\n'
    )
    return path


def recorded(run_dir: Path) -> dict[int, tuple[object, ...]]:
    """Every outcome that the ledger holds, with its times, by its number."""
    if not (run_dir / "run.sqlite").exists():
        return {}
    try:
        with sqlite3.connect(f"{(run_dir / 'run.sqlite').as_uri()}?mode=ro", uri=True) as db:
            rows = db.execute("SELECT * FROM evaluations").fetchall()
    except sqlite3.OperationalError:  # the tables are not made yet
        return {}
    status = 6
    return {row[0]: row for row in rows if row[status] != "asked"}


def state_of(run_dir: Path, n_all: int) -> str:
    """Say in which state a kill left a run."""
    if not (run_dir / "run.sqlite").exists():
        return "no ledger"
    try:
        with sqlite3.connect(f"{(run_dir / 'run.sqlite').as_uri()}?mode=ro", uri=True) as db:
            meta = dict(db.execute("SELECT key, value FROM meta"))
            asked, ended = (
                db.execute(f"SELECT count(*) FROM evaluations WHERE status {sign} 'asked'").fetchone()[0]
                for sign in ("=", "!=")
            )
    except sqlite3.OperationalError:
        return "no tables"
    if meta.get("state") == '"finished"':
        return "finished"
    if ended == n_all:
        return "all ended"
    if not asked + ended:
        return "nothing asked"
    return "evaluating" if asked else "between evaluations"


def strike(path: Path, run_dir: Path, kind: str, start_up_s: float, n_all: int, rng: random.Random) -> list[str]:
    """Start the run, kill perhaps a worker and then the run at random instants, and say when and what they left.

    ``n_all`` is the number of evaluations of the whole run.
    """
    found = []
    before = len(recorded(run_dir))
    wanted = {
        "start-up": 0,
        "evaluation": before + rng.randint(0, 9),
        "worker": before + 1,
        "end": n_all - rng.randint(0, 2),
    }[kind]
    command = [sys.executable, "-m", "evo_moo", "run", str(path), "--run-dir", str(run_dir)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        if kind == "start-up":
            time.sleep(rng.uniform(0, start_up_s))
        else:
            await_outcomes(run, run_dir, min(wanted, n_all))
        time.sleep(rng.uniform(0, 0.15 if kind == "end" else 0.03))
        if kind == "worker" and (workers := workers_of(run.pid)):
            rng.choice(workers).kill()
            found.append("of a worker")
            await_outcomes(run, run_dir, min(len(recorded(run_dir)) + 4, n_all))
        run.send_signal(signal.SIGKILL)
        run.wait()
    return [*found, f"in {kind}: {state_of(run_dir, n_all)}" if run.returncode == -signal.SIGKILL else "too late"]


def await_outcomes(run: subprocess.Popen[bytes], run_dir: Path, wanted: int) -> None:
    while run.poll() is None and len(recorded(run_dir)) < wanted:
        time.sleep(0.002)


def workers_of(pid: int) -> list[psutil.Process]:
    """Give the worker processes of a run; loky's resource tracker is none."""
    with contextlib.suppress(psutil.Error):
        return [child for child in psutil.Process(pid).children() if "popen_loky" in " ".join(child.cmdline())]
    return []


def besiege(folder: Path, settings: dict[str, object], kinds: list[str], rng: random.Random) -> Siege:
    """Run a search in peace, and beside it the same search under kills."""
    siege = Siege()
    path, run_dir = job(folder, **settings), folder / "war"  # type: ignore[arg-type]
    begin = time.monotonic()
    evo_moo("run", path, "--run-dir", folder / "peace", cwd=folder)
    start_up_s = (time.monotonic() - begin) / 2
    known: dict[int, tuple[object, ...]] = {}
    n_all = len(recorded(folder / "peace"))
    for kind in kinds:
        siege.found.update(strike(path, run_dir, kind, start_up_s, n_all, rng))
        now = recorded(run_dir)
        siege.lost += len(known.keys() - now.keys())
        siege.repeated += sum(now[i] != row for i, row in known.items() if i in now)
        known = now
    evo_moo("run", path, "--run-dir", run_dir, cwd=folder)
    now = recorded(run_dir)
    siege.lost += len(known.keys() - now.keys()) + max(0, n_all - len(now))
    siege.repeated += sum(now[i] != row for i, row in known.items() if i in now) + max(0, len(now) - n_all)
    siege.equal = ledger_of(run_dir) == ledger_of(folder / "peace") and front_of(run_dir) == front_of(folder / "peace")
    return siege


def main() -> None:
    rng, kills, sound = random.Random(SEED), 0, True
    print(f"{'search':32} kills  lost  repeated  equal  when, and what the kill left")
    for name, settings in SEARCHES.items():
        kinds = [kind for kind in KINDS if kind != "end"]
        rng.shuffle(kinds)
        kinds += [kind for kind in KINDS if kind == "end"]
        with tempfile.TemporaryDirectory() as folder:
            siege = besiege(Path(folder), settings, kinds, rng)
        n = sum(count for state, count in siege.found.items() if state != "too late")
        kills += n
        sound = sound and siege.equal and not siege.lost and not siege.repeated
        found = ", ".join(f"{count} {state}" for state, count in siege.found.most_common())
        print(f"{name:32} {n:5}  {siege.lost:4}  {siege.repeated:8}  {siege.equal!s:5}  {found}", flush=True)
    print(f"{kills} kills on {os.cpu_count()} cores")
    if not sound or kills < 200:
        raise SystemExit("every search must end like its twin after at least 200 kills in all, but has not")


if __name__ == "__main__":
    main()

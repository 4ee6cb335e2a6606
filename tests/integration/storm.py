"""A search in which evaluations raise, hang, are killed, use too much memory, or lose their host."""

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evo_moo import Result
from evo_moo.job.check import check_job
from evo_moo.run.api import run_job
from evo_moo.run.preparation.prepared import prepare
from tests.integration.running import USER_FILE, Killer

SHARES = {"raises": 0.10, "hangs": 0.03, "killed": 0.05, "hogs": 0.02}
ENDINGS = {"raises": "failed", "hangs": "timeout", "killed": "crashed", "hogs": "failed"}
TIMEOUT_S, MEMORY_MB, N_WORKERS = 10, 700, 2


def planned(n_evals: int, *, faults: bool = True, losses: int = 0) -> list[str]:
    """The fate of each evaluation, faults spread evenly; of so many the host is lost meanwhile."""
    fates = [fate for fate, share in SHARES.items() for _ in range(round(share * n_evals))] if faults else []
    fates += ["loses its host once"] * losses
    fates += ["good"] * (n_evals - len(fates))
    return [fates[i * 7 % n_evals] for i in range(n_evals)]


def search(folder: Path, fates: list[str], mode: str, evaluation: dict[str, Any]) -> tuple[Result, list[int]]:
    """Search; gives the result and the processes that were killed."""
    (folder / "plan").write_text("\n".join(fates))
    job = {
        "problem": {"use": f"{USER_FILE.with_name('fates.py')}:Storm", "options": {"folder": str(folder)}},
        "search": {"pop_size": 12, "mode": mode},
        "surrogate": {"model": "none"},
        "budget": {"n_evals": len(fates)},
        "evaluation": {"workers": N_WORKERS, "timeout": TIMEOUT_S, "memory_mb": MEMORY_MB, **evaluation},
    }
    with Killer(folder / "to kill") as killer:
        return run_job(prepare(*check_job(job), folder / "run"), folder / "run", verbose=False), killer.killed


def recorded(result: Result) -> list[tuple[int, str]]:
    return [(e.id, e.status) for e in result.evaluations]


def expected(fates: list[str]) -> list[tuple[int, str]]:
    return [(i, ENDINGS.get(fate, "ok")) for i, fate in enumerate(fates, 1)]


@contextlib.contextmanager
def dask_cluster(folder: Path) -> Iterator[str]:
    """A cluster of processes by Dask's own commands, each worker of one thread; for one that is lost another joins."""
    dask = [sys.executable, "-m", "dask"]
    scheduler = subprocess.Popen(
        [*dask, "scheduler", "--port", "0", "--no-dashboard"], stderr=subprocess.PIPE, text=True, cwd=folder
    )
    address = next(line.split()[-1] for line in scheduler.stderr if "Scheduler at:" in line)
    is_over = threading.Event()

    def keep_one() -> None:
        while not is_over.is_set():
            command = [*dask, "worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
            worker = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=folder)
            workers[threading.get_ident()] = worker
            worker.wait()

    workers: dict[int, subprocess.Popen[bytes]] = {}
    threads = [threading.Thread(target=keep_one) for _ in range(N_WORKERS)]
    for thread in threads:
        thread.start()
    try:
        yield address
    finally:
        is_over.set()
        while any(thread.is_alive() for thread in threads):
            for worker in list(workers.values()):
                worker.kill()
            for thread in threads:
                thread.join(0.1)
        scheduler.kill()
        scheduler.communicate()

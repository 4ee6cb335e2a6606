"""Whoever reads a run disturbs neither the run nor another reader, whatever they write at the same time."""

import csv
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import evo_moo
from evo_moo.report.paper_figures import write_figures
from tests.integration.running import USER_FILE, ledger_of

pytestmark = pytest.mark.slow

N_PROCESSES, N_TIMES = 3, 2
together: Any = None


def keep(barrier: Any) -> None:
    global together
    together = barrier


def read(run_dir: Path, out: Path) -> None:
    """Do all that a reader can write, at the same moment as the others."""
    together.wait()
    for _ in range(N_TIMES):
        evo_moo.write_report(run_dir, with_importances=False)
        evo_moo.export_run(run_dir, "csv", out / "table.csv", force=True)
        evo_moo.export_run(run_dir, "json", out / "table.json", force=True)
        evo_moo.Result.read(run_dir).plot(run_dir / "front.png")
    write_figures(run_dir, out / "figures")


def go_on(run_dir: Path, n_evals: int) -> None:
    together.wait()
    for n in range(n_evals - 40, n_evals + 1, 10):
        evo_moo.resume(run_dir, n_evals=n)


def test_readers_at_the_same_time_disturb_nobody(tmp_path: Path) -> None:
    def search(name: str, n_evals: int) -> Path:
        budget = ("n_evals", n_evals)
        evo_moo.search(f"{USER_FILE}:Small", "nsga2", 10, budget, 1, 1, "none", tmp_path / name)
        return tmp_path / name

    run, alone = search("run", 30), search("alone", 80)
    fork = multiprocessing.get_context("fork")
    barrier = fork.Barrier(N_PROCESSES)
    (tmp_path / "out").mkdir()
    with ProcessPoolExecutor(N_PROCESSES, fork, initializer=keep, initargs=(barrier,)) as processes:
        work = [processes.submit(read, run, tmp_path / "out") for _ in range(N_PROCESSES - 1)]
        work.append(processes.submit(go_on, run, 80))
        for each in work:
            each.result()
    assert ledger_of(run) == ledger_of(alone)
    assert (run / "report.html").read_text().rstrip().endswith("</html>")
    assert (run / "front.png").read_bytes().startswith(b"\x89PNG")
    with (tmp_path / "out" / "table.csv").open() as table:
        assert len(list(csv.DictReader(table))) in range(30, 81)
    assert list(tmp_path.rglob("*.new")) == []

"""What a run of 100,000 evaluations costs: the search itself, and every command that reads it.

Run: python -m tests.benchmarks huge_runs
Or in a folder that is kept, of any size: python -m tests.benchmarks.bench_huge_runs [FOLDER [N_EVALS]]

One process for each command; CPU seconds and peak memory are the process's own, so that a busy machine counts little.
The targets: every reader stays below 200 MB, a report takes at most 10 s, and to resume a finished run at most 2 s.
"""

import contextlib
import math
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from evo_moo import Choice, Integer, Real, SearchProblem

N_EVALS = 100_000
COMMANDS = (
    "show run",
    "list .",
    "show run --id 1",
    "doctor run",
    "export run --to csv --force",
    "export run --to json --force",
    "pick run",
    "importance run",
    "report run",
    "report run --figures figures",
    "compare run again",
    "resume run",
)


class Huge(SearchProblem):
    """Costs next to nothing to evaluate: conditional, with a limit, and some evaluations fail."""

    variables = {
        **{f"x{i}": Real(0.0, 1.0) for i in range(6)},
        "rate": Real(1e-4, 1e-1, log=True),
        "depth": Integer(1, 40),
        "kind": Choice(["plain", "bent", "broken"]),
        "bend": Integer(0, 20, when={"kind": "bent"}),
    }
    objectives = {"loss": "min", "speed": "max"}
    constraints = {"size": {"at_most": 45}}

    def evaluate(self, config):
        if config["kind"] == "broken" and config["depth"] % 4 == 0:
            raise ArithmeticError(f"no solution at depth {config['depth']}")
        size = config["depth"] + 10 * config["x0"]
        excess = sum((config[f"x{i}"] - 0.3) ** 2 for i in range(1, 6)) + abs(math.log10(config["rate"]) + 2)
        excess += (config["kind"] != "bent") + abs(config.get("bend", 10) - 10) / 20
        return {"loss": excess + 1 - math.sqrt(config["x0"]), "speed": 1 - config["x0"] - excess / 10, "size": size}


def job(n_evals: int) -> str:
    """Return the job of a search."""
    return f"""
[problem]
use = "{Path(__file__).resolve()}:Huge"
[search]
pop_size = 500
[budget]
n_evals = {n_evals}
[evaluation]
pool = "serial"
workers = 1
"""


def cost(line: str, folder: Path) -> tuple[float, float]:
    """Return the CPU seconds and the peak memory in MB of a command of evo-moo."""
    command = [sys.executable, "-m", "evo_moo", *line.split()]
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=folder)
        _, status, used = os.wait4(process.pid, 0)
    if code := os.waitstatus_to_exitcode(status):
        raise SystemExit(f"evo-moo {line} ended with {code}: {(folder / 'output.txt').read_text()[-1000:]}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    """Print what each command costs."""
    given = sys.argv[1:] if sys.argv[1:2] != ["huge_runs"] else []
    n_evals = int(given[1]) if given[1:] else N_EVALS
    with contextlib.ExitStack() as opened:
        folder = Path(given[0] if given else opened.enter_context(tempfile.TemporaryDirectory())).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "job.toml").write_text(job(n_evals))
        is_there = (folder / "run" / "front.csv").exists()
        for line in ("run job.toml --run-dir run",) * (not is_there) + COMMANDS:
            if line.endswith("again"):
                shutil.copytree(folder / "run", folder / "again", dirs_exist_ok=True)
            seconds, megabytes = cost(line, folder)
            print(f"{line:32} {seconds:8.1f} s of CPU {megabytes:7.0f} MB at most", flush=True)


if __name__ == "__main__":
    main()

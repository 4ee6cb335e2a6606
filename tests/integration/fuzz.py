"""Changes what the command line reads, at random, and sees that it neither breaks nor hangs.

Each mutation has a seed of its own, ``TARGET NUMBER``, so that it can be made again: ``python -m`` this, with both.
Every command is a forked process of its own, so that none depends on another and one that hangs can be ended.
"""

import contextlib
import io
import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from evo_moo.cli.main import main as command_line
from evo_moo.errors import StateError
from evo_moo.problem.weights import FILE, Weights
from evo_moo.report import page
from tests.golden import make_golden

MOST_S = 10.0
"""No command takes longer: a search that is asked to stop may end then."""
MOST_MEMORY = 8 << 30
PROBLEM = """
from evo_moo import Choice, Integer, Metric, Real, SearchProblem


class Fuzzed(SearchProblem):
    variables = {
        "lr": Real(1e-4, 1e-1, log=True),
        "n": Integer(1, 3),
        "act": Choice(["relu", None, (1, 2)]),
        "width": Integer(4, 128, log=True, when={"n": [2, 3]}),
    }
    objectives = {"loss": "min", "speed": "max"}
    constraints = {"size": {"at_most": 100}}
    metrics = {"size": Metric(unit="MB", cheap=True)}
    forbidden = {"hot": lambda config: config["n"] == 2 and config["lr"] > 0.09}
    timeout_s = 5

    def __init__(self, scale=1.5):
        super().__init__()
        self.scale = scale

    def profile(self, config):
        return {"size": config.get("width", 4) * 0.5}

    def evaluate(self, config, *, seed):
        if config["n"] == 3 and config["lr"] > 0.05:
            raise ValueError("diverged")
        return {"loss": self.scale / config["n"] + config["lr"], "speed": 1 / config["lr"]}
"""
JOB = """
[problem]
use = "fuzzed.py:Fuzzed"
options = { scale = 2.5 }

[search]
algorithm = "nsga2"
pop_size = 4
seed = 3
mode = "generational"
sampling = "lhs"
start = [
  { lr = 0.01, n = 2 },
  { configuration = { lr = 0.02, n = 1, act = "relu" }, metrics = { loss = 1, speed = 2, size = 3 } },
]

[budget]
n_evals = 6
time = "1 h"
stop_when = "hypervolume stalls"

[surrogate]
model = "none"

[evaluation]
workers = 1
pool = "serial"
timeout = "5 s"
retries = 1

[objectives]
loss = "min"
speed = "max"

[constraints]
size = { at_most = 50 }
"""
SPECIAL = (
    "",
    "0",
    "-1",
    "1e308",
    "-1e999",
    "nan",
    "inf",
    "99999999999999999999",
    "0x7f",
    "1_000",
    "true",
    "null",
    "[]",
)
SPECIAL += (
    "{}",
    "''",
    '"',
    "'",
    "\\",
    "\n",
    "\x00",
    "\x1b[2J",
    "\u2028",
    "é",
    "=",
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    ":",
)
SPECIAL += (
    "#",
    "[" * 3000,
    "{'a':" * 500,
    "x" * 30_000,
    "../" * 9,
    "%s%n",
    "None",
    "lambda: 0",
    "import os",
    "-",
    "1e-320",
)


def mutated_text(data: bytes, rng: random.Random) -> bytes:
    """Change one to four places of a text: characters, words, lines, or bytes that are no text then."""
    for _ in range(rng.randint(1, 4)):
        a = rng.randrange(len(data) + 1)
        b = min(len(data), a + rng.choice([0, 1, 1, 2, 5, 20, 80]))
        match rng.randrange(6):
            case 0:
                data = data[:a] + data[b:]
            case 1:
                data = data[:b] + data[a:b] * rng.choice([1, 2, 50]) + data[b:]
            case 2 | 3:
                data = data[:a] + rng.choice(SPECIAL).encode() + data[b:]
            case 4:
                words = data.split(b" ")
                i, j = rng.randrange(len(words)), rng.randrange(len(words))
                words[i], words[j] = words[j], words[i]
                data = b" ".join(words)
            case 5:
                data = data[:a] + bytes(rng.randrange(256) for _ in range(b - a)) + data[b:]
    return data


def mutated_bytes(data: bytes, rng: random.Random) -> bytes:
    """Change one to four places of a file: bits, a stretch, its length, or a page of it."""
    for _ in range(rng.randint(1, 4)):
        changed, a = bytearray(data), rng.randrange(max(1, len(data)))
        b = min(len(data), a + rng.choice([1, 2, 4, 8, 64, 512, 4096]))
        match rng.randrange(7):
            case 0 | 1 | 2:
                if changed:
                    changed[a] ^= 1 << rng.randrange(8)
            case 3:
                changed[a:b] = rng.choice([b"\0", b"\xff", bytes([rng.randrange(256)])]) * (b - a)
            case 4:
                changed = changed[:a] if rng.random() < 0.5 else changed[: a // 4096 * 4096]
            case 5:
                changed[a:a] = changed[a:b]
            case 6:
                page, other = (rng.randrange(max(1, len(data) // 4096)) * 4096 for _ in range(2))
                changed[page : page + 4096] = data[other : other + 4096]
        data = bytes(changed)
    return data


def mutate_value(file: Path, rng: random.Random) -> None:
    """Change a value of a ledger, in a row of any table."""
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as db:
        table = rng.choice(["meta", "evaluations", "generations", "checkpoint", "events"])
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        column, rows = rng.choice(columns), [row for (row,) in db.execute(f"SELECT rowid FROM {table}")]
        row = rng.choice(rows)
        (old,) = db.execute(f"SELECT {column} FROM {table} WHERE rowid = ?", (row,)).fetchone()
        new: Any = rng.choice([None, 0, -1, 2**62, 1e308, -0.5, "", "{}", "[]", "3", "x", b"\xff" * 8])
        if rng.random() < 0.6:
            text = old if isinstance(old, bytes) else str(old).encode()
            new = (mutated_bytes if isinstance(old, bytes) else mutated_text)(text, rng)
            new = new if isinstance(old, bytes) else new.decode(errors="ignore").replace("\x00", "")
        with contextlib.suppress(sqlite3.Error, OverflowError):
            db.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (new, row))


def outcome_of(act: Callable[[], Any]) -> str:
    """Do it in a process of its own; return what is wrong with how it ended, nothing where all is well."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        fault = ""
        try:
            os.close(reader)
            resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, 0)
            out, errors = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors), contextlib.suppress(SystemExit):
                act()
            told = errors.getvalue()
            if any(words in told for words in ("Logging error", "Exception ignored")):
                fault = told
            if len(told) > 40_000:
                fault = f"{len(told)} characters of messages"
        except BaseException:
            fault = traceback.format_exc(limit=-6)
        finally:
            os.write(writer, fault.encode(errors="replace")[-4000:])
            os._exit(0)
    os.close(writer)
    return _awaited(pid, reader)


def _awaited(pid: int, reader: int) -> str:
    """Wait for a process, which is asked to stop soon and ended at last."""
    start, asked = time.monotonic(), False
    while not os.waitpid(pid, os.WNOHANG)[0]:
        waited = time.monotonic() - start
        if waited > MOST_S * 0.8 and not asked:
            os.kill(pid, signal.SIGTERM)
            asked = True
        if waited > MOST_S:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(reader)
            return f"takes longer than {MOST_S:g} s"
        time.sleep(0.002)
    with os.fdopen(reader, "rb") as file:
        return file.read().decode(errors="replace")


def command(*arguments: Any) -> str:
    return outcome_of(lambda: _command_line(*arguments))


def _command_line(*arguments: Any) -> None:
    sys.argv = ["evo-moo", *map(str, arguments)]
    command_line()


LOOKS: tuple[tuple[str, ...], ...] = (
    ("show",),
    ("show", "--json"),
    ("show", "--id", "3"),
    ("show", "--csv"),
    ("show", "--surrogate"),
    ("show", "--rungs"),
    ("report",),
    ("export", "--to", "csv", "--force"),
    ("export", "--to", "json", "--force"),
    ("pick",),
    ("pick", "--knee", "--json"),
    ("importance",),
    ("compare",),
    ("list",),
)


def look(run: Path, which: Sequence[str]) -> str:
    return command(*_of(run, which))


def _of(run: Path, which: Sequence[str]) -> list[Any]:
    name, *options = which
    return [name, run.parent if name == "list" else run, *options]


class Fuzz:
    """Mutates one file of a folder; a folder is made anew for each mutation.

    Args:
        folder: Where to work.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self.targets = folder, {}
        (folder / "work").mkdir()
        os.chdir(folder / "work")
        (folder / "sound").mkdir()
        page.write_report_at_end = lambda path: None  # `report` is a command of its own
        for name in ("finished", "stopped"):
            make_golden.make(name, folder / "sound" / name)
        for which in LOOKS:  # what they import is imported once, before they are forked
            with (
                contextlib.suppress(SystemExit),
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
            ):
                _command_line(*_of(folder / "sound" / "finished", which))
        self.targets = {
            "job": self._job,
            "problem": self._problem,
            "ledger": self._ledger,
            "environment": self._environment,
            "weights": self._weights,
        }

    def faults(self, target: str, numbers: Sequence[int]) -> Iterator[str]:
        """Make mutations, and return each fault with the mutation's number and the command."""
        for number in numbers:
            rng = random.Random(f"{target} {number}")
            for path in Path().iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            for what, fault in self.targets[target](rng):
                if fault:
                    yield f"{target} {number}, {what}: {fault}"

    def _job(self, rng: random.Random) -> Iterator[tuple[str, str]]:
        Path("fuzzed.py").write_text(PROBLEM)
        Path("job.toml").write_bytes(mutated_text(JOB.encode(), rng))
        yield "run", command("run", "job.toml", "--run-dir", "r")
        if Path("r/run.sqlite").exists() and rng.random() < 0.2:
            yield "resume", command("resume", "r", "--trust")

    def _problem(self, rng: random.Random) -> Iterator[tuple[str, str]]:
        Path("fuzzed.py").write_bytes(mutated_text(PROBLEM.encode(), rng))
        Path("job.toml").write_text(JOB)
        if rng.random() < 0.3:
            yield "check", command("check", "fuzzed.py:Fuzzed")
        else:
            yield "run", command("run", "job.toml", "--run-dir", "r")

    def _run(self, rng: random.Random) -> Path:
        return Path(shutil.copytree(self._folder / "sound" / rng.choice(["finished", "stopped"]), Path("r").absolute()))

    def _ledger(self, rng: random.Random) -> Iterator[tuple[str, str]]:
        run = self._run(rng)
        file = run / "run.sqlite"
        if rng.random() < 0.5:
            file.write_bytes(mutated_bytes(file.read_bytes(), rng))
        else:
            mutate_value(file, rng)
        yield from self._looks(run, rng)

    def _looks(self, run: Path, rng: random.Random) -> Iterator[tuple[str, str]]:
        yield "doctor", command("doctor", run)
        which = rng.choice(LOOKS)
        yield " ".join(which), look(run, which)
        if rng.random() < 0.15:
            yield "resume", command("resume", run, "--trust")
        if rng.random() < 0.2:
            yield "doctor --repair", command("doctor", run, "--repair")
            yield "resume after it", command("resume", run, "--trust")
            which = rng.choice(LOOKS)
            yield f"{' '.join(which)} after it", look(run, which)

    def _environment(self, rng: random.Random) -> Iterator[tuple[str, str]]:
        run = self._run(rng)
        file, extra = run / "environment.json", {"packages": {"numpy": "1"}, "threads_per_worker": 1}
        text = json.dumps(json.loads(file.read_text()) | extra, indent=1)
        file.write_bytes(mutated_text(text.encode(), rng))
        yield "doctor", command("doctor", run)
        which = rng.choice([("report",), ("show",), ("list",), ("export", "--to", "json"), ("compare",), ("resume",)])
        yield " ".join(which), look(run, (*which, "--trust") if which == ("resume",) else which)

    def _weights(self, rng: random.Random) -> Iterator[tuple[str, str]]:
        import torch

        state = {"model": {"a": torch.ones(3, 2), "b": torch.tensor(1.5)}, "epoch": 3, "history": [0.5, (1, "x")]}
        Weights(None, "w").save(state)
        file = Path("w", FILE)
        file.write_bytes((mutated_bytes if rng.random() < 0.7 else mutated_text)(file.read_bytes(), rng))

        def load() -> None:
            with contextlib.suppress(StateError):
                Weights("w").load()

        yield "load", outcome_of(load)


def main() -> None:
    target, number = sys.argv[1], int(sys.argv[2])
    folder = Path(sys.argv[3] if len(sys.argv) > 3 else f"/tmp/fuzz-{target}-{number}")
    folder.mkdir()
    for fault in Fuzz(folder).faults(target, [number]):
        print(fault)
    print(folder / "work")


if __name__ == "__main__":
    main()

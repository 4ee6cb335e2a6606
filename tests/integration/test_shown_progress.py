"""What a user sees while a search goes on: a bar on a terminal, plain lines in a pipe."""

import os
import re
import struct
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.running import USER_FILE, evo_moo

pytestmark = pytest.mark.slow

COLUMNS = 80


def seen_on_a_terminal(cwd: Path, *arguments: Any) -> list[str]:
    """The lines that a command draws on a terminal of 80 columns, one after the other."""
    pty, termios, fcntl = (pytest.importorskip(name) for name in ("pty", "termios", "fcntl"))
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.environ |= {"TERM": "xterm", "COLUMNS": str(COLUMNS)}
        os.execv(sys.executable, [sys.executable, "-m", "evo_moo", *map(str, arguments)])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    drawn = b""
    try:
        while data := os.read(terminal, 1 << 16):
            drawn += data
    except OSError:  # how Linux says that the other end is closed
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, drawn
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", drawn.decode())
    return [line.strip() for line in re.split(r"[\r\n]+", text)]


@pytest.mark.parametrize(
    ("mode", "budget"),
    [("generational", "n_gen = 3"), ("steady-state", "n_evals = 24")],
)
def test_a_bar_on_a_terminal(tmp_path: Path, mode: str, budget: str) -> None:
    (tmp_path / "job.toml").write_text(
        f'[problem]\nuse = "{USER_FILE}:Steady"\n[search]\npop_size = 8\nmode = "{mode}"\n[budget]\n{budget}\n'
        '[surrogate]\nmodel = "none"\n'
    )
    lines = seen_on_a_terminal(tmp_path, "run", "job.toml", "--workers", 2, "--run-dir", "r")
    bars = [line for line in lines if "busy" in line]
    total = " of 24" if "n_evals" in budget else ""
    shown = re.compile(rf"(. )?[━╸╺]{{12}} +(\d:\d\d:\d\d left)? +\d of 2 workers busy, \d+{total} evaluated")
    assert bars and [bar for bar in bars if not shown.match(bar) or len(bar) > COLUMNS] == []
    assert re.search(r"\d:\d\d:\d\d left", bars[-1])
    assert any(line.startswith("Pareto front: ") for line in lines)


@pytest.mark.parametrize("mode", ["generational", "steady-state"])
def test_plain_lines_in_a_pipe(tmp_path: Path, mode: str) -> None:
    settings = ["--set", "search.pop_size=8", "--set", f"search.mode={mode}", "--surrogate", "none"]
    done = evo_moo("run", f"{USER_FILE}:Small", "--n-evals", 24, *settings, "--run-dir", "r", cwd=tmp_path)
    words = r"hypervolume \S+ of the first generation's box, best loss \S+, best speed \d"
    line = r"generation %d: \d+ of 24 evaluated, (\d failed, )?" + words
    for generation in (1, 2, 3):
        assert re.search(line % generation, done.stderr), done.stderr
    assert "\x1b" not in done.stdout + done.stderr and "━━ " not in done.stderr
    assert (tmp_path / "r" / "log.txt").read_text().count("generation ") == 3

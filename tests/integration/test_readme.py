"""The README's code runs as it stands."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from evo_moo.job.check import check_job

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [code for found, code in BLOCKS if found == language]


@pytest.mark.parametrize("code", [c for c in blocks("python") if not c.startswith("# my_problem.py")])
def test_python_blocks_run(code: str, tmp_path: Path) -> None:
    (tmp_path / "block.py").write_text(code)
    done = subprocess.run([sys.executable, "block.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if "print" in code:
        assert len(done.stdout.splitlines()) > 3


def test_shell_lines_run_in_order(tmp_path: Path) -> None:
    (problem,) = [code for code in blocks("python") if code.startswith("# my_problem.py")]
    (tmp_path / "my_problem.py").write_text(problem)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    lines = [line for code in blocks("sh") for line in code.splitlines()]
    assert len(lines) >= 7
    for line in lines:
        command = shlex.split(line, comments=True)
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PATH": path})
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        silent = ("list", "problems", "check", "doctor", "export", "confirm", "pick", "importance", "report")
        assert "Pareto front" in done.stdout or command[1] in silent or "--id" in command, f"{line}\n{done.stdout}"


@pytest.mark.parametrize("job", blocks("toml"))
def test_job_files_are_valid_jobs(job: str) -> None:
    check_job(tomllib.loads(job))


def test_make_targets_and_pictures_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make (\w+)", TEXT):
        assert f"\n{target}:" in makefile or target == "it"
    for picture in re.findall(r"\]\(([^)]+\.png)\)", TEXT):
        assert (ROOT / picture).is_file()

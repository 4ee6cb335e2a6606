"""The code of every README runs as it stands, in a folder of its own for each file.

A block that begins with ``# NAME.py``, ``# NAME.toml`` or ``# NAME.sh`` is a file that the other blocks and lines of
its README use.
"""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from evo_moo.job.check import check_job
from tests.integration import command_server
from tests.unit.test_architecture import ALLOWED

ROOT = Path(__file__).parents[2]
TEXTS = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in [ROOT / "README.md", *sorted(ROOT.glob("[!.]*/README.md")), *sorted(ROOT.glob("evo_moo/*/README.md"))]
}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (\w+\.(?:py|toml|sh))\n")
every_readme = pytest.mark.parametrize("readme", TEXTS)


def blocks(readme: str, language: str) -> list[str]:
    return [code for found, code in BLOCK.findall(TEXTS[readme]) if found == language]


def each(language: str) -> list[object]:
    """Every block of a language, but for those that are files."""
    return [
        pytest.param(readme, code, id=f"{readme}-{number}")
        for readme in TEXTS
        for number, code in enumerate(blocks(readme, language), start=1)
        if not FILE.match(code)
    ]


def write_files(readme: str, folder: Path) -> None:
    for _, code in BLOCK.findall(TEXTS[readme]):
        if name := FILE.match(code):
            (folder / name[1]).write_text(code)


def test_every_folder_has_its_guide() -> None:
    folders = ("evo_moo", "problems", "runs", "surrogates", "tests")
    assert {"README.md", *(f"{folder}/README.md" for folder in (*folders, "evo_moo/deployment"))} == TEXTS.keys()
    assert len(TEXTS["README.md"].splitlines()) <= 150


@pytest.mark.slow
@pytest.mark.parametrize(("readme", "code"), each("python"))
def test_python_blocks_run(readme: str, code: str, tmp_path: Path) -> None:
    write_files(readme, tmp_path)
    (tmp_path / "block.py").write_text(code)
    done = subprocess.run([sys.executable, "block.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if "print" in code:
        assert done.stdout.strip()


@pytest.mark.slow
@every_readme
def test_shell_lines_run_in_order(readme: str, tmp_path: Path) -> None:
    write_files(readme, tmp_path)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for line in [line for code in blocks(readme, "sh") for line in code.splitlines()]:
        command = shlex.split(line, comments=True)
        if command[0] == "evo-moo":
            done = command_server.run(command[1:], tmp_path)
        else:
            environment = {**os.environ, "PATH": path}
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        if command[1] in ("run", "resume", "show") and not {"--id", "--surrogate"} & set(command):
            assert "Pareto front" in done.stdout, f"{line}\n{done.stdout}"


@pytest.mark.parametrize(("readme", "job"), each("toml"))
def test_job_files_are_valid_jobs(readme: str, job: str) -> None:
    check_job(tomllib.loads(job))


@every_readme
def test_links_lead_somewhere(readme: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[readme]):
        path, _, section = target.partition("#")
        if path.startswith("https:"):
            continue
        file = (ROOT / readme).parent / path if path else ROOT / readme
        assert file.exists(), target
        titles = re.findall(r"^#+ (.+)$", file.read_text(), flags=re.MULTILINE) if section else []
        assert not section or section in [re.sub(r"[^\w -]", "", t).lower().replace(" ", "-") for t in titles], target


@every_readme
def test_make_targets_and_modules_exist(readme: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?m)(?:^|`)make ([a-z][\w-]+)", TEXTS[readme]):
        assert f"\n{target}:" in makefile, target
    for path in re.findall(r"`((?:evo_moo|problems|surrogates|tests)/[\w/.]+)`", TEXTS[readme]):
        assert (ROOT / path).exists(), path


def test_the_table_of_rooms_is_the_one_that_is_tested() -> None:
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|", TEXTS["evo_moo/README.md"], flags=re.MULTILINE)
    assert {room: set(re.findall(r"`(\w+)`", below)) for room, below in rows} == ALLOWED

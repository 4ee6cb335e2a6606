"""The command line: answers, exit codes, and one clear message for wrong input."""

import csv
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.running import USER_FILE, evo_moo, front_of, ledger_of

pytestmark = pytest.mark.slow

HEAVY = ("torch", "sklearn", "scipy", "pymoo", "matplotlib", "joblib", "jinja2", "plotly")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs-of-a-user")
    evo_moo(
        *("run", f"{USER_FILE}:Small", "--n-evals", 40, "--workers", 2, "--seed", 2, "--surrogate", "none"),
        cwd=folder,
        draws=True,
    )
    (run_dir,) = (folder / "runs").iterdir()
    return run_dir


def test_a_run_leaves_its_files(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert {"job.toml", "environment.json", "run.sqlite", "log.txt", "front.csv", "front.png", "report.html"} <= names
    assert finished.name.endswith("-Small")
    assert "finished after 40 evaluations" in (finished / "log.txt").read_text()


def test_a_finished_run_is_drawn_again_only_where_it_must(finished: Path) -> None:
    names = "front.png", "report.html"
    before = {name: (finished / name).stat().st_mtime_ns for name in names}
    os.utime(finished / names[0], (0, 0))
    shown = evo_moo("resume", finished, cwd=finished, draws=True).stdout
    assert "of 40 evaluations" in shown
    after = {name: (finished / name).stat().st_mtime_ns for name in names}
    assert after[names[0]] > before[names[0]] and after[names[1]] == before[names[1]]


def test_show_agrees_with_the_front_file(finished: Path) -> None:
    with (finished / "front.csv").open() as file:
        rows = list(csv.DictReader(file))
    shown = json.loads(evo_moo("show", finished, "--json", cwd=finished).stdout)
    assert shown["feasible"] and [str(row["id"]) for row in shown["front"]] == [row["id"] for row in rows]
    assert (
        evo_moo("show", finished, "--csv", cwd=finished).stdout.split() == (finished / "front.csv").read_text().split()
    )
    table = evo_moo("show", finished, cwd=finished).stdout
    assert f"Pareto front: {len(rows)} of 40" in table and "failed: ArithmeticError: no solution here" in table


def test_a_run_is_found_by_its_name_and_listed(finished: Path) -> None:
    home = finished.parents[1]
    assert evo_moo("show", finished.name, cwd=home).stdout == evo_moo("show", finished, cwd=home).stdout
    listed = evo_moo("list", cwd=home).stdout
    assert all(word in listed for word in ("Small", "finished", "40/40", "loss"))


def test_problems_are_listed_and_described(tmp_path: Path) -> None:
    listed = evo_moo("problems", cwd=tmp_path).stdout
    assert "digits_cnn" in listed and "max accuracy, min latency_ms" in listed
    described = evo_moo("problems", f"{USER_FILE}:Small", cwd=tmp_path).stdout
    assert all(word in described for word in ("rate", "log", "bend", "kind", "at most 7"))


def test_version_and_module(tmp_path: Path) -> None:
    assert evo_moo("--version", cwd=tmp_path).stdout.strip().count(".") == 2


@pytest.mark.parametrize("arguments", [["--help"], ["show", "RUN"], ["list"]])
def test_quick_commands_load_nothing_heavy(finished: Path, arguments: list[str]) -> None:
    arguments = [str(finished) if a == "RUN" else a for a in arguments]
    code = (
        "import sys; from evo_moo.cli.main import main; sys.argv[1:] = " + repr(arguments) + "\n"
        "try: main()\nexcept SystemExit: pass\n"
        f"print('LOADED', [m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=finished.parents[1], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "LOADED []", done.stdout + done.stderr


JOB = """
[problem]
use = "{use}"
[search]
popsize = 3
pop_size = -3
seed = 1.5
algorithm = "nsga4"
[budget]
n_evals = 0
time = "soon"
[objectives]
loss = "min"
sped = "maximum"
[constraints]
size = 7
[surrogate]
model = "gpp"
"""


def test_a_wrong_job_lists_all_its_faults_at_once(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text(JOB.format(use=f"{USER_FILE}:Small"))
    lines = evo_moo("run", "job.toml", cwd=tmp_path, code=2).stderr.splitlines()
    assert len(lines) == 10
    for fault in (
        "`search.popsize` is no key of a job; did you mean `pop_size`?",
        "`search.pop_size` must be at least 4, but is -3",
        "`search.seed` must be a whole number, but is 1.5",
        "`search.algorithm` must be 'nsga2', 'nsga3', 'weighted-sum', 'tchebycheff', 'random', "
        "'sobol', 'grid', 'unsga3', 'agemoea2', 'smsemoa', 'spea2', 'ctaea' or 'moead', but is 'nsga4'",
        "`budget.n_evals` must be at least 1, but is 0",
        "`budget.time` must be a duration above 0",
        "`objectives.sped`: the problem has no metric `sped`; did you mean `speed`?",
        "`objectives.sped` must be 'min' or 'max', but is 'maximum'",
        "`constraints.size` must be a limit such as {at_most = 20}, but is 7",
        "`surrogate.model`: `gpp` names no surrogate; did you mean `gp`?",
    ):
        assert any(fault in line for line in lines), fault
    assert not (tmp_path / "runs").exists()


WRONG = [
    (["run", "nothing.toml"], 2, "must be a job file, but cannot be read"),
    (["run", "torn.toml"], 2, "must be TOML, but is not"),
    (["run", "digits_cn", "--n-evals", "9"], 2, "did you mean `digits_cnn`?"),
    (["run", "nothing.py:Problem", "--n-evals", "9"], 2, "there is no such file"),
    (["run", "syntax.py:Problem", "--n-evals", "9"], 2, "syntax.py, line 2"),
    (["run", "imports.py:Problem", "--n-evals", "9"], 2, "No module named 'nothing_of_the_kind'"),
    (["run", "pymoo:zdt99", "--n-evals", "9"], 2, "pymoo refuses it"),
    (["run", "pymoo:zdt1"], 2, "`budget` must set n_evals, n_gen, time or stop_when"),
    (["run", "pymoo:zdt1", "--set", "n_evals=9"], 2, "`--set` must be section.key=value"),
    (["run", "pymoo:zdt1", "--n-evals", "many"], 2, "valid integer"),
    (["run", "pymoo:zdt1", "--n-evals", "9", "--run-dir", "a-file/run"], 1, "must be writable"),
    (["show", "nothing"], 1, "must be a run folder"),
    (["resume", "nothing"], 1, "must be a run folder"),
    (["show", "garbage"], 1, "must be a ledger"),
    (["fly"], 2, "No such command"),
    (["run", "empty.toml", "--seed", "3"], 2, "`problem` must be given"),
    (["run", "odd.toml", "--n-evals", "9"], 2, "`budget` must be a table, but is '8h'"),
    (["run", "odd.toml", "--set", "budget.n_evals=4"], 2, "what is before it is no table"),
    (["run", "pymoo:zdt1", "--n-evals", "9", "--run-dir", ""], 2, "must name a folder, but is empty"),
    (["check", "pymoo:zdt1", "--timeout", "soon"], 2, "`--timeout` must be a duration above 0"),
    (["new", "my-problem.txt"], 2, "must be named like my_problem.py"),
    (["list", "nowhere"], 1, "there is no such folder"),
    (["resume", "empty-run"], 1, "must be a run folder"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), WRONG, ids=lambda value: str(value)[:40])
def test_wrong_input_is_one_clear_message(tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    (tmp_path / "torn.toml").write_text("[problem\nuse =")
    (tmp_path / "syntax.py").write_text("class Problem:\n    def def\n")
    (tmp_path / "imports.py").write_text("import nothing_of_the_kind\n")
    (tmp_path / "a-file").write_text("")
    (tmp_path / "empty.toml").write_text("")
    (tmp_path / "odd.toml").write_text('budget = "8h"\n[problem]\nuse = "pymoo:zdt1"\n')
    (tmp_path / "empty-run").mkdir()
    (tmp_path / "garbage").mkdir()
    (tmp_path / "garbage" / "run.sqlite").write_bytes(b"this is no database" * 300)
    done = evo_moo(*arguments, cwd=tmp_path, code=code)
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr + done.stdout


def test_settings_override_the_job_file(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text('[problem]\nuse = "pymoo:zdt1"\n[budget]\nn_evals = 400\n')
    settings = ["--set", "search.pop_size=20", "--set", "problem.options.n_var=5", "--seed", 9, "--n-evals", 60]
    evo_moo("run", "job.toml", "--run-dir", "r", *settings, cwd=tmp_path)
    text = (tmp_path / "r" / "job.toml").read_text()
    assert all(line in text for line in ("pop_size = 20", "n_var = 5", "seed = 9", "n_evals = 60"))
    member = json.loads(evo_moo("show", "r", "--json", cwd=tmp_path).stdout)["front"][0]
    assert "x5" in member["configuration"] and "f2" in member["metrics"]


def test_extended_budget_gives_the_ledger_of_the_whole_budget(tmp_path: Path) -> None:
    use = (f"{USER_FILE}:Small", "--set", "search.pop_size=8", "--set", "evaluation.pool=serial", "--surrogate", "gp")
    evo_moo("run", *use, "--n-evals", 14, "--run-dir", "whole", cwd=tmp_path)
    evo_moo("run", *use, "--n-evals", 9, "--run-dir", "parts", cwd=tmp_path)
    evo_moo("resume", "parts", "--n-evals", 11, cwd=tmp_path)
    evo_moo("run", *use, "--n-evals", 14, "--run-dir", "parts", cwd=tmp_path)
    assert ledger_of(tmp_path / "parts") == ledger_of(tmp_path / "whole")
    assert front_of(tmp_path / "parts") == front_of(tmp_path / "whole")
    done = evo_moo("run", *use, "--n-evals", 14, "--seed", 9, "--run-dir", "parts", cwd=tmp_path, code=1)
    assert "search.seed: 1 there, 9 here" in done.stderr


def test_a_damaged_run_does_not_hide_the_others(finished: Path, tmp_path: Path) -> None:
    for name in ("sound", "torn", "gutted"):
        shutil.copytree(finished, tmp_path / name)
    with (tmp_path / "torn" / "run.sqlite").open("r+b") as file:
        file.seek(9000)
        file.write(b"x" * 9000)
    with sqlite3.connect(tmp_path / "gutted" / "run.sqlite") as db:
        db.execute("DELETE FROM meta WHERE key = 'goals'")
    listed = evo_moo("list", ".", cwd=tmp_path).stdout
    assert "40/40" in listed and listed.count("damaged") == 4
    assert "is damaged" in evo_moo("show", "gutted", cwd=tmp_path, code=1).stderr
    resumed = evo_moo("resume", "torn", cwd=tmp_path, code=1)
    assert "Traceback" not in resumed.stderr and "damaged" in resumed.stderr


def test_a_lost_job_file_is_read_from_the_ledger(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "r")
    (tmp_path / "r" / "job.toml").unlink()
    assert "of 40 evaluations" in evo_moo("resume", "r", cwd=tmp_path).stdout


def test_a_run_that_is_refused_leaves_no_folder(tmp_path: Path) -> None:
    done = evo_moo("run", f"{USER_FILE}:Small", "--n-evals", 4, "--from", "nowhere", cwd=tmp_path, code=2)
    assert "`search.from`: " in done.stderr
    assert list(tmp_path.glob("runs/*")) == []


@pytest.mark.parametrize("command", [["run"], ["check"]])
def test_an_option_must_have_a_name_and_a_value(tmp_path: Path, command: list[str]) -> None:
    said = evo_moo(*command, "digits_cnn", "--option", "a", "--option", "=b", cwd=tmp_path, code=2).stderr.splitlines()
    assert said == [f"evo-moo: `--option` must be NAME=VALUE, as in epochs=2, but is {o!r}" for o in ("a", "=b")]

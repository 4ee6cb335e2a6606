"""A run is continued by the problem that it was begun with, or it says by what else."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import evo_moo
from evo_moo import Real, Result
from evo_moo.analysis.comparison import compare_runs
from evo_moo.errors import RunFolderError, UsageError
from evo_moo.storage.reading import reading
from tests.integration.running import evo_moo as command

TEXT = """
from evo_moo import Real, SearchProblem
from helper_of_continued import shifted

class P(SearchProblem):
    variables = {"x": Real(1, 10), "y": Real(1, 10)}
    objectives = {"a": "min", "b": "min"}

    def evaluate(self, config):
        return {"a": shifted(config["x"]), "b": config["y"] - config["x"]}
"""
HELPER = "def shifted(x):\n    return x + 0\n"
SMALL: dict[str, Any] = {"pop_size": 4, "surrogate": "none"}
Function = Callable[[dict[str, float]], dict[str, float]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "p.py").write_text(TEXT)
    (folder / "helper_of_continued.py").write_text(HELPER)
    return folder


def search(project: Path, n_evals: int = 8, **more: Any) -> Result:
    more = {"workers": 1, "run_dir": project / "r"} | more
    return evo_moo.search(f"{project / 'p.py'}:P", termination=("n_evals", n_evals), **SMALL, **more)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"x": Real(1, 10)', '"x": Real(1, 1000)', "variable x: real 1 to 10 there, real 1 to 1000 here"),
        (
            '"x": Real(1, 10), "y": Real(1, 10)',
            '"y": Real(1, 10), "x": Real(1, 10)',
            "variables: x, y there, y, x here",
        ),
        ('"b": "min"}', '"b": "max"}', "goals: a min, b min there, a min, b max here"),
    ],
)
def test_another_space_or_goal_is_refused_whatever_is_accepted(project: Path, old: str, new: str, said: str) -> None:
    search(project)
    (project / "p.py").write_text(TEXT.replace(old, new))
    for go_on in (lambda: search(project, 16, accept_changes=True), lambda: evo_moo.resume(project / "r", n_evals=16)):
        with pytest.raises(RunFolderError) as raised:
            go_on()
        assert said in str(raised.value) and "name a new folder, and this one by --from" in str(raised.value)
    assert len(Result.read(project / "r").evaluations) == 8


@pytest.mark.slow
def test_changed_code_is_refused_or_accepted_and_then_seen(project: Path) -> None:
    command(
        "run",
        "p.py:P",
        "--n-evals",
        8,
        "--set",
        "search.pop_size=4",
        "--run-dir",
        "r",
        "--workers",
        1,
        "--surrogate",
        "none",
        cwd=project,
    )
    (project / "helper_of_continued.py").write_text(HELPER.replace("+ 0", "+ 1000"))
    for line in (("resume", "r", "--n-evals", 12), ("resume", "r")):
        refused = command(*line, cwd=project, code=1).stderr
        assert "`helper_of_continued.py` has changed (--accept-changes" in refused
    command("resume", "r", "--n-evals", 12, "--accept-changes", cwd=project)
    command("resume", "r", "--n-evals", 16, cwd=project)  # no question again
    shown = command("show", "r", cwd=project).stdout
    assert "The code changed, as accepted, after 8 evaluations: `helper_of_continued.py` has changed" in shown
    assert '"code_changes": [' in command("show", "r", "--json", cwd=project).stdout
    assert "code changed: `helper_of_continued.py` has changed, as accepted" in (project / "r/report.html").read_text()
    assert [e.metrics["a"] > 1000 for e in Result.read(project / "r").evaluations] == [False] * 8 + [True] * 8
    with reading(project / "r") as ledger:
        assert ledger.facts().problem_version is None


def test_runs_of_different_code_are_compared_with_a_note(project: Path) -> None:
    groups: dict[str, list[Path]] = {}
    for name, text in (("old", TEXT), ("new", TEXT.replace("shifted(config", "2 * shifted(config"))):
        (project / "p.py").write_text(text)
        groups[name] = [project / f"{name}-{seed}" for seed in (1, 2)]
        for seed, run_dir in enumerate(groups[name], 1):
            search(project, run_dir=run_dir, seed=seed)
    note = "the code of the runs differs (`p.py` has changed): only you know whether they compare"
    assert note in compare_runs(groups).notes
    assert not any("code" in words for words in compare_runs({"a": groups["old"][:1], "b": groups["old"][1:]}).notes)
    (project / "p.py").write_text(TEXT)
    search(project, 12, run_dir=groups["new"][0], accept_changes=True)
    assert "the code changed, as accepted, while they went on: new-1" in compare_runs(groups).notes


def test_comments_and_layout_are_no_change(project: Path) -> None:
    search(project)
    (project / "stranger.py").write_text("")
    (project / "p.py").write_text("# a comment\n\n" + TEXT.replace(" + ", "  +  "))
    assert len(search(project, 12).evaluations) == 12
    with reading(project / "r") as ledger:
        assert ledger.facts().problem_version is not None


@pytest.mark.parametrize("workers", [1, 2])
def test_an_edit_in_a_live_process_is_what_is_searched_next(project: Path, workers: int) -> None:
    assert max(e.configuration["x"] for e in search(project, workers=workers, run_dir=None).evaluations) < 10
    (project / "p.py").write_text(TEXT.replace('"x": Real(1, 10)', '"x": Real(500, 1000)'))
    (project / "helper_of_continued.py").write_text(HELPER.replace("+ 0", "- 2000"))
    for e in search(project, workers=workers, run_dir=None).evaluations:
        assert e.configuration["x"] >= 500 and e.metrics["a"] == e.configuration["x"] - 2000


def test_workers_run_what_was_read_when_the_search_began(project: Path) -> None:
    """The first evaluation edits the file and kills its worker, so that the next one starts after the edit."""
    text = TEXT.replace(
        '        return {"a"',
        "        import os, pathlib\n"
        "        file = pathlib.Path(__file__).with_name('helper_of_continued.py')\n"
        "        if '+ 0' in file.read_text():\n"
        "            file.write_text(file.read_text().replace('+ 0', '+ 1000'))\n"
        "            os._exit(1)\n"
        '        return {"a"',
    )
    (project / "p.py").write_text(text)
    result = evo_moo.search(
        f"{project / 'p.py'}:P", termination=("n_evals", 4), workers=2, mode="steady-state", **SMALL
    )
    assert [e.metrics["a"] for e in result.evaluations] == [e.configuration["x"] for e in result.evaluations]


MODULE = """
import sys
sys.path.insert(0, sys.argv[1])
import evo_moo
from object_of_continued import P
from pathlib import Path

def go(workers):
    r = evo_moo.search(P(), termination=("n_evals", 4), pop_size=4, surrogate="none", workers=workers)
    return [round(e.metrics["a"] - e.configuration["x"]) for e in r.evaluations]

if __name__ == "__main__":
    print(go(2))
    file = Path(sys.argv[1], "object_of_continued.py")
    file.write_text(file.read_text().replace("+ 0", "+ 1000"))
    print(go(1))
    try:
        print(go(2))
    except evo_moo.EvoMooError as error:
        print(error)
"""


@pytest.mark.slow
def test_an_object_of_an_edited_module_is_not_mixed(tmp_path: Path) -> None:
    (tmp_path / "object_of_continued.py").write_text(TEXT.replace("from helper_of_continued", HELPER + "#"))
    (tmp_path / "script.py").write_text(MODULE)
    done = subprocess.run([sys.executable, "script.py", str(tmp_path)], cwd=tmp_path, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert lines[:2] == ["[0, 0, 0, 0]"] * 2, done.stderr
    assert "the file was edited after it was imported: `shifted` has changed" in " ".join(lines[2:]), done.stderr


CELLS = """
import evo_moo
from evo_moo import Real, SearchProblem

def go(problem, **more):
    r = evo_moo.search(problem, termination=("n_evals", 4), pop_size=4, surrogate="none", **more)
    return [round(e.metrics["a"] - e.configuration["x"]) for e in r.evaluations]

def cell(shift):
    source = '''
class P(SearchProblem):
    variables = {"x": Real(0, 1)}
    objectives = {"a": "min"}
    def evaluate(self, config):
        return {"a": config["x"] + %s}

def f(config):
    return {"a": config["x"] + %s}
''' % (shift, shift)
    exec(compile(source, "<cell>", "exec"), globals())

for shift in (0, 1000):
    cell(shift)
    for workers in (1, 2):
        print(go(P(), workers=workers), go(f, workers=workers, variables=P.variables, objectives=P.objectives))
    try:
        print(go(P(), workers=1, run_dir="r"))
    except evo_moo.RunFolderError as error:
        print(error)
"""


@pytest.mark.slow
def test_a_definition_made_anew_is_what_is_searched_next(tmp_path: Path) -> None:
    """As in a notebook, where definitions are of no file."""
    done = subprocess.run([sys.executable, "-"], input=CELLS, cwd=tmp_path, capture_output=True, text=True)
    old, new = "[0, 0, 0, 0]", "[1000, 1000, 1000, 1000]"
    *lines, refused = done.stdout.splitlines()
    assert lines == [f"{old} {old}"] * 2 + [old] + [f"{new} {new}"] * 2, done.stderr
    assert "`P.evaluate` has changed (--accept-changes" in refused


def function_search(function: Function, folder: Path, n_evals: int = 8, **more: Any) -> Result:
    space = {"x": Real(0, 1)}
    goals = {"a": "min"}
    termination = ("n_evals", n_evals)
    return evo_moo.search(
        function, variables=space, objectives=goals, termination=termination, workers=1, run_dir=folder, **SMALL, **more
    )


def test_a_redefined_function_gives_no_old_numbers(tmp_path: Path) -> None:
    def f(config: dict[str, float]) -> dict[str, float]:
        return {"a": config["x"]}

    def g(config: dict[str, float]) -> dict[str, float]:
        return {"a": config["x"] + 1000}

    g.__name__, g.__qualname__, g.__code__ = "f", f.__qualname__, g.__code__.replace(co_qualname=f.__qualname__)
    first = function_search(f, tmp_path)
    assert function_search(f, tmp_path).F.tolist() == first.F.tolist()
    with pytest.raises(RunFolderError, match=r"`.*f` has changed \(--accept-changes"):
        function_search(g, tmp_path)
    assert function_search(g, tmp_path, 12, accept_changes=True).code_changes[0].startswith("after 8 evaluations: ")


@pytest.mark.slow
def test_a_project_moved_as_a_whole_goes_on(project: Path) -> None:
    job = '[problem]\nuse = "p.py:P"\n[search]\npop_size = 4\n[budget]\nn_evals = 8\n[surrogate]\nmodel = "none"\n'
    (project / "job.toml").write_text(job)
    line = ("run", "job.toml", "--run-dir", "runs/r", "--workers", 1)
    command(*line, cwd=project)
    new = project.rename(project.with_name("new"))
    command("resume", "runs/r", "--n-evals", 12, cwd=new)
    newer = new.rename(project.with_name("newer"))
    (newer / "job.toml").write_text(job.replace("n_evals = 8", "n_evals = 16"))
    command(*line, cwd=newer)
    assert len(Result.read(newer / "runs/r").evaluations) == 16
    assert f'use = "{newer}/p.py:P"' in (newer / "runs/r/job.toml").read_text()


@pytest.mark.slow
def test_a_file_moved_alone_is_named_by_its_new_place(project: Path) -> None:
    search(project)
    elsewhere = project / "deep"
    shutil.copytree(project, elsewhere, ignore=lambda *_: ["r", "deep"])
    (project / "p.py").unlink()
    refused = command("resume", "r", "--n-evals", 12, cwd=project, code=2).stderr
    assert "is no file; name the new place by --problem FILE.py:Class" in refused
    command("resume", "r", "--n-evals", 12, "--problem", "deep/p.py:P", cwd=project)
    (elsewhere / "p.py").write_text(TEXT.replace('config["y"] -', 'config["y"] +'))
    assert "`p.py` has changed" in command("resume", "r", "--n-evals", 16, cwd=project, code=1).stderr
    assert (
        len(evo_moo.resume(project / "r", f"{elsewhere / 'p.py'}:P", n_evals=16, accept_changes=True).evaluations) == 16
    )


def test_an_object_does_not_stand_for_a_reference(project: Path) -> None:
    search(project)
    with pytest.raises(UsageError, match="so `problem` must name it where it moved, but is <"):
        evo_moo.resume(project / "r", evo_moo.load_problem("pymoo:bnh"))

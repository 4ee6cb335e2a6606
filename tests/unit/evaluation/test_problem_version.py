from pathlib import Path

import pytest

from evo_moo.evaluation.problem_version import problem_version
from evo_moo.plugins import ProblemSource

PROBLEM = """
from evo_moo import Real, SearchProblem
from helper import twice

class Mine(SearchProblem):
    variables = {"x": Real(0, 1)}
    objectives = {"f": "min"}

    def __init__(self, shift=0):
        self.shift = shift

    def evaluate(self, config):
        return {"f": twice(config["x"]) + self.shift}
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(PROBLEM)
    (tmp_path / "helper.py").write_text("import deeper\n\ndef twice(x):\n    return 2 * x\n")
    (tmp_path / "deeper.py").write_text("")
    (tmp_path / "stranger.py").write_text("")
    return tmp_path


def version(folder: Path, **options: object) -> str | None:
    source = ProblemSource(f"{folder / 'mine.py'}:Mine", options)
    return problem_version(source.build(), source)


@pytest.mark.parametrize(
    ("name", "differs"), [("mine.py", True), ("helper.py", True), ("deeper.py", True), ("stranger.py", False)]
)
def test_the_version_changes_with_the_code_that_the_problem_uses(files: Path, name: str, differs: bool) -> None:
    before = version(files)
    with (files / name).open("a") as file:
        file.write("changed = 1\n")
    assert (version(files) != before) == differs


def test_version_changes_with_options_and_stated_version(files: Path) -> None:
    source = ProblemSource(f"{files / 'mine.py'}:Mine", {"shift": 1})
    problem = source.build()
    versions = {version(files), version(files, shift=0), version(files, shift=1)}
    problem.version = "new data"
    assert len(versions | {problem_version(problem, source)}) == 4


def test_named_problems_have_versions_of_their_own() -> None:
    sources = [ProblemSource("digits_cnn"), ProblemSource("pymoo:zdt1"), ProblemSource("pymoo:zdt2")]
    versions = [problem_version(source.build(), source) for source in sources]
    assert all(versions) and len(set(versions)) == 3


def test_a_python_object_has_no_version(files: Path) -> None:
    problem = ProblemSource(f"{files / 'mine.py'}:Mine").build()
    assert problem_version(problem, ProblemSource.of_object(ProblemSource("pymoo:zdt1").build())) is None

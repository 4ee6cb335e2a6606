import datetime
import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from evo_moo.job.check import check_job
from evo_moo.job.identity import differences, followed
from evo_moo.job.job import Job, ProblemSection
from evo_moo.plugins import ProblemSource, load_problem
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.space.variables import Choice, Integer, Real, Variable
from evo_moo.storage.facts import RunFacts

PROBLEM = load_problem("pymoo:bnh")
FILE = """
from evo_moo import Real, SearchProblem

class Mine(SearchProblem):
    variables = {"x": Real(0, 1)}
    objectives = {"f": "min"}

    def evaluate(self, config):
        return {"f": config["x"]}
"""


def job(use: str = "pymoo:bnh", **sections: Any) -> Job:
    return check_job({"problem": {"use": use}, "budget": {"n_evals": 9}} | sections)[0]


def begun(made_for: Job, problem: SearchProblem = PROBLEM, **more: Any) -> RunFacts:
    goals, space = made_for.goals(problem).to_json(), problem.space.to_json()
    facts = {"job": made_for.to_toml(), "goals": goals, "space": space} | more
    return RunFacts(None, {name: json.dumps(value) for name, value in facts.items()})


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({}, []),
        ({"budget": {"n_evals": 20}, "evaluation": {"workers": 1}}, []),
        ({"search": {"seed": 2}}, ["search.seed: 1 there, 2 here"]),
        ({"surrogate": {"infill": "prescreen"}}, ["surrogate.infill: 'ehvi' there, 'prescreen' here"]),
    ],
)
def test_a_run_goes_on_with_its_job_and_another_budget(sections: dict[str, Any], said: list[str]) -> None:
    given = {"surrogate": {"model": "rf"}}
    surrogate = given["surrogate"] | sections.get("surrogate", {}) | {"batch": 4}
    other = job(**given | sections | {"surrogate": surrogate})
    assert differences(begun(job(**given)), other, PROBLEM, None) == said


def test_a_start_that_earlier_runs_added_to_is_the_same_job() -> None:
    given, more = {"x1": 1.0, "x2": 2.0}, {"x1": 2.0, "x2": 1.0}
    there = begun(job(search={"start": [given, more]}), given_start=[given])
    assert differences(there, job(search={"start": [given]}), PROBLEM, None) == []
    assert differences(there, job(search={"start": [more]}), PROBLEM, None) != []


def test_other_goals_are_another_job() -> None:
    changed = differences(begun(job()), job(objectives={"f1": "max"}), PROBLEM, None)
    assert changed[-1] == (
        "goals: f1 min, f2 min; g1 at most 0, g2 at most 0 there, f1 max; g1 at most 0, g2 at most 0 here"
    )


class Space(SearchProblem):
    variables = {"a": Real(1, 10), "n": Integer(1, 3), "k": Choice(["p", "q"])}
    objectives = {"f": "min"}

    def evaluate(self, config: dict[str, Any]) -> dict[str, float]:
        return {"f": config["a"]}


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"a": Real(1, 1000)}, ["variable a: real 1 to 10 there, real 1 to 1000 here"]),
        ({"a": Real(1, 10, log=True)}, ["variable a: real 1 to 10 there, real 1 to 10, log = True here"]),
        ({"n": Real(1, 3)}, ["variable n: integer 1 to 3 there, real 1 to 3 here"]),
        (
            {"k": Choice(["q", "p"])},
            ["variable k: choice, options = ['p', 'q'] there, choice, options = ['q', 'p'] here"],
        ),
        ({"m": Integer(0, 1)}, ["variable m: none there, integer 0 to 1 here"]),
    ],
)
def test_another_space_is_another_job(variables: dict[str, Any], said: list[str]) -> None:
    other = Space()
    other.variables = Space.variables | variables
    assert differences(begun(job(), Space()), job(), other, None)[: len(said)] == said


@pytest.mark.parametrize(
    ("there", "here", "same"),
    [
        (Choice([1, 2]), Choice([True, 2]), False),
        (Choice([1, 2]), Choice([1.0, 2]), False),
        (Choice([(3, 3), None]), Choice([[3, 3], None]), True),
        (Real(1, 2), Real(1.0, 2.0), True),
    ],
)
def test_options_of_other_types_are_another_job(there: Variable, here: Variable, same: bool) -> None:
    spaces = Space(), Space()
    for space, variable in zip(spaces, (there, here), strict=True):
        space.variables = {"v": variable}
    assert (differences(begun(job(), spaces[0]), job(), spaces[1], None) == []) == same


def test_options_that_a_ledger_writes_otherwise_are_the_same_job() -> None:
    options = {"sizes": (1, [(2,)]), "when": datetime.date(2026, 1, 1)}
    given = job().model_copy(update={"problem": ProblemSection(use="pymoo:bnh", options=options)})
    facts = RunFacts(
        None,
        {
            name: orjson.dumps(value).decode()
            for name, value in {
                "job": given.to_toml(),
                "goals": PROBLEM.goals.to_json(),
                "space": PROBLEM.space.to_json(),
            }.items()
        },
    )
    assert differences(facts, given, PROBLEM, None) == []


def test_another_order_of_variables_is_another_job() -> None:
    other = Space()
    other.variables = dict(reversed(Space.variables.items()))
    assert "variables: a, n, k there, k, n, a here" in differences(begun(job(), Space()), job(), other, None)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "mine.py").write_text(FILE)
    return tmp_path / "old"


def recorded(project: Path) -> RunFacts:
    """What a run in the project's folder ``r`` records."""
    source = ProblemSource(f"{project / 'mine.py'}:Mine")
    made_for = job(str(source.reference), search={"from": [str(project / "r0")]})
    return begun(made_for, source.build(), place=str(project / "r"), parts=source.parts)


def test_a_project_moved_as_a_whole_is_the_same(project: Path) -> None:
    facts = recorded(project)
    new = project.rename(project.with_name("new"))
    assert followed(facts.job, facts, new / "r")["problem"]["use"] == f"{new / 'mine.py'}:Mine"
    moved = job(f"{new / 'mine.py'}:Mine", search={"from": [str(new / "r0")]})
    assert differences(facts, moved, load_problem(moved.problem.use), new / "r") == []
    (said,) = differences(facts, moved, load_problem(moved.problem.use), new / "deep" / "r")
    assert said.startswith("search.from: ")


@pytest.mark.parametrize(
    ("old", "new", "chosen"),
    [(FILE, FILE, "new"), ("other", FILE, "new"), (FILE, "other", "old"), ("other", "other", "new"), (FILE, "", "old")],
)
def test_the_files_content_decides_between_two_places(project: Path, old: str, new: str, chosen: str) -> None:
    facts, copy = recorded(project), project.with_name("new")
    copy.mkdir()
    (project / "mine.py").write_text(old)
    if new:
        (copy / "mine.py").write_text(new)
    use = followed(facts.job, facts, copy / "r")["problem"]["use"]
    assert use == f"{project.with_name(chosen) / 'mine.py'}:Mine"


def test_another_class_or_file_is_another_job(project: Path) -> None:
    facts = recorded(project)
    given = job(f"{project / 'mine.py'}:Mine", search={"from": [str(project / "r0")]})
    for name in ("mine.py:Other", "other.py:Mine"):
        other = given.model_copy(update={"problem": ProblemSection(use=f"{project / name}")})
        (said,) = differences(facts, other, load_problem(given.problem.use), project / "r")
        assert said.startswith("problem.use: ")

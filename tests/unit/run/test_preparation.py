import json

import pytest

from evo_moo import search
from evo_moo.errors import JobError, RunFolderError
from evo_moo.job.check import check_job
from evo_moo.problem.goals import Goals
from evo_moo.run.api import run_job
from evo_moo.run.preparation import Recorded, differences, prepare
from evo_moo.storage.facts import RunFacts

GOALS = Goals.declared({"f1": "min"}, {})


def job(**sections):
    return check_job({"problem": {"use": "pymoo:bnh"}, "budget": {"n_evals": 9}} | sections)[0]


def facts_of(made_for, **more):
    facts = {"job": made_for.to_toml(), "goals": GOALS.to_json()} | more
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
def test_a_run_goes_on_with_its_job_and_another_budget(sections, said):
    given = {"surrogate": {"model": "rf"}}
    surrogate = given["surrogate"] | sections.get("surrogate", {}) | {"batch": 4}
    assert differences(facts_of(job(**given)), job(**given | sections | {"surrogate": surrogate}), GOALS) == said


def test_a_start_that_earlier_runs_added_to_is_the_same_job():
    given, more = {"x1": 1.0, "x2": 2.0}, {"x1": 2.0, "x2": 1.0}
    begun = facts_of(job(search={"start": [given, more]}), given_start=[given])
    assert differences(begun, job(search={"start": [given]}), GOALS) == []
    assert differences(begun, job(search={"start": [more]}), GOALS) != []


def test_other_goals_are_another_job():
    assert differences(facts_of(job()), job(), Goals.declared({"f1": "max"}, {})) == ["the problem's goals"]


def test_a_folder_without_a_run_records_nothing(tmp_path):
    assert Recorded.read(None) == Recorded.read(tmp_path / "none") == Recorded()
    (tmp_path / "run.sqlite").write_bytes(b"no ledger")
    assert Recorded.read(tmp_path) == Recorded()
    (tmp_path / "job.toml").write_text("[search]\nseed = 3\n")  # outlives the ledger
    assert Recorded.read(tmp_path) == Recorded(job={"search": {"seed": 3}})


def test_another_job_in_an_old_folder_hears_that_first(tmp_path):
    search("pymoo:bnh", pop_size=4, termination=("n_evals", 8), workers=1, run_dir=tmp_path)
    late = {"n_evals": 4, "deadline": "2020-01-01T00:00:00"}
    other = check_job({"problem": {"use": "pymoo:zdt1"}, "budget": late})
    with pytest.raises(RunFolderError, match=r"made for another: problem\.use: 'pymoo:bnh' there, 'pymoo:zdt1'"):
        run_job(prepare(*other, tmp_path), tmp_path, verbose=False)


def test_all_faults_of_a_budget_in_an_old_folder_are_listed(tmp_path):
    search("pymoo:bnh", pop_size=4, termination=("n_evals", 8), workers=1, run_dir=tmp_path)
    late = {"n_evals": 4, "deadline": "2020-01-01T00:00:00"}
    with pytest.raises(JobError) as raised:
        prepare(*check_job({"problem": {"use": "pymoo:bnh"}, "search": {"pop_size": 4}, "budget": late}), tmp_path)
    assert [fault.partition(" ")[0] for fault in raised.value.faults] == ["`budget.deadline`", "`budget.n_evals`"]

import pytest

from evo_moo import search
from evo_moo.errors import JobError, RunFolderError
from evo_moo.job.check import check_job
from evo_moo.run.api import run_job
from evo_moo.run.preparation.prepared import outside_faults, prepare
from evo_moo.storage.reading import Recorded


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


def test_faults_around_a_job_are_listed_with_those_of_the_job(tmp_path):
    data = {
        "problem": {"use": "pymoo:bnh"},
        "search": {"pop_size": 2, "from": [str(tmp_path / "none")]},
        "budget": {"n_evals": 4, "deadline": "2020-01-01T00:00:00"},
    }
    with pytest.raises(JobError) as raised:
        check_job(data, more=outside_faults(None))
    keys = [fault.split("`")[1] for fault in raised.value.faults]
    assert keys == ["search.pop_size", "budget.deadline", "search.from"]


def test_all_faults_of_a_budget_in_an_old_folder_are_listed(tmp_path):
    search("pymoo:bnh", pop_size=4, termination=("n_evals", 8), workers=1, run_dir=tmp_path)
    late = {"n_evals": 4, "deadline": "2020-01-01T00:00:00"}
    with pytest.raises(JobError) as raised:
        prepare(*check_job({"problem": {"use": "pymoo:bnh"}, "search": {"pop_size": 4}, "budget": late}), tmp_path)
    assert [fault.partition(" ")[0] for fault in raised.value.faults] == ["`budget.deadline`", "`budget.n_evals`"]

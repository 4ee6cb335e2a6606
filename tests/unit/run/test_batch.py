import pytest

import evo_moo
from evo_moo.analysis.batch_summary import read_table
from evo_moo.errors import JobError, RunFolderError, UsageError
from evo_moo.run.batch import read_batch, run_batch

BASE = '[problem]\nuse = "pymoo:bnh"\n[budget]\nn_evals = 40\n'


def runs_of(tmp_path, text, name="job"):
    (tmp_path / f"{name}.toml").write_text(BASE + text)
    return {run.name: run.job for run in read_batch([tmp_path / f"{name}.toml"], tmp_path / "b")}


def fault_of(tmp_path, text):
    with pytest.raises(JobError) as raised:
        runs_of(tmp_path, text)
    return list(raised.value.faults)


def test_a_plain_job_is_one_run(tmp_path):
    assert list(runs_of(tmp_path, "")) == ["job"]


def test_a_grid_is_the_product_of_its_lists(tmp_path):
    runs = runs_of(tmp_path, '[grid]\n"search.seed" = [1, 2, 3]\nsearch.algorithm = ["nsga2", "nsga3"]\n')
    assert list(runs)[:2] == ["job,seed=1,algorithm=nsga2", "job,seed=1,algorithm=nsga3"]
    assert {(job.search.seed, job.search.algorithm) for job in runs.values()} == {
        (seed, name) for seed in (1, 2, 3) for name in ("nsga2", "nsga3")
    }


def test_each_of_the_runs_goes_over_the_grid_and_wins(tmp_path):
    text = (
        '[grid]\n"search.seed" = [1, 2]\n[[runs]]\nbudget.n_evals = 8\n[[runs]]\nsearch = { pop_size = 6, seed = 7 }\n'
    )
    runs = runs_of(tmp_path, text)
    assert [(job.budget.n_evals, job.search.pop_size, job.search.seed) for job in runs.values()] == [
        (8, None, 1),
        (8, None, 2),
        (40, 6, 7),
    ]


def test_problem_in_a_grid_is_relative_and_names_its_run(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from evo_moo import Real, SearchProblem\n\n\nclass Mine(SearchProblem):\n"
        '    variables = {"x": Real(0, 1)}\n    objectives = {"a": "min"}\n\n    def evaluate(self, config):\n'
        '        return {"a": config["x"]}\n'
    )
    runs = runs_of(tmp_path, '[grid]\n"problem.use" = ["pymoo:zdt1", "mine.py:Mine"]\n')
    assert list(runs) == ["job,use=zdt1", "job,use=Mine"]
    assert runs["job,use=Mine"].problem.use == f"{tmp_path / 'mine.py'}:Mine"


def test_long_and_like_names_get_a_digest_and_stay_the_same(tmp_path):
    text = '[grid]\n"objectives" = [{ f1 = "min", f2 = "min" }, { f1 = "min" }]\n'
    assert fault_of(tmp_path, text)  # no section.key
    text = '[grid]\n"search.start" = [[{ x1 = 1.0, x2 = 1.0 }], [{ x1 = -1.0, x2 = 1.0 }], [{ x1 = 1, x2 = 1.0 }]]\n'
    assert fault_of(tmp_path, text)  # outside of the space
    text = f'[grid]\n"search.start" = [{", ".join(f"[{{ x1 = {i}.0, x2 = 1.0 }}]" for i in range(3))}]\n'
    names = list(runs_of(tmp_path, text))
    assert len(set(names)) == 3 and names == list(runs_of(tmp_path, text))
    many = ", ".join("{ x1 = 1.0, x2 = 1.0 }" for _ in range(12))
    (name,) = runs_of(tmp_path, f'[grid]\n"search.start" = [[{many}]]\n')
    assert len(name) < 120


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[grid]\nsearch.seed = 1\n", "`grid.search.seed` must be a list of values, but is 1"),
        ("[grid]\nsearch.seed = []\n", "`grid.search.seed` must be a list of values"),
        ("[grid]\nseed = [1]\n", "`seed` must be section.key, as in search.seed"),
        ("[[runs]]\nseed = 1\n", "`seed` must be section.key"),
        ("[runs]\nsearch.seed = 1\n", "`runs` must be tables, each begun by [[runs]]"),
        ("[grid]\n'problem.use.x' = [1]\n", "`problem.use.x` must be a key of a table"),
        ("[grid]\n'search.sead' = [1, 2]\n", "`search.sead` is no key of a job; did you mean `seed`?"),
    ],
)
def test_faults_name_the_file_and_are_listed_once(tmp_path, text, fault):
    (found,) = fault_of(tmp_path, text)
    assert found.startswith(f"{tmp_path / 'job.toml'}: {fault}")


def test_a_file_is_taken_once(tmp_path):
    runs_of(tmp_path, "")
    with pytest.raises(JobError, match="takes a file once"):
        read_batch([tmp_path / "job.toml"] * 2, tmp_path)


def test_runs_that_are_the_same_are_no_replicates(tmp_path):
    (found,) = fault_of(tmp_path, '[grid]\n"search.seed" = [1, 2, 1]\n')
    assert "a batch's runs must differ, but `job,seed=1-" in found and "is the same as `job,seed=1`; drop one" in found
    runs_of(tmp_path, '[grid]\n"problem.options.n_var" = [4, 5]\n"problem.use" = ["pymoo:zdt1"]\n')


def test_changed_batch_is_refused_and_a_budget_only_grows(tmp_path):
    text = '[grid]\n"search.seed" = [1, 2]\n[search]\npop_size = '
    runs_of(tmp_path, text + "8\n")
    run_dir = tmp_path / "b" / "job,seed=2"
    evo_moo.search("pymoo:bnh", pop_size=8, termination=("n_evals", 40), seed=2, workers=1, run_dir=run_dir)
    runs_of(tmp_path, text + "8\n[evaluation]\nretries = 2\n")
    (found,) = fault_of(tmp_path, text + "12\n")
    assert "search.pop_size: 8 there, 12 here; name a new one by --batch-dir" in found
    (tmp_path / "few.toml").write_text(BASE.replace("40", "30"))
    run_dir.rename(tmp_path / "b" / "few")
    with pytest.raises(JobError) as raised:
        read_batch([tmp_path / "few.toml"], tmp_path / "b")
    assert any(
        "`budget.n_evals` must be at least 40, as many as the run has asked for, but is 30" in fault
        for fault in raised.value.faults
    )


def test_failed_run_is_named_at_the_end_with_its_error(tmp_path):
    runs = read_batch([job_file(tmp_path)], tmp_path / "b")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "job").write_text("a file where the run's folder is to be")
    told = []
    assert run_batch(runs, tmp_path / "b", 1, 1, told.append) == 1
    assert told[-1].startswith("job failed: ") and "must be writable, but is not: " in told[-1]


def job_file(tmp_path):
    (tmp_path / "job.toml").write_text(BASE)
    return tmp_path / "job.toml"


def test_the_folder_of_a_run_is_no_batch_folder(tmp_path):
    evo_moo.search("pymoo:bnh", termination=("n_evals", 4), pop_size=4, workers=1, run_dir=tmp_path / "r")
    with pytest.raises(UsageError, match="a batch's folder must not be that of a run"):
        read_batch([job_file(tmp_path)], tmp_path / "r")
    with pytest.raises(RunFolderError, match="must be a batch's folder, but is that of a run"):
        read_table(tmp_path / "r")

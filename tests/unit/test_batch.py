import pytest

from evo_moo.batch import read_batch
from evo_moo.errors import JobError

BASE = '[problem]\nuse = "pymoo:bnh"\n[budget]\nn_evals = 40\n'


def runs_of(tmp_path, text, name="job"):
    (tmp_path / f"{name}.toml").write_text(BASE + text)
    return {run.name: run.job for run in read_batch([tmp_path / f"{name}.toml"], tmp_path / "b")}


def fault_of(tmp_path, text):
    with pytest.raises(JobError) as raised:
        runs_of(tmp_path, text)
    return raised.value.faults


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


def test_a_problem_of_the_grid_is_found_beside_the_file_and_names_its_run(tmp_path):
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

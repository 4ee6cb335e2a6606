"""What a run keeps in its folder: no export replaces it, and a refused run leaves nothing of it."""

import pytest

import evo_moo
from evo_moo import Integer, SearchProblem, export_run
from evo_moo.errors import EvoMooError, JobError, SpaceError, UsageError


class Nothing(SearchProblem):
    variables = {"x": Integer(1, 9)}
    objectives = {"y": "min"}
    forbidden = {"all": lambda config: True}

    def evaluate(self, config):
        return {"y": config["x"]}


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "r"
    evo_moo.search("pymoo:bnh", termination=("n_evals", 8), pop_size=4, workers=1, run_dir=path)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "run.sqlite",
        "run.sqlite-wal",
        "RUN.sqlite",
        "job.toml",
        "environment.json",
        "log.txt",
        "front.csv",
        "report.html",
        ".lock",
    ],
)
@pytest.mark.parametrize("to", ["csv", "json", "mlflow"])
def test_no_export_replaces_a_file_of_a_run(run_dir, name, to):
    output = f"sqlite:///{run_dir / name}" if to == "mlflow" else run_dir / name
    before = {path.name: path.read_bytes() for path in run_dir.iterdir()}
    with pytest.raises(UsageError, match="`--output` must not be a file that a run keeps in its folder"):
        export_run(run_dir, to, output, force=True)
    assert {path.name: path.read_bytes() for path in run_dir.iterdir()} == before


def test_export_may_use_other_names_and_other_folders(run_dir, tmp_path):
    for path in (run_dir / "table.csv", tmp_path / "front.csv"):
        assert export_run(run_dir, "csv", path, force=True) == str(path)


@pytest.mark.parametrize("own", [(), ("job.toml", "notes.txt")])
def test_refused_run_leaves_no_folder_and_keeps_users_files(tmp_path, own):
    path = tmp_path / "new"
    for name in own:
        path.mkdir(exist_ok=True)
        (path / name).write_text("mine")
    with pytest.raises(SpaceError):
        evo_moo.search(Nothing(), termination=("n_evals", 8), pop_size=4, workers=1, run_dir=path)
    assert path.exists() == bool(own)
    assert all((path / name).read_text() == "mine" for name in own)
    assert sorted(entry.name for entry in path.glob("*")) == sorted(own)


def test_a_run_that_has_begun_is_kept_when_it_is_refused(run_dir):
    before = sorted(path.name for path in run_dir.iterdir())
    with pytest.raises(EvoMooError):
        evo_moo.search("pymoo:bnh", termination=("n_evals", 8), pop_size=6, workers=1, run_dir=run_dir)
    assert sorted(path.name for path in run_dir.iterdir()) == before


def test_a_budget_never_shrinks_below_what_was_asked(run_dir):
    with pytest.raises(
        JobError, match=r"`budget.n_evals` must be at least 8, as many as the run has asked for, but is 4"
    ):
        evo_moo.resume(run_dir, n_evals=4)
    assert len(evo_moo.resume(run_dir).evaluations) == 8

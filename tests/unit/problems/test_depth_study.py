import statistics
from pathlib import Path

import pytest

pytest.importorskip("torch")

from evo_moo.errors import ProblemError
from evo_moo.job.check import check_job
from evo_moo.job.file import read_job_file
from evo_moo.optimizer.optimizer import Optimizer
from evo_moo.plugins import load_problem

FOLDER = Path(__file__).parents[3] / "problems"
REFERENCE = f"{FOLDER / 'depth_study.py'}:DepthStudy"


@pytest.mark.slow
def test_the_mean_and_the_deviation_are_those_of_the_seeds():
    problem = load_problem(REFERENCE, {"epochs": 1, "seeds": [1, 2]})
    config = {"depth": "deep", "width": 8, "lr": 0.01}
    one, same = problem.evaluate(config), problem.evaluate(config)
    values = [one["accuracy_seed_1"], one["accuracy_seed_2"]]
    assert values[0] != values[1]
    assert one["accuracy"] == statistics.mean(values) and one["accuracy_sd"] == statistics.stdev(values)
    assert {**one, "train_s": 0} == {**same, "train_s": 0}
    again = problem.call_evaluate(config, seed=0, replicate=1).metrics
    assert {name for name in again if "_seed_" in name} == {"accuracy_seed_3", "accuracy_seed_4"}


def test_its_job_is_the_whole_grid():
    data = read_job_file(FOLDER / "depth_study.toml") | {"problem": {"use": REFERENCE}}
    job, problem, _ = check_job(data)
    optimizer = Optimizer(problem, job.search.algorithm)
    assert job.budget.n_evals == problem.space.size() == len(optimizer.ask()) == 12


@pytest.mark.parametrize("options", [{"epochs": 0}, {"seeds": [42]}, {"seeds": [42, 42]}])
def test_wrong_options_are_refused(options):
    with pytest.raises(ProblemError, match="must be at least"):
        load_problem(REFERENCE, options)

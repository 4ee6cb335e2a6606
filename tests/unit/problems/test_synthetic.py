from pathlib import Path

import numpy as np
import pytest
from pymoo.problems import get_problem
from scipy.stats import spearmanr

import evo_moo
from evo_moo.errors import ProblemError
from evo_moo.plugins import load_problem

REFERENCE = f"{Path(__file__).parents[3] / 'problems' / 'synthetic.py'}:Synthetic"


def new(**options):
    return load_problem(REFERENCE, {"arguments": {"n_var": 4}} | options)


def drawn(problem, n=200):
    return problem.space.decode(problem.space.sample(n, np.random.default_rng(0)))


def test_problem_without_faults_is_pymoos():
    problem = load_problem(REFERENCE, {"problem": "bnh"})
    configurations = drawn(problem, 20)
    X = np.array([list(config.values()) for config in configurations])
    F, G = get_problem("bnh").evaluate(X, return_values_of=["F", "G"])
    rows = [problem.evaluate(config, seed=1) for config in configurations]
    np.testing.assert_allclose(problem.goals.F(rows), F)
    np.testing.assert_allclose([problem.goals.inequality_values(row) for row in rows], G)
    np.testing.assert_allclose(problem.pareto_front(), get_problem("bnh").pareto_front())


def test_noise_has_its_size_and_the_seed_decides_it():
    exact, noisy = new(), new(noise=0.5)
    config = drawn(exact, 1)[0]
    values = [noisy.evaluate(config, seed=seed)["f1"] - exact.evaluate(config, seed=1)["f1"] for seed in range(400)]
    assert np.mean(values) == pytest.approx(0, abs=0.1) and np.std(values) == pytest.approx(0.5, abs=0.08)
    assert noisy.evaluate(config, seed=3) == noisy.evaluate(config, seed=3)
    assert noisy.pareto_front() is None and exact.pareto_front() is not None


def test_the_share_that_fails_is_kept_and_fails_again():
    problem, failed = new(failure_rate=0.3), set()
    for turn in (1, 2):
        for i, config in enumerate(drawn(problem)):
            try:
                problem.evaluate(config, seed=turn)
            except RuntimeError:
                assert turn == 1 or i in failed
                failed.add(i)
    assert 0.2 < len(failed) / 200 < 0.4


@pytest.mark.parametrize(("misleading", "low", "high"), [(0.0, 0.999, 1.001), (0.5, -0.4, 0.4), (1.0, -1.001, -0.9)])
def test_low_fidelities_mislead_as_stated_and_the_top_never(misleading, low, high):
    exact, problem = new(), new(misleading=misleading)
    configurations = drawn(exact)
    true = [exact.evaluate(config, seed=1) for config in configurations]
    assert [problem.evaluate(config, seed=1, fidelity=27) for config in configurations] == true
    lowest = [problem.evaluate(config, seed=1, fidelity=1) for config in configurations]
    found = spearmanr([row["f2"] for row in true], [row["f2"] for row in lowest]).statistic
    assert low <= found <= high


def test_every_evaluation_takes_its_time(monkeypatch):
    waited = []
    monkeypatch.setattr("time.sleep", waited.append)
    problem = new(delay_s=2.5)
    problem.evaluate(drawn(problem, 1)[0], seed=1)
    assert waited == [2.5]


@pytest.mark.slow
def test_a_search_bears_noise_and_failures():
    result = evo_moo.search(
        REFERENCE,
        pop_size=20,
        termination=("n_evals", 300),
        workers=1,
        options={"arguments": {"n_var": 2}, "noise": 0.01, "failure_rate": 0.2},
        surrogate="none",
    )
    failed = sum(n for (status, _), n in result.endings.items() if status == "failed")
    assert 30 < failed < 90
    assert result.hypervolume({"f1": 1.1, "f2": 1.1}) > 0.7


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"noise": -1}, "`noise` must be at least 0, but is -1"),
        ({"failure_rate": 1.5}, "`failure_rate` must be 0 to 1, but is 1.5"),
        ({"problem": "zdt99"}, "`problem` must be one that pymoo's get_problem knows, but"),
    ],
)
def test_wrong_options_are_refused(options, fault):
    with pytest.raises(ProblemError, match=fault):
        load_problem(REFERENCE, options)


def test_a_fidelity_out_of_range_is_refused():
    problem = new()
    with pytest.raises(ProblemError, match="`fidelity` must be 1 to 27, but is 28"):
        problem.evaluate(drawn(problem, 1)[0], seed=1, fidelity=28)

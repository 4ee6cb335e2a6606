import numpy as np
import pytest
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.optimize import minimize
from pymoo.problems import get_problem
from pymoo.termination.default import DefaultMultiObjectiveTermination
from pymoo.termination.ftol import MultiObjectiveSpaceTermination
from pymoo.termination.robust import RobustTermination
from pymoo.termination.xtol import DesignSpaceTermination

import evo_moo
from evo_moo.analysis.fronts.first_boxes import fixed_boxes
from evo_moo.errors import JobError
from evo_moo.job.budget import Budget, StopWhen
from evo_moo.optimizer.candidate import Candidate
from evo_moo.optimizer.optimizer import Optimizer
from evo_moo.pareto import pareto_rows
from evo_moo.plugins import load_problem
from evo_moo.problem.goals import Goals
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.run.termination import BudgetWatch, StopWatch
from evo_moo.space.variables import Real
from evo_moo.storage.ledger import Ledger
from evo_moo.storage.reading import reading


def reason_of(run_dir):
    with reading(run_dir) as ledger:
        return [*ledger.events()][-1][2]["reason"]


@pytest.mark.parametrize(
    ("stop_when", "termination"),
    [
        (
            {"rule": "ftol", "tol": 0.02, "period": 6, "n_skip": 1},
            lambda: RobustTermination(MultiObjectiveSpaceTermination(tol=0.02, n_skip=1), 6),
        ),
        (
            {"rule": "xtol", "tol": 0.02, "period": 4, "n_skip": 0},
            lambda: RobustTermination(DesignSpaceTermination(tol=0.02, n_skip=0), 4),
        ),
        ({"rule": "default", "period": 2}, lambda: DefaultMultiObjectiveTermination(period=2)),
    ],
)
def test_pymoo_rules_end_a_search_where_pymoo_ends_it(stop_when, termination, name="osy"):
    expected = minimize(get_problem(name), NSGA2(pop_size=20), termination(), seed=3)
    result = evo_moo.search(get_problem(name), pop_size=20, termination=("stop_when", stop_when), seed=3)
    assert len(result.evaluations) == expected.algorithm.evaluator.n_eval
    assert np.array_equal(result.F, expected.F)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["generational", "steady-state"])
@pytest.mark.parametrize("rule", ["hypervolume stalls", "ftol"])
def test_a_run_in_pieces_ends_where_one_in_one_go_ends(tmp_path, mode, rule):
    search = {"pop_size": 12, "seed": 2, "mode": mode, "workers": 1}
    stop_when = {"rule": rule, "tol": 0.05, "period": 3}
    whole = evo_moo.search("pymoo:bnh", termination=("stop_when", stop_when), run_dir=tmp_path / "whole", **search)
    n_evals = len(whole.evaluations)
    assert n_evals > 26 and rule in reason_of(tmp_path / "whole")
    for n in (17, 24, 25, n_evals - 1, n_evals + 500):
        termination = {"n_evals": n, "stop_when": stop_when}
        parts = evo_moo.search("pymoo:bnh", termination=termination, run_dir=tmp_path / "parts", **search)
        assert len(parts.evaluations) == min(n, n_evals)
    assert np.array_equal(parts.all_F, whole.all_F)
    assert reason_of(tmp_path / "parts") == reason_of(tmp_path / "whole")


def test_the_hypervolume_stalls_where_its_definition_says(tmp_path):
    period, tol = 3, 0.05
    stop_when = {"rule": "hypervolume stalls", "tol": tol, "period": period}
    result = evo_moo.search(
        "pymoo:osy", pop_size=16, termination=("stop_when", stop_when), seed=4, run_dir=tmp_path / "r"
    )
    volumes, front = [], np.empty((0, 2))
    with reading(tmp_path / "r") as ledger:
        (fixed,) = fixed_boxes(ledger, result.goals)
        for generation, _, _, optimum in ledger.generations():
            if generation >= fixed.generation:
                best = [result.evaluations[i - 1] for i in optimum]
                F = result.goals.F([e.metrics for e in best if e.feasible])
                front = np.vstack([front, F])
                front = front[pareto_rows(front, np.zeros(len(front)))]
                volumes.append(fixed.box.share(front))
    stalled = [i for i in range(period, len(volumes)) if volumes[i] - volumes[i - period] <= tol * volumes[i]]
    assert stalled == [len(volumes) - 1]
    share = (volumes[-1] - volumes[-1 - period]) / volumes[-1]
    assert share > 0 and f"it grew by {share:.3g} of itself over 3 generations" in reason_of(tmp_path / "r")


def test_search_without_generations_or_rule_does_not_end():
    problem = load_problem("pymoo:bnh")
    for settings in (None, StopWhen(rule="ftol"), StopWhen(rule="hypervolume stalls")):
        watch = StopWatch(settings, problem.goals, problem.space)
        watch.follow(Ledger(None))
        assert watch.reason == ""


def test_search_without_feasible_points_never_stalls():
    problem = load_problem("pymoo:bnh")
    goals = Goals.declared(problem.objectives, {"f1": {"at_most": -1}})
    watch = StopWatch(StopWhen(rule="hypervolume stalls", period=1), goals, problem.space)
    ledger = Ledger(None)
    for generation in range(1, 5):
        configuration = {"x1": 1.0, "x2": 1.0}
        ledger.record_asked([(Candidate(generation, generation, configuration, np.ones(2)), 0)])
        ledger.record_generation(generation, generation, [], [])
        watch.follow(ledger)
    assert watch.reason == ""


@pytest.mark.parametrize(
    ("stop_when", "fault"),
    [
        ("it stalls", "`budget.stop_when.rule` must be 'hypervolume stalls', 'ftol', 'xtol' or 'default'"),
        ({"rule": "ftol", "period": 0}, "`budget.stop_when.period` must be at least 1, but is 0"),
        ({"rule": "default", "tol": 0.1}, "`budget.stop_when.tol` must go with another rule"),
        ({"rule": "hypervolume stalls", "n_skip": 1}, "`budget.stop_when.n_skip` must go with another rule"),
        ({"tol": 0.1}, "`budget.stop_when.rule` must be given"),
    ],
)
def test_wrong_rules_are_refused(stop_when, fault):
    with pytest.raises(JobError) as raised:
        evo_moo.search("pymoo:bnh", termination=("stop_when", stop_when))
    assert raised.value.faults[0].startswith(fault)


def test_the_hypervolume_of_many_objectives_is_refused():
    with pytest.raises(JobError, match=r"at most 4 objectives, .* but there are 6; try 'ftol'"):
        evo_moo.search(get_problem("dtlz2", n_var=10, n_obj=6), termination=("stop_when", "hypervolume stalls"))


class Line(SearchProblem):
    variables = {"x": Real(0, 1)}
    objectives = {"loss": "min"}


def asking(algorithm: str = "nsga2", n_asked: int = 0, generation: int = 0) -> Optimizer:
    optimizer = Optimizer(Line(), algorithm, pop_size=4)
    optimizer.ask(n_asked)
    optimizer.generation = generation
    return optimizer


@pytest.mark.parametrize(
    ("budget", "optimizer", "left", "reason"),
    [
        (Budget(n_evals=5), asking(n_asked=3), 2, ""),
        (Budget(n_evals=3), asking(n_asked=3), 0, "n_evals = 3 is reached"),
        (Budget(n_gen=2), asking(generation=1), 9, ""),
        (Budget(n_gen=2), asking(generation=2), 0, "n_gen = 2 is reached"),
        (Budget(time_s=1e6), asking(), 9, ""),
        (Budget(n_evals=20), asking(n_asked=3), 9, ""),
    ],
)
def test_first_limit_ends_the_search(budget, optimizer, left, reason):
    watch = BudgetWatch(budget, optimizer)
    assert watch.left(9) == left and watch.spent() == reason


def test_time_is_summed_over_resumes():
    watch, ledger = BudgetWatch(Budget(time_s=100.0), asking()), Ledger()
    ledger.set_meta(elapsed_s=250.5)
    assert watch.elapsed_s < 100
    watch.resume(ledger)
    assert watch.elapsed_s >= 250.5 and watch.spent() == "time = 100 s is spent" and watch.left(9) == 0
    ledger.close()


@pytest.mark.parametrize(("algorithm", "where"), [("nsga2", "space"), ("grid", "grid")])
def test_exhausted_space_or_grid_is_the_reason(algorithm, where):
    reason = BudgetWatch(Budget(n_evals=50), asking(algorithm)).why_finished()
    assert reason == f"the {where} has no new configuration left"

import pytest

from evo_moo.job.budget import Budget
from evo_moo.optimizer.optimizer import Optimizer
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.run.budget_watch import BudgetWatch
from evo_moo.space.variables import Real
from evo_moo.storage.ledger import Ledger


class Line(SearchProblem):
    variables = {"x": Real(0, 1)}
    objectives = {"loss": "min"}


def search(algorithm: str = "nsga2", n_asked: int = 0, generation: int = 0) -> Optimizer:
    optimizer = Optimizer(Line(), algorithm, pop_size=4)
    optimizer.ask(n_asked)
    optimizer.generation = generation
    return optimizer


@pytest.mark.parametrize(
    ("budget", "optimizer", "left", "reason"),
    [
        (Budget(n_evals=5), search(n_asked=3), 2, ""),
        (Budget(n_evals=3), search(n_asked=3), 0, "n_evals = 3 is reached"),
        (Budget(n_gen=2), search(generation=1), 9, ""),
        (Budget(n_gen=2), search(generation=2), 0, "n_gen = 2 is reached"),
        (Budget(time_s=1e6), search(), 9, ""),
        (Budget(n_evals=20), search(n_asked=3), 9, ""),
    ],
)
def test_first_limit_ends_the_search(budget, optimizer, left, reason):
    watch = BudgetWatch(budget, optimizer)
    assert watch.left(9) == left and watch.spent() == reason


def test_time_is_summed_over_resumes():
    watch, ledger = BudgetWatch(Budget(time_s=100.0), search()), Ledger()
    ledger.set_meta(elapsed_s=250.5)
    assert watch.elapsed_s < 100
    watch.resume(ledger)
    assert watch.elapsed_s >= 250.5 and watch.spent() == "time = 100 s is spent" and watch.left(9) == 0
    ledger.close()


@pytest.mark.parametrize(("algorithm", "where"), [("nsga2", "space"), ("grid", "grid")])
def test_exhausted_space_or_grid_is_the_reason(algorithm, where):
    reason = BudgetWatch(Budget(n_evals=50), search(algorithm)).why_finished()
    assert reason == f"the {where} has no new configuration left"

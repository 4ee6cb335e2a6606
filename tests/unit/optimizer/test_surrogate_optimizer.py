import pytest

from evo_moo.optimizer.surrogate_optimizer import SurrogateOptimizer
from evo_moo.plugins import load_problem


@pytest.mark.parametrize(("mode", "n"), [("generational", 3), ("steady-state", 1)])
def test_models_propose_a_batch_or_in_steady_state_one(mode, n):
    problem = load_problem("pymoo:zdt1", {"n_var": 2})
    optimizer = SurrogateOptimizer(problem, pop_size=6, batch=3, mode=mode, model="rf")
    for candidate in optimizer.ask(6):
        optimizer.tell(candidate.id, problem.evaluate(candidate.configuration))
    asked = optimizer.ask()
    assert [candidate.id for candidate in asked] == list(range(7, 7 + n))
    assert all(candidate.prediction for candidate in asked if candidate.origin == "infill") and not optimizer.exhausted

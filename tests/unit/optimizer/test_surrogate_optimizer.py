import pytest

from evo_moo.optimizer.surrogate_optimizer import SurrogateOptimizer
from evo_moo.plugins import load_problem
from evo_moo.problem.points import numbered


@pytest.mark.parametrize(("mode", "n"), [("generational", 3), ("steady-state", 1)])
def test_models_propose_a_batch_or_in_steady_state_one(mode, n):
    problem = load_problem("pymoo:zdt1", {"n_var": 2})
    optimizer = SurrogateOptimizer(problem, pop_size=6, batch=3, mode=mode, model="rf")
    for candidate in optimizer.ask(6):
        optimizer.tell(candidate.id, problem.evaluate(candidate.configuration))
    asked = optimizer.ask()
    assert [candidate.id for candidate in asked] == list(range(7, 7 + n))
    assert all(candidate.prediction for candidate in asked if candidate.origin == "infill") and not optimizer.exhausted


@pytest.mark.parametrize("with_seen", [True, False])
def test_loaded_models_know_what_was_learnt(with_seen):
    """The state holds the outcomes, or they are told again; what is proposed then is the same."""
    problem = load_problem("pymoo:zdt1", {"n_var": 2})
    optimizers = [SurrogateOptimizer(problem, pop_size=6, batch=3, model="rf") for _ in range(2)]
    outcomes = []
    for candidate in optimizers[0].ask(6):
        metrics = problem.evaluate(candidate.configuration)
        outcomes.append((candidate.id, candidate.x, numbered((), metrics)))
        optimizers[0].tell(candidate.id, metrics)
    state = optimizers[0].dump(with_seen=with_seen)
    assert (len(state["archive"]) == 6) == with_seen
    optimizers[1].load(state, None if with_seen else [x for _, x, _ in outcomes])
    if not with_seen:
        optimizers[1].recall(outcomes)
    asked = [[candidate.configuration for candidate in optimizer.ask()] for optimizer in optimizers]
    assert asked[0] == asked[1] and len(asked[0]) == 3

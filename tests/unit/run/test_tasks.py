import pytest

from evo_moo.evaluation.task import Outcome
from evo_moo.evaluation.weight_store import WeightStore
from evo_moo.optimizer.candidate import Candidate
from evo_moo.problem.learning_curve import LearningCurve
from evo_moo.run.tasks import Tasks
from evo_moo.seeding import evaluation_seed

CONFIGURATION = {"n": 3}


def candidate(**fields) -> Candidate:
    return Candidate(7, 1, CONFIGURATION, (3.0,), **fields)


@pytest.mark.parametrize(
    ("run_seed", "fields", "earlier", "seed"),
    [
        (5, {}, None, evaluation_seed(5, CONFIGURATION, 0)),
        (5, {"replicate": 2}, None, evaluation_seed(5, CONFIGURATION, 2)),
        (5, {"fidelity": 9}, None, evaluation_seed(5, CONFIGURATION, 0)),
        (5, {}, 44, 44),
        (5, {"seed": 0}, 44, 0),
        (None, {}, None, 0),
    ],
    ids=["run", "replicate", "rung", "earlier run", "given", "unseeded"],
)
def test_seed_follows_from_the_run_or_is_given(run_seed, fields, earlier, seed):
    assert Tasks(run_seed).task(candidate(**fields), "w", earlier).seed == seed


@pytest.mark.parametrize(
    ("fields", "previous", "own"),
    [
        ({"fidelity": 2, "is_partial": True}, None, "7"),
        ({"fidelity": 6, "is_partial": True, "continues": 4}, "4", "7"),
        ({"fidelity": 18, "continues": 4}, "4", None),
        ({"fidelity": 18, "continues": 4, "replicate": 1}, None, None),
    ],
    ids=["lowest rung", "middle", "top", "replicate"],
)
def test_promoted_task_continues_from_saved_weights(fields, previous, own, tmp_path):
    task = Tasks(1, WeightStore(tmp_path, 10)).task(candidate(**fields), None, None)
    assert task.previous == (previous and str(tmp_path / previous)) and task.weights == (own and str(tmp_path / own))
    assert (task.fidelity, task.is_partial) == (fields["fidelity"], fields.get("is_partial", False))


def test_stopped_outcome_costs_the_share_that_was_done():
    tasks, curve = Tasks(1), LearningCurve([1], {"loss": [0.5]}, share_trained=0.25, expected={"loss": 0.4})
    tasks.task(candidate(cost=0.5), None, None)
    assert tasks.completed(Outcome(7, "stopped", {}, curve=curve)).cost == 0.125
    tasks.task(candidate(cost=0.5), None, None)
    assert tasks.completed(Outcome(7, "ok", {})).cost == 0.5

import numpy as np
import pytest

from evo_moo.errors import RunFolderError
from evo_moo.problem.contexts import Context
from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metric
from evo_moo.storage.facts import run_state
from evo_moo.storage.ledger import Ledger
from evo_moo.storage.run_boxes import boxes_to_json
from evo_moo.storage.run_folder import RunFolder

GOALS = Goals.declared({"loss": "min"}, {"size": {"at_most": 7}})


def facts_of(**recorded):
    ledger = Ledger(None)
    ledger.set_meta(**recorded)
    return ledger.facts()


def test_facts_of_a_run_that_recorded_nothing_have_defaults():
    facts = facts_of()
    assert (facts.has_begun, facts.is_confirmation, facts.state, facts.job) == (False, False, "new", {})
    assert (facts.name, facts.problem, facts.seed, facts.elapsed_s) == ("search", "unknown", 1, 0.0)
    assert facts.problem_version is facts.given_start is None and facts.known_outcomes == []
    assert facts.environment() == {}
    with pytest.raises(RunFolderError, match="must be a run that has begun, but has not yet"):
        _ = facts.goals


def test_facts_have_their_types():
    facts = facts_of(
        state="stopped",
        job={"problem": {"use": "/a/b.py:C"}, "search": {"seed": 7}},
        goals=GOALS.to_json(),
        metrics={"loss": {"unit": "ms"}},
        front="archive",
        true_front=[[0.0], [1.0]],
        elapsed_s=2,
    )
    assert (facts.has_begun, facts.state, facts.problem, facts.seed) == (True, "stopped", "b.py:C", 7)
    assert (facts.goals, facts.metrics, facts.front) == (GOALS, {"loss": Metric(unit="ms")}, "archive")
    np.testing.assert_array_equal(facts.true_fronts[0], [[0.0], [1.0]])


def test_facts_of_contexts_have_a_box_and_a_true_front_for_each():
    contexts = [Context("cpu"), Context("phone")]
    goals = Goals.declared({"loss": "min", "ms": "min"}, {}, contexts, ["ms"])
    fixed = {"contexts": {"phone": {"generation": 2, "best": [0.0, 1.0], "ref": [1.1, 2.1]}}}
    facts = facts_of(goals=goals.to_json(), true_front={"cpu": [[0.0, 1.0]]}, hypervolume_box=fixed)
    assert facts.true_fronts[0].shape == (1, 2) and facts.true_fronts[1] is None
    assert facts.boxes[0] is None and facts.boxes[1].generation == 2
    assert boxes_to_json(facts.boxes, goals) == fixed


def test_facts_of_a_confirmation_name_no_job():
    facts = facts_of(confirmation={"run": "r", "is_seeded": True})
    assert facts.is_confirmation and facts.is_seeded and facts.job == {}


def test_facts_of_a_folder_know_its_environment(tmp_path):
    with RunFolder(tmp_path / "r") as folder:
        folder.write_environment(7)
        facts = folder.ledger.facts()
    assert (facts.name, facts.path, facts.environment()["seed"]) == ("r", tmp_path / "r", 7)
    (tmp_path / "r" / "environment.json").write_text("[")
    assert facts.environment() == {}


@pytest.mark.parametrize("recorded", ["new", "running"])
def test_state_of_a_run_without_a_writer_is_killed(recorded):
    assert run_state(recorded, is_going_on=True) == "running"
    assert run_state(recorded, is_going_on=False) == "killed"


def test_state_of_a_run_that_ended_is_the_recorded_one():
    assert run_state("finished", is_going_on=True) == "finished"

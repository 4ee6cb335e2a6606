import numpy as np
import pytest

from evo_moo.errors import StateError
from evo_moo.evaluation.task import Outcome
from evo_moo.optimizer.candidate import Candidate
from evo_moo.run.replay import Replay
from evo_moo.storage.run_folder import RunFolder


def candidate(key: int, n: int = 3, **fields) -> Candidate:
    return Candidate(key, 1, {"n": n}, np.array([float(n)]), **fields)


@pytest.fixture
def folder():
    with RunFolder(None) as folder:
        folder.ledger.record_asked([(candidate(key), 10 + key) for key in (1, 2, 3)])
        folder.ledger.record_outcomes([Outcome(key, "ok", {"loss": key}) for key in (1, 2)], lambda metrics: 0.0)
        yield folder


def test_evaluations_beyond_the_checkpoint_are_replayed(folder):
    replay = Replay(folder, [], 1)
    assert (replay.n_ended, replay.n_again) == (1, 1)
    assert [replay.is_recorded(candidate(key)) for key in (1, 2, 3, 4)] == [False, True, True, False]
    ended = replay.take_ended([candidate(2), candidate(3)])
    assert [(o.id, o.status, o.metrics) for o in ended] == [(2, "ok", {"loss": 2})]
    assert replay.take_ended([candidate(2)]) == []


def test_another_configuration_under_an_id_is_refused(folder):
    with pytest.raises(StateError, match=r"must be the configuration in the ledger, \{'n': 3\}.*asks for \{'n': 4\}"):
        Replay(folder, [], 0).is_recorded(candidate(2, n=4))


def test_pending_candidates_are_returned_once(folder):
    replay = Replay(folder, [candidate(1), candidate(2), candidate(3)], 3)
    assert [[c.id for c in replay.take_pending(n)] for n in (0, 2, 2, 2)] == [[], [1, 2], [3], []]


def test_outcomes_of_earlier_runs_are_reused(folder):
    known = [{"configuration": {"n": 5}, "metrics": {"loss": 0.5}, "reason": "from r:3", "seed": 77}]
    folder.ledger.set_meta(known_outcomes=known)
    replay = Replay(folder, [], 3)
    outcome = replay.earlier_outcome(candidate(9, n=5))
    assert (outcome.id, outcome.status, outcome.metrics, outcome.attempts) == (9, "ok", {"loss": 0.5}, 0)
    assert replay.earlier_seed(candidate(9, n=5)) == 77 and replay.earlier_seed(candidate(9)) is None
    others = [candidate(9), candidate(9, n=5, fidelity=2), candidate(9, n=5, replicate=1)]
    assert [replay.earlier_outcome(other) for other in others] == [None] * 3

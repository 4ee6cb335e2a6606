import numpy as np
from pymoo.core.population import Population

from evo_moo.optimizer.open_candidates import OpenCandidates
from evo_moo.problem.points import numbered
from evo_moo.space.search_space import SearchSpace
from evo_moo.space.variables import Integer

SPACE = SearchSpace({"n": Integer(1, 9)})


def opened(*numbers: int) -> OpenCandidates:
    candidates = OpenCandidates(SPACE)
    individuals = Population.new(X=np.array([[float(n)] for n in numbers]))
    candidates.add(individuals, ({"id": i, "generation": 1, "parents": (i,)} for i, _ in enumerate(numbers, 1)))
    return candidates


def test_candidates_are_pending_until_their_outcome():
    candidates = opened(3, 4, 5)
    candidates.record(2, numbered((), {"loss": 1.0}))
    assert [c.id for c in candidates.pending(2)] == [1]
    assert candidates.n_beyond(2) == 1 and candidates.n_ended == 1 and len(candidates) == 3
    assert candidates[1].configuration == {"n": 3} and 3 in candidates and 4 not in candidates


def test_ended_candidates_are_taken_once_in_order():
    candidates = opened(3, 4, 5)
    for key, metrics in ((3, None), (1, {"loss": 2.0})):
        candidates.record(key, metrics)
    ended = candidates.take_ended()
    assert [(c.id, individual.X[0], metrics) for c, individual, metrics in ended] == [
        (1, 3.0, {"loss": 2.0}),
        (3, 5.0, None),
    ]
    assert candidates.take_ended() == [] and [c.id for c in candidates.pending(9)] == [2]


def test_candidate_with_an_outcome_is_not_awaited():
    candidates = opened(3, 4)
    candidates.record(2, None)
    assert [candidates.is_awaited(key) for key in (1, 2, 3)] == [True, False, False]


def test_state_holds_candidates_and_outcomes():
    candidates, other = opened(3, 4), OpenCandidates(SPACE)
    candidates.record(1, numbered((), {"loss": 0.5}))
    other.load(candidates.dump())
    assert [c.parents for c in other.pending(9)] == [(2,)] and other.n_ended == 1
    assert other.dump()["open_X"].tolist() == [[3.0], [4.0]]
    assert [c._replace(x=()) for c, *_ in other.take_ended()] == [c._replace(x=()) for c, *_ in candidates.take_ended()]

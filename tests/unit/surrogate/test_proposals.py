"""Proposals: how many come from the models, and that none is made twice."""

import numpy as np
import pytest

from evo_moo import Integer, Real, SearchProblem
from evo_moo.plugins import load_surrogate
from evo_moo.problem.metrics import Metric
from evo_moo.problem.points import numbered
from evo_moo.storage.checkpoint import from_json, to_json
from evo_moo.surrogate.proposals import Proposal, Proposals
from evo_moo.surrogate.search_models import SearchModels


class Sphere(SearchProblem):
    """Two distances, from the corners (0, 0) and (1, 1)."""

    variables = {"x": Real(0, 1), "y": Real(0, 1)}
    objectives = {"a": "min", "b": "min"}

    def evaluate(self, config):
        point = np.array([config["x"], config["y"]])
        return {"a": float((point**2).sum()), "b": float(((point - 1) ** 2).sum())}


class Noisy(Sphere):
    metrics = {"a": Metric(noisy=True), "b": Metric(noisy=True)}


class Grid(Sphere):
    variables = {"x": Integer(0, 5), "y": Integer(0, 5)}


def proposals_after(n, problem=None, **options):
    """Return proposals that learnt ``n`` random rows, and the source of randomness."""
    problem, rng = problem or Sphere(), np.random.default_rng(1)
    models = SearchModels(problem, problem.goals, {"gp": load_surrogate("gp")}, load_surrogate("rf"))
    proposals = Proposals(problem, models, **options)
    for key, x in enumerate(problem.space.sample(n, rng), 1):
        proposals.record(key, x, numbered((), problem.evaluate(problem.space.decode(x[None])[0])))
    return proposals, rng


def propose(proposals, rng, n, is_new=None, pending=None, problem=None):
    pending = np.empty((0, 2)) if pending is None else pending
    return proposals.propose(n, pending, (problem or Sphere()).space.sample(20, rng), is_new or everything, rng)


def everything(X):
    return np.ones(len(X), dtype=bool)


def origins(made):
    return [proposal.origin for proposal in made]


def predict(proposals, first, n, right):
    """Let ``n`` evaluations of random rows be predicted, in the right order or the reverse."""
    problem = Sphere()
    for key, x in enumerate(problem.space.sample(n, np.random.default_rng(first)), first):
        metrics = problem.evaluate(problem.space.decode(x[None])[0])
        prediction = {name: (value if right else -value, 1.0) for name, value in metrics.items()}
        proposals.expect(key, Proposal(x, "infill", prediction, point=x))
        proposals.record(key, x, numbered((), metrics))


def test_candidates_are_offspring_until_there_is_a_model():
    proposals, rng = proposals_after(0)
    made = propose(proposals, rng, 3)
    assert origins(made) == ["mating"] * 3 and all(proposal.prediction == {} for proposal in made)


def test_models_propose_beyond_what_was_measured():
    proposals, rng = proposals_after(12)
    made = propose(proposals, rng, 6)
    assert origins(made) == ["infill"] * 6 and len({p.x.tobytes() for p in made}) == 6
    # All of the true front have x equal to y; of random rows the mean distance is a third.
    assert np.mean([abs(p.x[0] - p.x[1]) for p in made]) < 0.1
    for p in made:
        mean, std = p.prediction["a"]
        assert mean == pytest.approx((p.x**2).sum(), abs=0.1) and 0 < std < 0.5


def test_models_that_rank_wrongly_leave_half_to_mating():
    proposals, rng = proposals_after(12)
    predict(proposals, 13, 20, right=True)
    assert origins(propose(proposals, rng, 4)) == ["infill"] * 4
    predict(proposals, 33, 20, right=False)
    assert origins(propose(proposals, rng, 4)) == ["mating", "mating", "infill", "infill"]
    one_by_one = [propose(proposals, rng, 1)[0].origin for _ in range(4)]
    assert sorted(one_by_one) == ["infill", "infill", "infill", "mating"]


def test_nothing_is_proposed_that_is_pending_or_not_new():
    problem = Grid()
    proposals, rng = proposals_after(14, problem)
    rows = np.array([[x, y] for x in range(6) for y in range(6)], dtype=float)
    known = {row.tobytes() for row in rows if proposals.archive.ids_of(row)}
    free = [row for row in rows if row.tobytes() not in known]
    pending, left = np.array(free[:-2]), {row.tobytes() for row in free[-2:]}

    def is_new(X):
        return np.array([x.tobytes() not in known for x in X])

    made = propose(proposals, rng, 5, is_new, pending, problem)
    assert {p.x.tobytes() for p in made} == left


def test_prescreening_takes_the_best_of_the_offspring():
    proposals, rng = proposals_after(12, infill="prescreen")
    offspring = Sphere().space.sample(40, rng)
    made = proposals.propose(5, np.empty((0, 2)), offspring, everything, rng)
    assert {p.x.tobytes() for p in made} <= {x.tobytes() for x in offspring}
    assert np.mean([abs(p.x[0] - p.x[1]) for p in made]) < np.abs(offspring[:, 0] - offspring[:, 1]).mean() / 2


def test_replicates_are_a_small_share_and_only_where_wished():
    for wished in (True, False):
        proposals, rng = proposals_after(12, Noisy(), replicates=wished)
        made = propose(proposals, rng, 8)
        again = [p for p in made if p.origin == "replicate"]
        assert len(again) == (1 if wished else 0)
        for p in again:
            assert p.replicate_of == proposals.archive.ids_of(p.x)[0]


def test_dumped_proposals_go_on_as_they_would_have():
    problem = Sphere()
    made = []
    for loads in (False, True):
        proposals, rng = proposals_after(12)
        for key, proposal in enumerate(propose(proposals, rng, 4), 13):
            proposals.expect(key, proposal)
            proposals.record(key, proposal.x, numbered((), problem.evaluate(problem.space.decode(proposal.x[None])[0])))
        if loads:
            state = proposals.dump()
            other, _ = proposals_after(12)
            for observation in proposals.archive.observations:
                other.archive.record(*observation[:3])
            other.load(from_json(to_json(state)))
            proposals = other
        made.append([p.x.tolist() for p in propose(proposals, rng, 5)])
    assert made[0] == made[1]

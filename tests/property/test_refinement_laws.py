import json
import random

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from evo_moo.optimizer.optimizer import Optimizer
from evo_moo.optimizer.refinement.refinement import Refinement
from evo_moo.optimizer.surrogate_optimizer import SurrogateOptimizer
from evo_moo.problem.fidelity import Fidelity
from evo_moo.problem.metrics import Metric
from evo_moo.problem.points import numbered
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.space.variables import Choice, Integer, Real
from evo_moo.storage.checkpoint import from_json, to_json

RUNGS, ETA, POP_SIZE = [2, 6, 18], 3, 8


class Curve(SearchProblem):
    """The longer, the better; some configurations are too large, and what a limit costs is known at once."""

    variables = {"n": Integer(1, 40), "lr": Real(1e-4, 1, log=True), "act": Choice(["relu", "gelu", "tanh"])}
    objectives = {"loss": "min", "size": "min"}
    constraints = {"size": {"at_most": 35}, "loss": {"at_most": 1.4}}
    metrics = {"size": Metric(cheap=True)}
    fidelity = Fidelity("epochs", 1, 18)

    def evaluate(self, config, *, fidelity=18, seed=0):
        loss = abs(np.log10(config["lr"]) + 2) / 4 + 2 / config["n"] + (config["act"] == "tanh") + 1 / fidelity
        return {"loss": loss + (seed % 7) / 100, "size": float(config["n"])}


class Misleading(SearchProblem):
    """What a short training shows is the opposite of what a full one does, and noise: a rank correlation of -0.5."""

    variables = {"a": Real(0, 1), "b": Real(0, 1), "c": Real(0, 1)}
    objectives = {"loss": "min", "cost": "min"}
    fidelity = Fidelity("epochs", 1, 18)

    def evaluate(self, config, *, fidelity=18, seed=0):
        loss = ((config["a"] - 0.3) ** 2 + (config["b"] - 0.7) ** 2) * (2 - config["c"])
        shown = 2 - loss + random.Random(json.dumps(config)).gauss(0, 0.5)
        return {"loss": loss if fidelity == 18 else shown, "cost": config["c"]}


def new(problem, mode="generational", seed=1, replicates=1, surrogate=False, rungs=RUNGS):
    settings = {"pop_size": POP_SIZE, "seed": seed, "mode": mode}
    inner = SurrogateOptimizer(problem, repeats=False, **settings) if surrogate else Optimizer(problem, **settings)
    return Refinement(inner, rungs, ETA, replicates, continues=True, metrics=problem.known_metrics, seed=seed)


def outcome(problem, candidate, share_failed=0.0):
    if random.Random(candidate.id).random() < share_failed:
        return None
    return problem.evaluate(candidate.configuration, fidelity=candidate.fidelity, seed=candidate.replicate)


def climb(problem, ladder, n, order=None, share_failed=0.0, chunk=3):
    """Ask in chunks and tell one at a time until ``n`` were told; yield each candidate with its metrics."""
    waiting, rng = [], random.Random(order)
    for _ in range(n):
        if len(waiting) < chunk:
            waiting += ladder.ask(chunk - len(waiting))
        if not waiting:
            return
        candidate = waiting.pop(0 if order is None else rng.randrange(len(waiting)))
        metrics = outcome(problem, candidate, share_failed)
        ladder.tell(candidate.id, metrics)
        yield candidate, metrics


@pytest.mark.parametrize("mode", ["generational", "steady-state"])
def test_moments_to_save_are_generation_ends_or_all_outcomes(mode):
    ladder, generation, saved = new(Curve(), mode), 0, []
    for _ in climb(Curve(), ladder, 60):
        assert ladder.is_settled == (ladder.generation > generation or mode == "steady-state")
        generation = ladder.generation
        saved.append(ladder.is_settled)
    assert any(saved)


def described(candidates):
    return sorted((c.id, c.generation, c.fidelity, c.replicate, c.continues, c.x.tobytes()) for c in candidates)


MODES = st.sampled_from(["generational", "steady-state"])
SHARES = st.sampled_from([0.0, 0.3])
SEEDS = st.integers(0, 2**32 - 1)


@given(MODES, SEEDS, SHARES, st.sampled_from([1, 3]))
@settings(max_examples=6)
def test_candidate_on_a_rung_has_passed_the_rung_below(mode, seed, share, replicates):
    problem = Curve()
    ladder = new(problem, mode, seed, replicates)
    told = {c.id: (c, m) for c, m in climb(problem, ladder, 90, order=seed, share_failed=share)}
    asked = [*(c for c, _ in told.values()), *ladder.pending]
    first = [c for c in asked if c.fidelity == RUNGS[0]]
    assert len({c.x.tobytes() for c in first}) == len(first)
    assert len({(c.x.tobytes(), c.fidelity, c.replicate) for c in asked}) == len(asked)
    for c in asked:
        assert c.is_partial == (c.fidelity < RUNGS[-1])
        below = told[c.continues] if c.continues else None
        assert (below is None) == (c.fidelity == RUNGS[0])
        if below is None:
            continue
        lower, metrics = below
        step = 0 if c.replicate else 1
        assert RUNGS.index(c.fidelity) == RUNGS.index(lower.fidelity) + step
        assert (c.x == lower.x).all() and metrics is not None and metrics["size"] <= 35
    tops = {c.id for c, m in told.values() if not c.is_partial and not c.replicate and m is not None}
    assert set(ladder.population_ids()) <= tops | {c.id for c, m in told.values() if m and m["size"] > 35}
    assert set(ladder.optimum_ids()) <= set(ladder.population_ids())
    steps = [
        c.fidelity if c.replicate or not c.continues else c.fidelity - told[c.continues][0].fidelity for c in asked
    ]
    cost = sum(c.cost for c in asked)
    assert cost == pytest.approx(sum(steps) / RUNGS[-1])
    assert ladder.n_within(int(cost) + 3) and not ladder.n_within(int(cost))


@given(MODES, SEEDS, st.integers(10, 90))
@settings(max_examples=6)
def test_rungs_that_rank_well_promote_no_more_than_the_share(mode, seed, n):
    problem = Curve()
    problem.constraints = {}
    ladder = new(problem, mode, seed, rungs=[6, 18])
    told = [c for c, _ in climb(problem, ladder, n)]
    assume(not any(d.kind == "refinement" for d in ladder.take_decisions()))
    asked = [*told, *ladder.pending]
    seen = sum(c.is_partial for c in told)
    assert sum(not c.is_partial for c in asked) <= seen / ETA


@given(SEEDS, SHARES, st.sampled_from([1, 2]))
@settings(max_examples=4)
def test_a_generational_ladder_does_not_depend_on_who_ends_first(seed, share, replicates):
    problem, runs, n = Curve(), [], 90
    for order, chunk in ((None, 1), (1, 2), (2, 7)):
        ladder = new(problem, seed=seed, replicates=replicates)
        runs.append({c.id: described([c]) for c, _ in climb(problem, ladder, n, order, share, chunk)})
    common = set.intersection(*map(set, runs))
    assert len(common) > n - 25
    assert all(run[key] == runs[0][key] for run in runs for key in common)


@pytest.mark.slow
@given(MODES, SEEDS, st.integers(0, 60), SHARES, st.sampled_from([1, 2]))
@settings(max_examples=6)
def test_refinement_loaded_at_any_moment_goes_on_as_dumped(mode, seed, stop, share, replicates):
    problem = Curve()
    ladder, waiting = new(problem, mode, seed, replicates), []
    for _ in range(stop):
        waiting += ladder.ask(3)
        if waiting:
            candidate = waiting.pop()
            ladder.tell(candidate.id, outcome(problem, candidate, share))
    text = to_json(ladder.dump())
    loaded = new(problem, mode, seed, replicates)
    loaded.load(from_json(text))
    assert described(loaded.pending) == described(waiting)
    assert to_json(loaded.dump()) == text
    assert goes_on(problem, loaded, share) == goes_on(problem, ladder, share)


def goes_on(problem, ladder, share, n=25):
    start = ladder.n_asked, ladder.generation, ladder.restartable()
    for candidate in ladder.pending:
        ladder.tell(candidate.id, outcome(problem, candidate, share))
    rest = described(c for c, _ in climb(problem, ladder, n, share_failed=share))
    return start, rest, ladder.population_ids(), ladder.optimum_ids(), to_json(ladder.dump())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "surrogate"), [("generational", True), ("steady-state", False), ("generational", False)]
)
def test_outcomes_may_be_kept_elsewhere(mode, surrogate):
    n_more = 3 if surrogate else 25
    problem, kept = Curve(), []
    ladder = new(problem, mode, surrogate=surrogate)
    for c, metrics in climb(problem, ladder, 400, share_failed=0.1):
        kept.append((c.id, c.x, None if metrics is None else numbered((), metrics)))
        if len(kept) > (12 if surrogate else 50) and ladder.is_settled:
            break
    state = from_json(to_json(ladder.dump(with_seen=False)))
    loaded = new(problem, mode, surrogate=surrogate)
    asked = [c.x for c in ladder.pending] + [x for _, x, _ in kept]
    loaded.load(state, seen=np.array(asked))
    loaded.recall(kept)
    described_before = goes_on(problem, ladder, 0.1, n_more)
    after = goes_on(problem, loaded, 0.1, n_more)
    assert after[:-1] == described_before[:-1]


def hypervolume_of(F):
    from evo_moo.pareto import hypervolume

    return hypervolume(np.array(F), [2.0, 1.1])


def full_results(problem, optimizer, budget):
    """Search for so many full evaluations; return the objectives of all of them."""
    F, cost = [], 0.0
    while optimizer.n_within(budget):
        for c in optimizer.ask(1):
            cost += c.cost
            metrics = problem.evaluate(c.configuration, fidelity=c.fidelity or 18)
            optimizer.tell(c.id, metrics)
            if not c.is_partial:
                F.append([metrics["loss"], metrics["cost"]])
    assert cost <= budget + 1e-6
    return F


def test_the_misleading_problem_misleads():
    problem = Misleading()
    configurations = problem.space.decode(problem.space.sample(300, np.random.default_rng(1)))
    low, high = ([problem.evaluate(c, fidelity=f)["loss"] for c in configurations] for f in (6, 18))
    assert spearmanr(low, high).statistic == pytest.approx(-0.5, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["generational", "steady-state"])
def test_a_misleading_rung_is_noticed_and_costs_little(mode, caplog):
    problem, shares = Misleading(), []
    for seed in (1, 2, 3):
        ladder = new(problem, mode, seed, rungs=[6, 18])
        refined = full_results(problem, ladder, 100)
        plain = full_results(problem, Optimizer(problem, pop_size=POP_SIZE, seed=seed, mode=mode), 100)
        (first, *_) = [d for d in ladder.take_decisions() if d.kind == "refinement"]
        assert not first.detail["trusted"] and first.detail["tau"] < 0.3 and first.detail["share"] > 1 / ETA
        shares.append(hypervolume_of(refined) / hypervolume_of(plain))
    assert "Kendall's tau" in caplog.text
    assert np.mean(shares) > 0.95


def test_a_good_rung_is_trusted_and_cheap():
    problem = Curve()
    ladder = new(problem, rungs=[6, 18])
    told = [c for c, _ in climb(problem, ladder, 200)]
    assert not [d for d in ladder.take_decisions() if d.kind == "refinement"]
    assert sum(c.cost for c in told) < 0.6 * sum(c.is_partial for c in told)


def test_front_members_are_replicated_and_averaged():
    problem, ladder = Curve(), new(Curve(), replicates=3)
    told = {c.id: (c, m) for c, m in climb(problem, ladder, 150)}
    repeats = [c for c, _ in told.values() if c.replicate]
    groups = {key: [c.replicate for c in repeats if c.continues == key] for key in {c.continues for c in repeats}}
    assert sorted(groups.values())[1:] == [[1, 2]] * (len(groups) - 1) and len(groups) > 1
    assert all(c.cost == 1 and c.origin == "replicate" for c in repeats)
    population = dict(
        zip(ladder.inner.population_ids(), ladder.inner.dump()["algorithm"]["population"]["F"], strict=True)
    )
    ids = zip(ladder.inner.population_ids(), ladder.population_ids(), strict=True)
    key, last = next((own, last) for own, last in ids if last in groups)
    losses = [told[last][1]["loss"], *(m["loss"] for c, m in told.values() if c.replicate and c.continues == last)]
    assert population[key][0] == pytest.approx(np.mean(losses))


@pytest.mark.parametrize("mode", ["generational", "steady-state"])
def test_revised_evaluation_is_ranked_by_its_new_values(mode):
    problem, refinement, asked = Curve(), new(Curve(), mode, replicates=2), {}
    while refinement.generation < 3:
        for candidate in refinement.ask(1):
            asked[candidate.id] = candidate
            refinement.tell(candidate, outcome(problem, candidate))
    members = refinement.population_ids()
    winner = members[0]
    replicates = [key for key, candidate in asked.items() if candidate.continues == winner and candidate.replicate]
    better = numbered((), {"loss": -9.0, "size": -9.0})
    refinement.revise([(key, asked[key].x, better) for key in (winner, *replicates)])
    assert set(refinement.population_ids()) == set(members) and refinement.optimum_ids() == [winner]

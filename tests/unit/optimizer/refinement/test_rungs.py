import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo_moo.optimizer.refinement.rungs import (
    PROBE_EVERY,
    geometric_rungs,
    promotion_order,
    rank_correlations,
    to_promote,
    widened,
)
from evo_moo.pareto import hypervolume, reference_point


@st.composite
def rows(draw):
    """Objectives on a small grid, so that there are ties and repetitions, and violations of which many are 0."""
    n, n_obj = draw(st.integers(1, 9)), draw(st.integers(1, 3))
    F = draw(st.lists(st.lists(st.integers(0, 5), min_size=n_obj, max_size=n_obj), min_size=n, max_size=n))
    violation = draw(st.lists(st.sampled_from([0.0, 0.0, 0.0, 1.0, 2.5]), min_size=n, max_size=n))
    return np.array(F, dtype=float), np.array(violation)


def dominates(a, b):
    return bool((a <= b).all() and (a < b).any())


def brute_ranks(F):
    """Peel fronts off one after the other."""
    ranks, left, rank = {}, set(range(len(F))), 0
    while left:
        front = {i for i in left if not any(dominates(F[j], F[i]) for j in left)}
        ranks |= dict.fromkeys(front, rank)
        left, rank = left - front, rank + 1
    return [ranks[i] for i in range(len(F))]


def brute_contribution(F, ranks, i):
    front = [j for j in range(len(F)) if ranks[j] == ranks[i]]
    span = np.ptp(F, axis=0)
    unit = (F - F.min(axis=0)) / np.where(span > 0, span, 1)
    ref = reference_point(unit)
    return hypervolume(unit[front], ref) - hypervolume(unit[[j for j in front if j != i]], ref)


@given(rows())
def test_the_order_is_that_of_the_definition(table):
    F, violation = table
    order = promotion_order(F, violation)
    assert sorted(order) == list(range(len(F)))
    feasible = [i for i in range(len(F)) if violation[i] == 0]
    assert set(order[: len(feasible)]) == set(feasible)
    assert order[len(feasible) :] == sorted(set(order) - set(feasible), key=lambda i: (violation[i], i))
    ranks = brute_ranks(F[feasible])
    if F.shape[1] == 1:
        assert order[: len(feasible)] == sorted(feasible, key=lambda i: (F[i, 0], i))
        return
    keys = [(ranks[k], -brute_contribution(F[feasible], ranks, k)) for k in map(feasible.index, order[: len(feasible)])]
    for (rank, minus), (next_rank, next_minus) in itertools.pairwise(keys):
        assert rank < next_rank or (rank == next_rank and minus <= next_minus + 1e-9)


@given(st.permutations(range(20)), st.sets(st.integers(0, 19)), st.sets(st.integers(0, 19)), st.floats(0, 1))
def test_promoted_candidates_were_waiting_and_within_the_share(order, promoted, waiting, share):
    chosen = to_promote(order, promoted, waiting, share, [1, 0])
    quota, able = int(len(order) * share + 1e-9), waiting - promoted
    assert len(set(chosen)) == len(chosen) == max(0, min(quota - len(promoted), len(able))) and set(chosen) <= able
    drawn = {k for k in range(len(chosen)) if (len(promoted) + k + 1) % PROBE_EVERY == 0}
    left = sorted(able, key=order.index)
    for k, i in enumerate(chosen):
        assert k in drawn or i == left[0]
        left.remove(i)
    assert chosen == to_promote(order, promoted, waiting, share, [1, 0])


def test_best_share_is_promoted_without_draws():
    order = [4, 2, 0, 1, 3, 5, 6, 7, 8]
    assert to_promote(order, set(), set(order), 1 / 3, [1]) == [4, 2, 0]
    assert to_promote(order, {2}, set(order), 1 / 3, [1]) == [4, 0]
    assert to_promote(order, {4, 2, 8}, set(order), 1 / 3, [1]) == []
    assert to_promote(order, set(), {5, 2}, 1 / 3, [1]) == [2, 5]


def test_everybody_is_drawn_at_some_time():
    order = list(range(PROBE_EVERY))
    drawn = {to_promote(order, set(order[:-1]), {0, 1, *order}, 1.0, [seed]) != [] for seed in range(5)}
    assert drawn == {True}
    last = [to_promote(range(30), set(range(PROBE_EVERY - 1)), set(range(30)), 1 / 3, [s])[0] for s in range(40)]
    assert max(last) >= 20 > min(last)


@pytest.mark.parametrize(
    ("low", "high", "eta", "rungs"),
    [(2, 18, 3, [2, 6, 18]), (1, 9, 3, [1, 3, 9]), (1, 200, 4, [1, 3, 12, 50, 200]), (5, 9, 3, [9]), (1, 2, 2, [1, 2])],
)
def test_rungs_are_geometric_from_the_top(low, high, eta, rungs):
    assert geometric_rungs(low, high, eta) == rungs


@given(st.integers(1, 50), st.integers(0, 400), st.integers(2, 8))
def test_rungs_rise_from_low_to_high(low, more, eta):
    rungs = geometric_rungs(low, low + more, eta)
    assert rungs == sorted(set(rungs)) and rungs[0] >= low and rungs[-1] == low + more


def test_correlations_say_what_a_rung_is_worth():
    low = np.array([[1, 1, 7, 3], [2, 2, 7, 3], [3, 3, 7, 3], [4, 4, 7, 3.0]])
    high = np.array([[1, 4, 1, 5], [2, 3, 2, 5], [3, 2, 3, 5], [4, 1, 4, 5.0]])
    assert rank_correlations(low, high).tolist() == [1, -1, 0, 1]


@given(st.floats(0.01, 1), st.floats(-1, 1))
def test_the_less_a_rung_ranks_the_more_rise(share, tau):
    wide = widened(share, tau)
    assert share <= wide <= 1
    assert wide >= widened(share, min(1, tau + 0.1))
    assert wide == share if tau >= 0.3 else True
    assert wide == pytest.approx(1) if tau <= 0 else True

"""What a hypernetwork recommends along the rays."""

import numpy as np
import pytest
import torch
from torch import Tensor

from evo_moo import Integer
from evo_moo.pareto import pareto_rows
from evo_moo.space import SearchSpace
from evo_moo.toolkit.modnas.decisions import Decisions
from evo_moo.toolkit.modnas.hypernetworks import DeviceTables
from evo_moo.toolkit.modnas.readout import best_rows, predicted, read_out, sampled_read_out

VARIABLES = {"a": Integer(0, 4), "b": Integer(0, 4)}
DECISIONS = Decisions(SearchSpace(VARIABLES))
FEATURES = torch.zeros(3)


def first(one_hots: Tensor, features: Tensor) -> Tensor:
    return one_hots[:, :5] @ torch.arange(5.0) + (1 - one_hots[:, 5:10]).sum(dim=1) - 4


def second(one_hots: Tensor, features: Tensor) -> Tensor:
    """Falls by a, and is worse for every b but 0."""
    return 4 - one_hots[:, :5] @ torch.arange(5.0) + one_hots[:, 5:] @ torch.arange(5.0)


def hypernetwork() -> DeviceTables:
    """At (1, 0) it says a = 0, at (0, 1) a = 4, between both linearly; nothing of b."""
    made = DeviceTables(torch.zeros(1, 3), DECISIONS.n_columns, n_partitions=1)
    with torch.no_grad():
        made.tables.zero_()
        made.tables[-1, :, 0], made.tables[-1, :, 4] = made.tables.new_tensor([0.0, 2.0]), 0.0
        made.tables[-1, :, 4] = made.tables.new_tensor([1.9, 0.0])
    return made


def test_a_read_out_takes_the_largest_logits() -> None:
    made = hypernetwork()
    ends = read_out(made, DECISIONS, FEATURES, np.eye(2))
    knots = made(torch.eye(2), FEATURES)
    assert (DECISIONS.rows(knots) == ends.X).all()
    assert set(ends.X[:, 0]) == {0.0, 4.0}


def test_a_read_out_counts_what_is_unique() -> None:
    found = read_out(hypernetwork(), DECISIONS, FEATURES)
    assert found.X.shape == (24, 2)
    assert found.n_unique == len(found.unique) == 2
    assert (found.unique[0] == found.X[0]).all()


def test_samples_are_the_best_by_the_losses() -> None:
    found = sampled_read_out(hypernetwork(), DECISIONS, [first, second], FEATURES, n=5)
    assert found.n_unique == len(found.X) <= 5
    F = predicted(DECISIONS, found.X, [first, second], FEATURES)
    assert len(pareto_rows(F, np.zeros(len(F)))) == len(F)
    assert (found.X[:, 1] == 0).all()
    assert set(found.X[:, 0]) == {0.0, 1.0, 2.0, 3.0, 4.0}


def test_samples_fill_up_where_all_are_asked_for() -> None:
    found = sampled_read_out(hypernetwork(), DECISIONS, [first, second], FEATURES, n=12, only_front=False)
    assert found.n_unique == len(found.X) == 12


def test_the_seed_decides_the_samples() -> None:
    made, losses = hypernetwork(), [first, second]
    one, same, other = (
        sampled_read_out(made, DECISIONS, losses, FEATURES, n=12, n_samples=1, only_front=False, seed=seed).X.tolist()
        for seed in (1, 1, 2)
    )
    assert one == same != other


def test_forbidden_architectures_are_left_out() -> None:
    space = SearchSpace(VARIABLES, {"a is not 4": lambda config: config["a"] == 4})
    decisions = Decisions(space)
    found = read_out(hypernetwork(), decisions, FEATURES)
    assert len(found.X) == len(found.preferences) < 24
    sampled = sampled_read_out(hypernetwork(), decisions, [first, second], FEATURES, only_front=False)
    for X in (found.X, sampled.X):
        assert len(X)
        assert space.allowed(X).all()


def test_all_rows_are_ranked_without_a_hypernetwork() -> None:
    X = DECISIONS.all_rows()
    F = predicted(DECISIONS, X, [first, second], FEATURES)
    front = X[best_rows(F)]
    assert sorted(map(tuple, front)) == [(a, 0) for a in range(5)]
    most = best_rows(F, 10, only_front=False)
    assert len(most) == len(set(most)) == 10
    assert sorted(map(tuple, X[most[:5]])) == [(a, 0) for a in range(5)]


@pytest.mark.parametrize("name", ["n", "n_samples"])
def test_numbers_of_samples_are_checked(name: str) -> None:
    with pytest.raises(ValueError, match=f"`{name}` must be at least 1, but is 0"):
        sampled_read_out(hypernetwork(), DECISIONS, [first, second], FEATURES, **{name: 0})

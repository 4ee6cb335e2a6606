"""The search learns architectures for every preference and device, and the seed decides it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor

from evo_moo import Boolean, Choice, Integer
from evo_moo.errors import MetricError
from evo_moo.space import SearchSpace
from evo_moo.toolkit.conditioned.preferences import rays
from evo_moo.toolkit.modnas.decisions import Decisions
from evo_moo.toolkit.modnas.hypernetworks import DeviceTables
from evo_moo.toolkit.modnas.readout import read_out
from evo_moo.toolkit.modnas.search import DESCENTS, SAMPLERS, Settings, search

DECISIONS = Decisions(
    SearchSpace(
        {
            "depth": Integer(1, 3),
            "width_2": Choice([16, 32, 64], when={"depth": {"at_least": 2}}),
            "width_3": Choice([16, 32, 64], when={"depth": 3}),
            "norm": Boolean(),
        }
    )
)
GAIN = torch.tensor([0, 0.2, 0.3] + [0, 0.1, 0.15] * 2 + [0, 0.2])
COST = torch.tensor([0, 0.1, 0.2] + [0, 0.1, 0.3] * 2 + [0, 0.0])
DEVICES = torch.tensor([[1.0, 0.0], [0.0, 1.0]])


def error(one_hots: Tensor, features: Tensor) -> Tensor:
    return 0.8 - one_hots @ GAIN


def latency(one_hots: Tensor, features: Tensor) -> Tensor:
    """On the second device norms cost much."""
    return one_hots @ COST + features[1] * one_hots[:, -1]


def searched(seed: int = 0, **settings: Any) -> tuple[DeviceTables, np.ndarray]:
    hypernetwork = DeviceTables(DEVICES, DECISIONS.n_columns, seed=seed)
    return hypernetwork, search(
        hypernetwork, DECISIONS, DEVICES, [error, latency], Settings(**{"steps": 150} | settings), seed=seed
    )


@pytest.mark.parametrize("descent", DESCENTS)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_larger_weight_means_a_smaller_loss(descent: str, sampler: str) -> None:
    hypernetwork, _ = searched(descent=descent, sampler=sampler)
    found = read_out(hypernetwork, DECISIONS, DEVICES[0])
    one_hots = DECISIONS.one_hots(found.X)
    assert found.n_unique >= 2
    assert spearmanr(found.preferences[:, 0], error(one_hots, DEVICES[0])).statistic < -0.6
    assert spearmanr(found.preferences[:, 1], latency(one_hots, DEVICES[0])).statistic < -0.6


def test_devices_get_architectures_of_their_own() -> None:
    hypernetwork, _ = searched()
    even = np.array([[0.5, 0.5]])
    norms = [DECISIONS.space.decode(read_out(hypernetwork, DECISIONS, d, even).X)[0]["norm"] for d in DEVICES]
    assert norms == [True, False]


def test_losses_fall_and_are_returned() -> None:
    hypernetwork = DeviceTables(DEVICES, DECISIONS.n_columns)
    history = search(hypernetwork, DECISIONS, DEVICES, [error, error], Settings(steps=150), seed=0)
    assert history.shape == (150, 2)
    assert history[-30:].mean() < 0.5 * history[:30].mean()


def test_the_seed_decides_the_search() -> None:
    (one, first), (two, second), (three, third) = (searched(seed, steps=20) for seed in (1, 1, 2))
    assert torch.equal(one.tables, two.tables)
    assert (first == second).all()
    assert not torch.equal(one.tables, three.tables)
    assert (first != third).any()


def test_the_search_draws_nothing_of_the_global_generator() -> None:
    state = torch.get_rng_state()
    searched(steps=3)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("settings", [{"cosine": 0.1}, {"entropy": 5.0}], ids=["cosine", "entropy"])
def test_terms_change_the_search(settings: dict[str, float]) -> None:
    plain, changed = searched(steps=50)[0].tables, searched(steps=50, **settings)[0].tables
    assert not torch.allclose(plain, changed, atol=1e-3)
    if "entropy" in settings:
        assert changed.abs().mean() < plain.abs().mean()


def test_three_objectives_have_a_preference_each() -> None:
    hypernetwork = DeviceTables(DEVICES, DECISIONS.n_columns, 3)
    losses = [error, latency, lambda one_hots, features: 0.3 * one_hots[:, 10]]
    search(hypernetwork, DECISIONS, DEVICES, losses, Settings(steps=150), seed=0)
    found = read_out(hypernetwork, DECISIONS, DEVICES[0], rays(3, 30))
    one_hots = DECISIONS.one_hots(found.X)
    for column, loss in enumerate(losses):
        assert spearmanr(found.preferences[:, column], loss(one_hots, DEVICES[0])).statistic < -0.3


def test_weights_are_trained_after_a_warm_up() -> None:
    calls: list[Tensor] = []
    hypernetwork = DeviceTables(DEVICES, DECISIONS.n_columns)
    before = hypernetwork.tables.detach().clone()
    moved: list[bool] = []

    def train(one_hots: Tensor) -> None:
        calls.append(one_hots)
        moved.append(not torch.equal(hypernetwork.tables, before))

    settings = Settings(steps=5, warm_up=3)
    search(hypernetwork, DECISIONS, DEVICES, [error, latency], settings, seed=0, train_weights=train)
    assert moved == [False] * 3 + [True] * 5
    assert all(call.shape == (2, DECISIONS.n_columns) and not call.requires_grad for call in calls)
    assert all(torch.equal(call, DECISIONS.encode(DECISIONS.decode(call))) for call in calls)


def test_a_loss_without_a_number_ends_the_search() -> None:
    hypernetwork = DeviceTables(DEVICES, DECISIONS.n_columns)

    def broken(one_hots: Tensor, features: Tensor) -> Tensor:
        return one_hots.sum(dim=1) * torch.nan

    with pytest.raises(MetricError, match=r"losses must be finite, but are \[.*nan\] in step 1"):
        search(hypernetwork, DECISIONS, DEVICES, [error, broken], Settings(), seed=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Settings(steps=0), "`steps` must be at least 1, but is 0"),
        (lambda: Settings(lr=0.0), "`lr` must be above 0, but is 0.0"),
        (lambda: Settings(warm_up=-1), "`warm_up` must be at least 0, but is -1"),
        (lambda: Settings(descent="min"), "`descent` must be one of min-norm, mean, sequential, sample, but is 'min'"),
        (lambda: Settings(sampler="soft"), "`sampler` must be one of reinmax, straight-through, gumbel, but is 'soft'"),
    ],
    ids=["steps", "lr", "warm_up", "descent", "sampler"],
)
def test_wrong_settings_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()

"""Hypernetworks answer any preference and device with logits."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from evo_moo.toolkit.modnas.hypernetworks import Bank, DeviceTables, MLPHypernetwork

DEVICES = torch.rand(4, 10, generator=torch.Generator().manual_seed(0))
PREFERENCES = torch.tensor([[1.0, 0.0], [0.3, 0.7], [0.0, 1.0]])
MAKERS: dict[str, Callable[[int], nn.Module]] = {
    "tables": lambda seed: DeviceTables(DEVICES, 12, seed=seed),
    "bank": lambda seed: Bank(12, seed=seed),
    "mlp": lambda seed: MLPHypernetwork(12, seed=seed),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_logits_are_small_and_the_seed_decides_them(make: Callable[[int], nn.Module]) -> None:
    logits = make(1)(PREFERENCES, DEVICES[0])
    assert logits.shape == (3, 12)
    assert logits.abs().max() < 0.2
    assert torch.equal(logits, make(1)(PREFERENCES, DEVICES[0]))
    assert not torch.equal(logits, make(2)(PREFERENCES, DEVICES[0]))


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_making_one_draws_nothing_of_the_global_generator(make: Callable[[int], nn.Module]) -> None:
    state = torch.get_rng_state()
    make(1)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_every_parameter_gets_a_gradient(make: Callable[[int], nn.Module]) -> None:
    made = make(1)
    preferences = torch.distributions.Dirichlet(torch.ones(2)).sample((200,))
    (made(preferences, DEVICES[0]) * torch.arange(12.0)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in made.parameters())


@pytest.mark.parametrize("n_objectives", [2, 3, 4])
def test_tables_and_mlp_take_any_number_of_objectives(n_objectives: int) -> None:
    preferences = torch.eye(n_objectives)
    for made in (DeviceTables(DEVICES, 12, n_objectives), MLPHypernetwork(12, n_objectives)):
        assert made(preferences, DEVICES[0]).shape == (n_objectives, 12)


def test_a_bank_takes_two_objectives() -> None:
    with pytest.raises(ValueError, match="of 2 objectives, but gets 3"):
        Bank(12)(torch.eye(3), DEVICES[0])


def test_a_device_reads_a_table_near_the_own_one() -> None:
    made = DeviceTables(DEVICES, 1, width=0.05)
    with torch.no_grad():
        made.tables.copy_(torch.arange(5.0)[:, None, None].expand_as(made.tables))
    for number, features in enumerate(DEVICES):
        assert torch.allclose(made(PREFERENCES, features), torch.full((3, 1), 4.0 + number), atol=1e-3)


def test_an_unseen_device_is_between_its_neighbours() -> None:
    devices = torch.zeros(2, 10)
    devices[1, 0] = 1.0
    made = DeviceTables(devices, 1)
    with torch.no_grad():
        made.tables.copy_(torch.tensor([0.0, 8.0, 0.0])[:, None, None].expand_as(made.tables))
    assert torch.allclose(made(PREFERENCES, devices.mean(dim=0)), torch.full((3, 1), 4.0))


def test_one_device_is_enough_for_tables() -> None:
    assert DeviceTables(DEVICES[:1], 12)(PREFERENCES, DEVICES[1]).isfinite().all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DeviceTables(DEVICES[0], 12), r"rows of features, at least one, but have shape \(10,\)"),
        (lambda: DeviceTables(DEVICES, 12, width=0.0), "`width` must be above 0, but is 0.0"),
        (lambda: DeviceTables(DEVICES, 12, 1), "`n_objectives` must be at least 2, but is 1"),
    ],
    ids=["devices", "width", "objectives"],
)
def test_wrong_tables_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()

"""Units in which losses are weighed against each other."""

import torch
from torch import Tensor

from evo_moo.toolkit.modnas.losses import RunningScaled, Scaled

ALL = torch.eye(4)
VALUES = torch.tensor([3.0, 5.0, 11.0, 4.0])
SLOW, FAST = torch.tensor([10.0]), torch.tensor([0.1])


def loss(one_hots: Tensor, features: Tensor) -> Tensor:
    return features[0] * (one_hots @ VALUES + 1)


def test_a_scaled_loss_is_0_to_1_on_each_device() -> None:
    scaled = Scaled(loss, ALL)
    for features in (SLOW, FAST, SLOW):
        assert torch.allclose(scaled(ALL, features), torch.tensor([0.0, 0.25, 1.0, 0.125]))


def test_a_scaled_loss_keeps_the_gradient() -> None:
    soft = torch.full((1, 4), 0.25, requires_grad=True)
    Scaled(loss, ALL)(soft, SLOW).sum().backward()
    assert soft.grad is not None
    assert torch.allclose(soft.grad, VALUES / 8)


def test_equal_values_scale_to_0() -> None:
    scaled = Scaled(lambda one_hots, _: torch.full((len(one_hots),), 7.0), ALL)
    assert scaled(ALL, SLOW).tolist() == [0.0] * 4


def test_a_running_scale_forgets_its_largest_values() -> None:
    scaled = RunningScaled(lambda one_hots, features: features.expand(len(one_hots)), forgetting=0.5)
    assert scaled(ALL[:1], torch.tensor([8.0])).tolist() == [0.0]
    assert scaled(ALL[:1], torch.tensor([0.0])).tolist() == [0.0]
    values = [float(scaled(ALL[:1], torch.tensor([1.0]))) for _ in range(20)]
    assert values == sorted(values)
    assert values[0] < 0.5
    assert abs(values[-1] - 1) < 0.001

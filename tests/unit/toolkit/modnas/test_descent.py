"""The shortest vector in the convex hull of gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from evo_moo.toolkit.modnas.descent import common_direction, min_norm_weights


def random_gradients(seed: int, n: int, n_parameters: int) -> Tensor:
    return torch.randn(n, n_parameters, generator=torch.Generator().manual_seed(seed))


def projected(gradients: Tensor, n_steps: int = 5_000) -> Tensor:
    """Weights by projected gradient descent: a slow solver that shares nothing with the fast one."""
    gram = gradients.double() @ gradients.double().T
    weights = torch.full((len(gram),), 1 / len(gram), dtype=torch.float64)
    step = 1 / torch.linalg.eigvalsh(gram)[-1]
    for _ in range(n_steps):
        moved = weights - step * gram @ weights
        ordered = moved.sort(descending=True).values
        excess = (ordered.cumsum(0) - 1) / torch.arange(1, len(gram) + 1)
        weights = (moved - excess[(ordered > excess).sum() - 1]).clamp(min=0)
    return weights


def test_orthogonal_gradients_count_alike() -> None:
    assert torch.allclose(min_norm_weights(torch.eye(4)), torch.full((4,), 0.25), atol=1e-3)


def test_opposite_gradients_cancel() -> None:
    gradients = torch.tensor([[1.0, 2.0], [-3.0, -6.0]])
    weights = min_norm_weights(gradients)
    assert torch.allclose(weights, torch.tensor([0.75, 0.25]))
    assert torch.allclose(weights @ gradients, torch.zeros(2), atol=1e-6)


def test_a_single_gradient_has_all_weight() -> None:
    assert min_norm_weights(torch.tensor([[3.0, 4.0]])).tolist() == [1.0]


def test_equal_gradients_keep_their_direction() -> None:
    gradient = torch.tensor([3.0, 4.0])
    assert torch.allclose(min_norm_weights(gradient.expand(5, 2)) @ gradient.expand(5, 2), gradient)


def test_gradients_of_zeros_are_left_out() -> None:
    gradients = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert torch.allclose(min_norm_weights(gradients), torch.tensor([0.0, 0.5, 0.5]))
    assert min_norm_weights(torch.zeros(3, 2)).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("seed", range(3))
def test_weights_agree_with_a_quadratic_program(seed: int) -> None:
    gradients = random_gradients(seed, 5, 20)
    ours, exact = min_norm_weights(gradients).double(), projected(gradients)
    lengths = [(weights @ gradients.double()).norm() for weights in (ours, exact)]
    assert torch.allclose(ours, exact, atol=1e-3)
    assert abs(lengths[0] - lengths[1]) < 1e-3 * lengths[1]


@given(seed=st.integers(0, 1000), n=st.integers(1, 30), n_parameters=st.integers(2, 6))
@settings(max_examples=50, deadline=None)
def test_the_common_direction_lowers_every_loss(seed: int, n: int, n_parameters: int) -> None:
    gradients = random_gradients(seed, n, n_parameters)
    weights = min_norm_weights(gradients)
    assert (weights >= 0).all()
    assert abs(float(weights.sum()) - 1) < 1e-5
    direction = common_direction(gradients)
    products = gradients @ direction / gradients.norm(dim=1)
    # Of the shortest vector d, every gradient g has gd >= dd: to first order no loss rises.
    assert (products >= direction.square().sum() - 1e-3).all()


def test_units_of_losses_do_not_turn_the_common_direction() -> None:
    gradients = random_gradients(3, 4, 10)
    scaled = gradients * torch.tensor([1.0, 100.0, 0.01, 5.0])[:, None]
    assert torch.allclose(common_direction(gradients), common_direction(scaled), atol=1e-5)

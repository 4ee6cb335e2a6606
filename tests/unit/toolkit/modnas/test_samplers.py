"""Samplers draw by the softmax, exactly, and only ReinMax estimates the gradient without bias to second order."""

import functools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from evo_moo.toolkit.modnas.samplers import gumbel, hard, reinmax, straight_through

LOGITS = torch.tensor([0.7, -0.4, 0.1])
N = 200_000
SAMPLERS = [hard, reinmax, straight_through, gumbel, functools.partial(gumbel, temperature=0.3)]
NAMES = ["hard", "reinmax", "straight_through", "gumbel", "gumbel_cold"]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("draw", SAMPLERS, ids=NAMES)
def test_draws_are_one_hots_by_the_softmax(draw: Callable[..., Tensor]) -> None:
    drawn = draw(LOGITS.expand(N, 3), generator())
    assert ((drawn == 0) | (drawn == 1)).all()
    assert (drawn.sum(dim=1) == 1).all()
    assert torch.allclose(drawn.mean(dim=0), LOGITS.softmax(dim=0), atol=0.005)


@pytest.mark.parametrize("draw", SAMPLERS, ids=NAMES)
def test_the_generator_decides_the_draws(draw: Callable[..., Tensor]) -> None:
    logits = torch.zeros(50, 4, 5)
    assert torch.equal(draw(logits, generator(1)), draw(logits, generator(1)))
    assert not torch.equal(draw(logits, generator(1)), draw(logits, generator(2)))


@pytest.mark.parametrize("draw", SAMPLERS[1:], ids=NAMES[1:])
def test_padded_options_are_never_drawn_and_get_no_gradient(draw: Callable[..., Tensor]) -> None:
    logits = torch.tensor([0.3, -0.2, -1e9]).expand(1000, 3).clone().requires_grad_()
    drawn = draw(logits, generator())
    (drawn * torch.randn(1000, 3, generator=generator(1))).sum().backward()
    assert not drawn[:, 2].any()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert not logits.grad[:, 2].any()
    assert logits.grad[:, :2].abs().sum() > 0


def test_a_hard_draw_has_no_gradient() -> None:
    assert not hard(LOGITS.clone().requires_grad_(), generator()).requires_grad


def curved(one_hots: Tensor) -> Tensor:
    """A function whose slope at the drawn corner says little of the other corners."""
    return (one_hots @ torch.tensor([1.0, -2.0, 0.5])).square() - 3 * one_hots[..., 0] * one_hots[..., 2]


def relative_error(draw: Callable[..., Tensor]) -> float:
    logits = LOGITS.clone().requires_grad_()
    curved(draw(logits.expand(N, 3), generator())).mean().backward()
    exact = LOGITS.clone().requires_grad_()
    (exact.softmax(dim=0) @ curved(torch.eye(3))).backward()
    assert logits.grad is not None
    assert exact.grad is not None
    return float((logits.grad - exact.grad).norm() / exact.grad.norm())


def test_reinmax_has_the_exact_gradient_of_a_curve() -> None:
    assert relative_error(reinmax) < 0.05
    assert relative_error(straight_through) > 0.2

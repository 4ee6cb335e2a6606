"""Samplers of one-hots: exact draws on the way forward, estimated gradients on the way back.

Each takes logits ``(..., n_options)`` and draws by ``softmax(logits)``; the one-hots that it returns are exact.
"""

import torch
from torch import Tensor


def hard(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Return drawn one-hots ``(..., n_options)`` without a gradient."""
    probabilities = logits.detach().softmax(dim=-1)
    flat = probabilities.reshape(-1, logits.shape[-1])
    drawn = torch.multinomial(flat, 1, generator=generator).reshape(logits.shape[:-1])
    return torch.nn.functional.one_hot(drawn, logits.shape[-1]).to(logits.dtype)


def reinmax(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Return drawn one-hots ``(..., n_options)`` whose gradient is exact to second order.

    Algorithm 2 of Liu et al., "Bridging Discrete and Backpropagation: Straight-Through and Beyond", NeurIPS 2023
    (arXiv 2304.08612), at temperature 1: Heun's method, where straight-through is Euler's.
    """
    drawn = hard(logits, generator)
    p = logits.softmax(dim=-1)
    middle = ((drawn + p.detach()) / 2).log()
    at_middle = ((middle - logits.detach()) + logits).softmax(dim=-1)
    return _with_gradient(drawn, 2 * at_middle - p / 2)


def straight_through(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Return drawn one-hots ``(..., n_options)`` with the gradient of the probabilities.

    Bengio, Leonard and Courville, "Estimating or Propagating Gradients Through Stochastic Neurons", arXiv 1308.3432.
    """
    return _with_gradient(hard(logits, generator), logits.softmax(dim=-1))


def gumbel(logits: Tensor, generator: torch.Generator, temperature: float = 1.0) -> Tensor:
    """Return drawn one-hots ``(..., n_options)`` with the gradient of the softmax of noisy logits.

    Straight-through Gumbel-softmax: Jang, Gu and Poole, "Categorical Reparameterization with Gumbel-Softmax", ICLR
    2017, equations 1 and 2; for architectures Dong and Yang, "Searching for a Robust Neural Architecture in Four GPU
    Hours" (GDAS), CVPR 2019.

    Args:
        logits: ``(..., n_options)`` logits.
        generator: Source of the noise.
        temperature: The higher, the smoother the gradient and the more biased.
    """
    noise = -torch.empty_like(logits).exponential_(generator=generator).log()
    soft = ((logits + noise) / temperature).softmax(dim=-1)
    drawn = torch.nn.functional.one_hot(soft.argmax(dim=-1), logits.shape[-1]).to(logits.dtype)
    return _with_gradient(drawn, soft)


def _with_gradient(values: Tensor, surrogate: Tensor) -> Tensor:
    # The difference is exactly 0, so that the values stay exact.
    return values + (surrogate - surrogate.detach())

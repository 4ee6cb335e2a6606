"""Losses of one batch, each a mean that is not negative, and the objective of COSMOS that joins them.

Two kinds of fairness losses must not be confused. Those by **rates** compare groups by their shares of positive
decisions, which is what fairness metrics measure. Those by **counts** divide by the size of the batch, not of the
groups, and so punish groups of unequal size: they are here because published figures rest on them.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, relu

EPSILON = 1e-8


class Samples(NamedTuple):
    """Rows or images with what is known of them, on one device.

    Attributes:
        X: Inputs ``(n, ...)``.
        y: Labels ``(n,)``, or ``(n, n_heads)`` of networks that answer several questions.
        group: Group 0 or 1 of each sample ``(n,)``; empty where no loss asks for it.
    """

    X: Tensor
    y: Tensor
    group: Tensor

    def at(self, rows: Tensor) -> "Samples":
        """Return the samples of some rows."""
        return Samples(self.X[rows], self.y[rows], self.group[rows] if len(self.group) else self.group)


class Batch(NamedTuple):
    """What a loss sees of a step.

    Attributes:
        samples: The batch.
        outputs: What the network makes of it: logits ``(n,)``, ``(n, n_classes)`` or ``(n, n_heads, n_classes)``.
        predict: Returns the outputs of other inputs ``(n, ...)`` under the same preference.
    """

    samples: Samples
    outputs: Tensor
    predict: Callable[[Tensor], Tensor]


Loss = Callable[[Batch], Tensor]


def ce(batch: Batch, head: int | None = None) -> Tensor:
    """Return the mean cross-entropy; of one head of several, where ``head`` names it."""
    if head is None:
        return cross_entropy(batch.outputs, batch.samples.y)
    return cross_entropy(batch.outputs[:, head], batch.samples.y[:, head])


def bce(batch: Batch) -> Tensor:
    """Return the mean binary cross-entropy of logits ``(n,)``."""
    return binary_cross_entropy_with_logits(batch.outputs, batch.samples.y.to(batch.outputs.dtype))


def deo_count(batch: Batch, sharpness: float = 1.0) -> Tensor:
    """Return the difference of soft counts of true positives among the groups, as a share of the batch.

    The count of a group sums tanh(c sigmoid(logit)): the relaxation behind the published figures of COSMOS.
    """
    return _count_difference(batch, torch.tanh(sharpness * torch.sigmoid(batch.outputs)))


def deo_count_eq6(batch: Batch, sharpness: float = 1.0) -> Tensor:
    """Return the same with tanh(c max(0, logit)): equation 6 of the paper as it is printed, made absolute."""
    return _count_difference(batch, torch.tanh(sharpness * relu(batch.outputs)))


def eo_rate(batch: Batch, sharpness: float = 1.0) -> Tensor:
    """Return the difference of soft true positive rates of the groups, divided by the sharpness.

    A decision counts as sigmoid(c logit): the larger c, the more the soft rates are those of decisions. Divided by c
    the gradient keeps its size; else a sharp loss drives the network to one answer for all. A batch without a positive
    label in one of the groups tells no difference, and counts 0.
    """
    return _rate_difference(batch, batch.samples.y == 1, sharpness)


def dp_rate(batch: Batch, sharpness: float = 1.0) -> Tensor:
    """Return the difference of soft rates of positive decisions, as ``eo_rate`` but for all labels."""
    return _rate_difference(batch, torch.ones_like(batch.samples.y, dtype=torch.bool), sharpness)


def robust(batch: Batch, loss: Loss = bce, epsilon: float = 0.03) -> Tensor:
    """Return a loss of inputs that an attack changed by at most ``epsilon``.

    The fast gradient sign method of Goodfellow et al., "Explaining and Harnessing Adversarial Examples", ICLR 2015,
    section 4, on the network under the same preference.
    """
    inputs = batch.samples.X.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(batch._replace(outputs=batch.predict(inputs))), inputs)
    attacked = inputs.detach() + epsilon * gradient.sign()
    return loss(batch._replace(outputs=batch.predict(attacked)))


LOSSES: dict[str, Loss] = {
    "ce": ce,
    "bce": bce,
    "deo_count": deo_count,
    "deo_count_eq6": deo_count_eq6,
    "eo_rate": eo_rate,
    "dp_rate": dp_rate,
    "robust": robust,
}
"""Losses by their names."""


def cosmos_objective(preference: Tensor, losses: Tensor, penalty: float, aim: Tensor | None = None) -> Tensor:
    """Return the weighted sum of the losses minus the cosine between them and an aim, times a factor.

    That of COSMOS, where the aim is the preference itself. Gradients pass both terms.

    Args:
        preference: ``(n_objectives,)`` weights.
        losses: ``(n_objectives,)`` losses.
        penalty: The factor lambda: 0 is the plain weighted sum; a larger one spreads the front where the losses have
            scales alike, and pushes the smaller ones up where they have not.
        aim: ``(n_objectives,)`` direction to which the losses are drawn, by default the preference. That draws the
            loss of the larger weight up, against the first term; see ``evo_moo.toolkit.conditioned.preferences``.
    """
    aim = preference if aim is None else aim
    lengths: Tensor = torch.linalg.vector_norm(aim) * torch.linalg.vector_norm(losses)
    return torch.dot(preference, losses) - penalty * torch.dot(aim, losses) / (lengths + EPSILON)


def _count_difference(batch: Batch, soft: Tensor) -> Tensor:
    samples = batch.samples
    difference: Tensor = ((1 - 2 * samples.group) * (samples.y == 1) * soft).sum()
    return difference.abs() / len(samples.y)


def _rate_difference(batch: Batch, counted: Tensor, sharpness: float) -> Tensor:
    soft, second = torch.sigmoid(sharpness * batch.outputs), batch.samples.group == 1
    sizes = [(counted & chosen).sum() for chosen in (~second, second)]
    rates = [
        (soft * (counted & chosen)).sum() / size.clamp(min=1)
        for chosen, size in zip((~second, second), sizes, strict=True)
    ]
    difference: Tensor = (rates[0] - rates[1]).abs()
    return difference * (torch.minimum(*sizes) > 0) / sharpness

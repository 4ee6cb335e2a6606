"""Scores of the outputs along all rays: hard metrics, on all samples at once or as means over batches."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from evo_moo.pareto import hypervolume, pareto_rows
from evo_moo.toolkit.conditioned.losses import Samples

Array = npt.NDArray[np.float64]
Score = Callable[[Tensor, Samples], Tensor]
"""Takes the outputs ``(n_rays, n, ...)`` of samples, and returns one number for each ray, the less the better."""


def mean_bce(logits: Tensor, samples: Samples) -> Tensor:
    """Return the mean binary cross-entropy of each ray, of logits ``(n_rays, n)``."""
    labels = samples.y.to(logits.dtype).expand_as(logits)
    return binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(-1)


def mean_ce(logits: Tensor, samples: Samples, head: int) -> Tensor:
    """Return the mean cross-entropy of one head, of logits ``(n_rays, n, n_heads, n_classes)``."""
    return torch.stack([cross_entropy(of_ray[:, head], samples.y[:, head]) for of_ray in logits])


def error(logits: Tensor, samples: Samples) -> Tensor:
    """Return the share of wrong decisions at the threshold 1/2."""
    return ((logits > 0) != (samples.y == 1)).double().mean(-1)


def balanced_accuracy(logits: Tensor, samples: Samples) -> Tensor:
    """Return the mean of the two classes' recalls; the one score of which more is better."""
    right = ((logits > 0) == (samples.y == 1)).double()
    return (right[:, samples.y == 1].mean(-1) + right[:, samples.y == 0].mean(-1)) / 2


def deo_count(logits: Tensor, samples: Samples) -> Tensor:
    """Return the difference of counts of true positives among the groups, as a share of all samples.

    As in the published evaluation of COSMOS; it depends on the sizes of the groups. For decisions see ``eo_gap``.
    """
    signs = (1 - 2 * samples.group) * (samples.y == 1)
    return ((logits > 0) * signs).sum(-1).abs().double() / len(samples.y)


def eo_gap(logits: Tensor, samples: Samples) -> Tensor:
    """Return the difference of the true positive rates of the groups, which both have positive labels."""
    return _gap(logits, samples, samples.y == 1)


def dp_gap(logits: Tensor, samples: Samples) -> Tensor:
    """Return the difference of the groups' shares of positive decisions."""
    return _gap(logits, samples, torch.ones_like(samples.y, dtype=torch.bool))


def front_of(outputs: Tensor, samples: Samples, scores: Sequence[Score], batch_size: int | None = None) -> Array:
    """Return the scores of all rays.

    Args:
        outputs: ``(n_rays, n, ...)`` of the samples.
        samples: What they are judged by.
        scores: One for each objective.
        batch_size: Takes the plain mean over consecutive batches of so many samples, as the published evaluation does,
            where a small last batch counts like the others; None judges all samples at once. Means of absolute
            differences over batches have a floor above 0.

    Returns:
        ``(n_rays, n_objectives)`` array, minimised.
    """
    places = torch.arange(len(samples.y), device=samples.y.device)
    parts = [
        torch.stack([score(outputs[:, part], samples.at(part)).double() for score in scores], dim=1)
        for part in places.split(batch_size or len(places))
    ]
    return np.asarray(torch.stack(parts).mean(0).cpu().numpy())


def tight_volume(front: Array, ref_point: Any) -> float:
    """Return the hypervolume of points as a share of the box from 0 to the reference point.

    Most of the volume up to a far reference point, such as (2, 2) of the published figures, belongs to any decent
    classifier. A box from what a constant predictor loses to the unfairness of a plain network tells more.
    """
    ref = np.asarray(ref_point, float)
    return hypervolume(front, ref) / float(ref.prod())


def width(front: Array) -> float:
    """Return the largest minus the smallest value of the first objective along the rays."""
    return float(np.ptp(front[:, 0]))


def n_on_front(front: Array) -> int:
    """Return the number of rays that no other ray dominates."""
    return len(pareto_rows(front, np.zeros(len(front))))


def _gap(logits: Tensor, samples: Samples, counted: Tensor) -> Tensor:
    decided = (logits > 0).double()
    first, second = (decided[:, counted & (samples.group == group)].mean(-1) for group in (0, 1))
    return (first - second).abs()

"""Losses of architectures on devices, and the units in which they are weighed against each other.

A loss takes one-hots ``(n, n_columns)``, exact or soft, and the features ``(n_features,)`` of a device, and returns
``(n,)`` values to minimise, differentiable in the one-hots. A network that predicts latencies is one as it is.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]
FORGETTING = 0.99


class Scaled:
    """A loss scaled to 0 at the best and 1 at the worst of some architectures, on each device by itself.

    Args:
        loss: The loss.
        one_hots: ``(n, n_columns)`` architectures: all of the space, or a sample.
    """

    def __init__(self, loss: Loss, one_hots: Tensor) -> None:
        self._loss, self._one_hots = loss, one_hots
        self._ranges: dict[bytes, tuple[Tensor, Tensor]] = {}

    def __call__(self, one_hots: Tensor, features: Tensor) -> Tensor:
        """Return the scaled values ``(n,)``."""
        key = features.detach().cpu().numpy().tobytes()
        if key not in self._ranges:
            with torch.no_grad():
                self._ranges[key] = _low_and_span(self._loss(self._one_hots, features))
        low, span = self._ranges[key]
        return (self._loss(one_hots, features) - low) / span


class RunningScaled:
    """A loss scaled by the least value so far and a largest one that is slowly forgotten.

    For a loss that falls while the weights behind it are trained: first values would explode the scale for good.

    Args:
        loss: The loss.
        forgetting: Share of the largest value's distance from the newest that is kept at each call.
    """

    def __init__(self, loss: Loss, forgetting: float = FORGETTING) -> None:
        self._loss, self._forgetting = loss, forgetting
        self._low, self._high = torch.tensor(torch.inf), torch.tensor(-torch.inf)

    def __call__(self, one_hots: Tensor, features: Tensor) -> Tensor:
        """Return the scaled values ``(n,)``; they change the scale."""
        values = self._loss(one_hots, features)
        seen = values.detach()
        self._low = torch.minimum(self._low, seen.min())
        kept = self._forgetting * self._high + (1 - self._forgetting) * seen.max()
        self._high = torch.maximum(kept, seen.max())
        low, span = _low_and_span(torch.stack([self._low, self._high]))
        return (values - low) / span


def _low_and_span(values: Tensor) -> tuple[Tensor, Tensor]:
    low, span = values.min(), values.max() - values.min()
    return low, torch.where(span > 0, span, 1.0)

"""A supernet within the search over preferences and devices: its weights are trained where the search goes.

weights = SharedWeights(Supernet(space), train, settings.warm_up + settings.steps, seed=0)
losses = [RunningScaled(weights.loss), weights.canonical(latency_net)]
search(hypernetwork, weights.decisions, devices, losses, settings, seed=0, train_weights=weights.train)
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from evo_moo.space import Choice, SearchSpace
from evo_moo.toolkit.modnas.decisions import Decisions
from evo_moo.toolkit.modnas.losses import Loss
from evo_moo.toolkit.supernet.supernet import Supernet
from evo_moo.toolkit.supernet.training import batches, loss_of_every_depth
from evo_moo.toolkit.training import Data, lr_factor

LARGEST_NORM = 5.0
"""Gradients of the weights are clipped to this norm."""


class SharedWeights:
    """Trains the weights of a supernet by one half of some images, and judges architectures by the other.

    Args:
        supernet: The supernet; its weights are trained in place.
        train: Images ``(n, channels, side, side)`` and labels ``(n,)``.
        n_steps: Number of steps in all, over which the learning rate falls as a cosine.
        seed: Decides the halves and the order of the images.
        batch_size: Images in a batch.
        lr: First learning rate of Adam.

    Attributes:
        decisions: The decisions of the space, none of which depends on another: what a layer beyond the depth would be
            is felt by the loss, so that the depth is compared with real alternatives.
    """

    def __init__(
        self, supernet: Supernet, train: Data, n_steps: int, *, seed: int, batch_size: int = 64, lr: float = 1e-2
    ) -> None:
        space = supernet.space
        self.supernet = supernet
        self.decisions = Decisions(SearchSpace({name: Choice(options) for name, options in space.decisions.items()}))
        self._conditional = Decisions(SearchSpace(space.variables))
        self._optimizer = torch.optim.Adam(supernet.parameters(), lr, fused=True)
        self._factors = iter([lr * lr_factor("cosine", step / n_steps) for step in range(n_steps)])
        rng, (X, y) = np.random.default_rng(seed), train
        halves = torch.from_numpy(rng.permutation(len(y))).chunk(2)
        self._to_train, self._to_judge = (_endless((X[half], y[half]), batch_size, rng) for half in halves)

    def loss(self, one_hots: Tensor, features: Tensor) -> Tensor:
        """Return the cross-entropies ``(n,)`` of architectures ``(n, n_columns)``, differentiable; any device's."""
        X, y = next(self._to_judge)
        return torch.stack([cross_entropy(self.supernet(X, row), y) for row in one_hots])

    def train(self, one_hots: Tensor) -> None:
        """Take a step of the weights for drawn architectures ``(n, n_columns)``, of the mean of their losses."""
        X, y = next(self._to_train)
        for group in self._optimizer.param_groups:
            group["lr"] = next(self._factors)
        self._optimizer.zero_grad()
        for config in self.decisions.decode(one_hots):
            torch.autograd.backward(loss_of_every_depth(self.supernet, X, y, config) / len(one_hots))
        torch.nn.utils.clip_grad_norm_(self.supernet.parameters(), LARGEST_NORM)
        self._optimizer.step()

    def canonical(self, loss: Loss) -> Loss:
        """Return a loss of canonical one-hots, such as a latency, as one of these decisions."""
        return lambda one_hots, features: loss(self._conditional.canonical(one_hots), features)


def _endless(data: Data, batch_size: int, rng: np.random.Generator) -> Iterator[Data]:
    X, y = data
    while True:
        for rows in batches(len(y), max(1, len(y) // batch_size), batch_size, rng):
            yield X[rows], y[rows]

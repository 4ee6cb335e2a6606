"""Training of a supernet by networks that are drawn at random, and what a network is worth with inherited weights."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from evo_moo.evaluation.slots import yield_to_measurements
from evo_moo.space import Configuration
from evo_moo.threads import one_thread
from evo_moo.toolkit.supernet.space import ElasticSpace
from evo_moo.toolkit.supernet.supernet import Supernet
from evo_moo.toolkit.training import Data, accuracy_and_loss, lr_factor, set_determinism

FOR_STATISTICS = 2048
"""Training images that make the running statistics of an inherited network."""


@dataclass(frozen=True)
class Settings:
    """How a supernet is trained.

    Attributes:
        epochs: Passes over the training data; 0 leaves the weights that the seed draws.
        batch_size: Samples per step.
        n_networks: Networks drawn for each step, for the same samples; every depth of each is trained.
        lr: Highest learning rate of AdamW; it rises over ``warm_up`` of all steps, then falls as a cosine.
        weight_decay: Weight decay of AdamW.
        warm_up: Share of the steps.
    """

    epochs: int = 30
    batch_size: int = 128
    n_networks: int = 2
    lr: float = 1e-2
    weight_decay: float = 1e-4
    warm_up: float = 0.1


def drawn(space: ElasticSpace, rng: np.random.Generator) -> Configuration:
    """Draw a network, each option of a decision as likely as the others."""
    return {name: options[rng.integers(len(options))] for name, options in space.decisions.items()}


def train_supernet(space: ElasticSpace, train: Data, settings: Settings, *, seed: int) -> Supernet:
    """Train a supernet on one thread; the seed decides everything.

    Args:
        space: Which networks there are.
        train: Images ``(n, channels, side, side)`` and labels ``(n,)``.
        settings: How it is trained.
        seed: Seed of the first weights, of the order of the samples and of the networks.
    """
    with one_thread():
        set_determinism(seed)
        supernet = Supernet(space)
        optimizer = torch.optim.AdamW(
            supernet.parameters(), settings.lr, weight_decay=settings.weight_decay, fused=True
        )
        rng, n = np.random.default_rng(seed), len(train[1])
        n_steps = settings.epochs * max(1, n // settings.batch_size)
        for step, batch in enumerate(batches(n, n_steps, settings.batch_size, rng)):
            yield_to_measurements()
            for group in optimizer.param_groups:
                group["lr"] = settings.lr * _factor(step / n_steps, settings.warm_up)
            optimizer.zero_grad()
            X, y = train[0][batch], train[1][batch]
            for _ in range(settings.n_networks):
                loss = loss_of_every_depth(supernet, X, y, drawn(space, rng) | {"depth": space.depth})
                torch.autograd.backward(loss / settings.n_networks)
            optimizer.step()
        return supernet.eval()


def inherited_score(supernet: Supernet, config: Configuration, X: Tensor, judge: Data) -> tuple[float, float]:
    """Judge a network with inherited weights, without training it.

    Args:
        supernet: The trained supernet.
        config: The network's configuration.
        X: Images for running statistics, as in ``Supernet.inherited``.
        judge: Images and labels.

    Returns:
        The share classified correctly and the mean cross-entropy.
    """
    with one_thread():
        return accuracy_and_loss(supernet.inherited(config, X[:FOR_STATISTICS]), *judge)


def loss_of_every_depth(supernet: Supernet, X: Tensor, y: Tensor, config: Configuration) -> Tensor:
    """Return the mean cross-entropy of a network and of those that end before it, which cost nothing more."""
    return torch.stack([cross_entropy(logits, y) for logits in supernet.sampled(X, config)]).mean()


def batches(n: int, n_steps: int, batch_size: int, rng: np.random.Generator) -> Iterator[Tensor]:
    """Give as many batches of row numbers, each pass over all rows in another order."""
    per_pass = max(1, n // batch_size)
    for step in range(n_steps):
        if step % per_pass == 0:
            order = torch.from_numpy(rng.permutation(n))
        yield order[step % per_pass * batch_size :][:batch_size]


def _factor(progress: float, warm_up: float) -> float:
    return progress / warm_up if progress < warm_up else lr_factor("cosine", (progress - warm_up) / (1 - warm_up))

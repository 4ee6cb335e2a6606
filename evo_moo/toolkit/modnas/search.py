"""The search: a hypernetwork learns architectures for every preference and device at once."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from evo_moo.errors import MetricError
from evo_moo.evaluation.slots import yield_to_measurements
from evo_moo.seeding import seed_for
from evo_moo.threads import one_thread
from evo_moo.toolkit.checks import require_at_least_one, require_one_of
from evo_moo.toolkit.conditioned.preferences import dirichlet
from evo_moo.toolkit.modnas.decisions import Decisions
from evo_moo.toolkit.modnas.descent import common_direction
from evo_moo.toolkit.modnas.losses import Loss
from evo_moo.toolkit.modnas.samplers import gumbel, hard, reinmax, straight_through

Array = npt.NDArray[np.float64]
SAMPLERS = {"reinmax": reinmax, "straight-through": straight_through, "gumbel": gumbel}
DESCENTS = ("min-norm", "mean", "sequential", "sample")
BETAS = 0.5, 0.999
HOT, COLD = 10.0, 1.0
"""First and last temperature of the Gumbel-softmax."""


@dataclass(frozen=True)
class Settings:
    """How a hypernetwork is trained, by Adam with a rate that falls as a cosine.

    Attributes:
        steps: Number of steps.
        lr: First learning rate; 2e-2 suits tables, 2e-3 an MLP.
        weight_decay: Weight decay, as Adam understands it.
        descent: How the devices' gradients become one step: ``"min-norm"``, the direction that lowers the losses of
            all; ``"mean"``; ``"sequential"``, a step for each; ``"sample"``, a step for one that is drawn.
        sampler: Which gradient of the drawn one-hots is taken: ``"reinmax"``, ``"straight-through"`` or ``"gumbel"``.
        n_preferences: Number of preferences, and architectures, that each device's gradient is a mean over.
        alpha: Concentration of the preferences, one or one for each loss.
        cosine: Factor of the cosine between losses and preference, which is added to the weighted sum.
        entropy: Factor of the entropy of the decisions, added and lowered to 0; against a collapse to one architecture.
        warm_up: Number of steps before the first that train the weights alone, by uniformly drawn architectures.

    Raises:
        ValueError: A number is out of range, or a word is unknown.
    """

    steps: int = 400
    lr: float = 2e-2
    weight_decay: float = 1e-3
    descent: str = "min-norm"
    sampler: str = "reinmax"
    n_preferences: int = 1
    alpha: float | Sequence[float] = 1.0
    cosine: float = 0.0
    entropy: float = 0.0
    warm_up: int = 0

    def __post_init__(self) -> None:
        require_at_least_one(steps=self.steps, n_preferences=self.n_preferences)
        require_one_of(DESCENTS, descent=self.descent)
        require_one_of(SAMPLERS, sampler=self.sampler)
        if not self.lr > 0:
            raise ValueError(f"`lr` must be above 0, but is {self.lr}")
        for name in ("weight_decay", "cosine", "entropy", "warm_up"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"`{name}` must be at least 0, but is {getattr(self, name)}")


def search(
    hypernetwork: nn.Module,
    decisions: Decisions,
    devices: Tensor,
    losses: Sequence[Loss],
    settings: Settings,
    *,
    seed: int,
    train_weights: Callable[[Tensor], object] | None = None,
) -> Array:
    """Train a hypernetwork in place, on one thread, to lower the losses under any preference on any of some devices.

    A step draws preferences for each device, draws an architecture for each preference, and weighs the losses by it:
    Sukthanker et al., arXiv 2402.18213, algorithm 1.

    Args:
        hypernetwork: Takes preferences ``(n, n_losses)`` and features ``(n_features,)``, gives logits of the decisions.
        decisions: The decisions of the space.
        devices: ``(n_devices, n_features)`` features.
        losses: One for each objective, at least two, in about the same unit (``evo_moo.toolkit.modnas.losses``).
        settings: How to train.
        seed: Decides preferences and architectures; the first logits are the hypernetwork's own.
        train_weights: Called after each step with drawn architectures, one-hots ``(n_devices, n_columns)`` without a
            gradient: trains the weights of a supernet, if the losses stand on one.

    Returns:
        ``(steps, n_losses)`` losses, each the mean over the devices.

    Raises:
        MetricError: A loss is not finite.
    """
    with one_thread():
        architect = _Architect(hypernetwork, decisions, losses, settings, seed)
        history = []
        for step in range(-settings.warm_up if train_weights else 0, settings.steps):
            yield_to_measurements()
            if step >= 0:
                history.append(architect.step(devices, step))
            if train_weights:
                train_weights(architect.drawn(devices) if step >= 0 else architect.uniform(len(devices)))
    return np.array(history)


class _Architect:
    """Takes the steps of a hypernetwork."""

    def __init__(
        self, hypernetwork: nn.Module, decisions: Decisions, losses: Sequence[Loss], settings: Settings, seed: int
    ) -> None:
        self._hypernetwork, self._decisions, self._losses, self._settings = hypernetwork, decisions, losses, settings
        self._parameters = list(hypernetwork.parameters())
        self._adam = torch.optim.Adam(
            self._parameters, settings.lr, BETAS, weight_decay=settings.weight_decay, foreach=False
        )
        self._generator = torch.Generator().manual_seed(seed_for("modnas", seed))
        self._preference = dirichlet(settings.alpha, len(losses), seed_for("preferences of modnas", seed))

    def step(self, devices: Tensor, number: int) -> Array:
        """Take the step of this number; return the losses, ``(n_losses,)``, means over the devices."""
        progress = number / self._settings.steps
        for group in self._adam.param_groups:
            group["lr"] = self._settings.lr * 0.5 * (1 + np.cos(np.pi * progress))
        if self._settings.descent == "sample":
            devices = devices[torch.randint(len(devices), (1,), generator=self._generator)]
        gradients, values = [], []
        for features in devices:
            gradient, value = self._gradient(features, progress)
            if not value.isfinite().all():
                raise MetricError(f"losses must be finite, but are {value.tolist()} in step {number + 1}")
            gradients.append(gradient)
            values.append(value)
            if self._settings.descent == "sequential":
                self._move(gradient)
        if self._settings.descent != "sequential":
            stacked = torch.stack(gradients)
            self._move(common_direction(stacked) if self._settings.descent == "min-norm" else stacked.mean(dim=0))
        return np.asarray(torch.stack(values).mean(dim=0).double().numpy())

    def drawn(self, devices: Tensor) -> Tensor:
        """Return an architecture for each device under a drawn preference, without a gradient."""
        with torch.no_grad():
            logits = torch.cat([self._hypernetwork(self._drawn_preferences(1), features) for features in devices])
            return self._sample(logits)

    def uniform(self, n: int) -> Tensor:
        """Return architectures ``(n, n_columns)`` of options that are all equally likely."""
        return self._sample(torch.zeros(n, self._decisions.n_columns))

    def _gradient(self, features: Tensor, progress: float) -> tuple[Tensor, Tensor]:
        """Return the gradient of one device's objective, flat, and the losses."""
        settings, preference = self._settings, self._drawn_preferences(self._settings.n_preferences)
        logits = self._hypernetwork(preference, features)
        draw = functools.partial(SAMPLERS[settings.sampler], generator=self._generator)
        if settings.sampler == "gumbel":
            draw = functools.partial(draw, temperature=HOT + progress * (COLD - HOT))
        one_hots = self._decisions.sample(logits, draw)
        values = torch.stack([loss(one_hots, features) for loss in self._losses], dim=1)
        objective = (preference * values).sum(dim=1)
        if settings.cosine:
            objective = objective - settings.cosine * torch.cosine_similarity(values, preference, dim=1)
        if settings.entropy:
            objective = objective - settings.entropy * (1 - progress) * self._decisions.entropy(logits).mean(dim=1)
        parts = torch.autograd.grad(objective.mean(), self._parameters, allow_unused=True, materialize_grads=True)
        return torch.cat([part.flatten() for part in parts]), values.detach().mean(dim=0)

    def _move(self, direction: Tensor) -> None:
        sizes = [parameter.numel() for parameter in self._parameters]
        for parameter, part in zip(self._parameters, direction.split(sizes), strict=True):
            parameter.grad = part.view_as(parameter)
        self._adam.step()

    def _sample(self, logits: Tensor) -> Tensor:
        return self._decisions.sample(logits, functools.partial(hard, generator=self._generator))

    def _drawn_preferences(self, n: int) -> Tensor:
        return torch.as_tensor(np.stack([self._preference() for _ in range(n)]), dtype=torch.float32)

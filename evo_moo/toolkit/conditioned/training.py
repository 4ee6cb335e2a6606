"""One training under changing preferences: seeded, honest about divergence, and sure that it is conditioned at all."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from evo_moo.evaluation.slots import yield_to_measurements
from evo_moo.threads import one_thread
from evo_moo.toolkit.checks import require_at_least_one, require_one_of
from evo_moo.toolkit.conditioned.losses import Batch, Loss, Samples, cosmos_objective
from evo_moo.toolkit.conditioned.networks import ConditionedNetwork
from evo_moo.toolkit.conditioned.preferences import dirichlet, inverse, rays
from evo_moo.toolkit.training import inference, set_determinism

Array = npt.NDArray[np.float64]
AIMS = ("preference", "inverse")
ALIVE = 1e-2
"""Outputs along the rays that differ by no more than this: the network does not hear the preference."""
_SAMPLES_AT_ONCE, _SAMPLES_OF_SPREAD = 4096, 1024


@dataclass(frozen=True)
class Settings:
    """How a conditioned network is trained, by Adam.

    Attributes:
        epochs: Number of passes over the training data, at least 1.
        batch_size: Samples per step; rates of small groups need 512 or more.
        lr: Learning rate.
        penalty: Factor lambda of the cosine term, see ``evo_moo.toolkit.conditioned.losses.cosmos_objective``.
        aim: What the cosine term draws the losses to: ``"inverse"`` agrees with the weighted sum, so that a larger
            weight means a smaller loss; ``"preference"``, as published, draws against it, and where ``penalty`` is
            large a larger weight means a larger loss.
        alpha: Concentration of the preferences, one or one for each loss.
        milestones: Numbers of epochs after which the learning rate is divided by ten.
        judge_every: Judges the front after every so many epochs, and after the last.

    Raises:
        ValueError: A number is out of range.
    """

    epochs: int
    batch_size: int = 256
    lr: float = 1e-3
    penalty: float = 0.01
    aim: str = "inverse"
    alpha: float | Sequence[float] = 0.5
    milestones: Sequence[int] = ()
    judge_every: int = 5

    def __post_init__(self) -> None:
        require_at_least_one(epochs=self.epochs, batch_size=self.batch_size, judge_every=self.judge_every)
        require_one_of(AIMS, aim=self.aim)
        if not self.lr > 0:
            raise ValueError(f"`lr` must be above 0, but is {self.lr}")
        if not self.penalty >= 0:
            raise ValueError(f"`penalty` must be at least 0, but is {self.penalty}")


@dataclass(frozen=True)
class Judge:
    """What a front is judged by while it is trained: the weights of the best epoch are kept.

    Attributes:
        samples: Validation data.
        value: Returns how good the outputs ``(n_rays, n, ...)`` of these samples are, the more the better.
    """

    samples: Samples
    value: Callable[[Tensor, Samples], float]


@dataclass(frozen=True)
class Trained:
    """What a training came to.

    Attributes:
        network: The network with the weights of the best epoch, or of the last where nothing judged.
        epoch: Number of that epoch.
        judged: Numbers of epochs to values of the judge.
        spread: The most by which any output of the first thousand samples differs between any two rays.
        n_passes: Samples that went forward and back.
    """

    network: ConditionedNetwork
    epoch: int
    judged: dict[int, float]
    spread: float
    n_passes: int

    @property
    def is_alive(self) -> bool:
        """Whether the outputs depend on the preference at all."""
        return self.spread > ALIVE


def train_conditioned(
    build: Callable[[], ConditionedNetwork],
    train: Samples,
    losses: Sequence[Loss],
    settings: Settings,
    *,
    seed: int,
    judge: Judge | None = None,
    preferences: Callable[[], Array] | None = None,
    ray_set: Array | None = None,
) -> Trained:
    """Build and train a conditioned network on one thread, from the weights that the seed decides.

    Each batch has one preference, and one step on the objective of COSMOS. Stops once the objective is not finite.

    Args:
        build: Builds the untrained network, on the device of the data.
        train: Training data.
        losses: One for each objective.
        settings: How to train.
        seed: Decides first weights, the order of the samples and the preferences, each by a generator of its own.
        judge: Decides which epoch's weights are kept; None keeps the last.
        preferences: Source of one preference ``(n_objectives,)`` per batch; by default Dirichlet with ``alpha``.
        ray_set: ``(n_rays, n_objectives)`` preferences along which the front is judged, by default 25 or so.

    Returns:
        The trained network, and what the training came to. One that does not hear the preference is warned of.
    """
    with one_thread():
        set_determinism(seed)
        network, device = build(), train.X.device
        n_objectives = len(losses)
        draw = preferences or dirichlet(settings.alpha, n_objectives, seed)
        along = torch.tensor(rays(n_objectives) if ray_set is None else ray_set, dtype=torch.float32, device=device)
        optimizer = torch.optim.Adam(network.parameters(), lr=settings.lr, fused=True)
        order = torch.Generator().manual_seed(seed)
        kept: dict[str, Tensor] = {}
        judged: dict[int, float] = {}
        best, number, n_done = 0, 0, 0
        for number in range(1, settings.epochs + 1):
            if number - 1 in settings.milestones:
                optimizer.param_groups[0]["lr"] /= 10
            finite = _train_epoch(network, train, losses, settings, optimizer, order, draw)
            n_done += 1
            if not finite:
                break
            if judge and (number % settings.judge_every == 0 or number == settings.epochs):
                judged[number] = judge.value(outputs_along(network, judge.samples.X, along), judge.samples)
                if best == 0 or judged[number] > judged[best]:
                    best, kept = number, {name: tensor.clone() for name, tensor in network.state_dict().items()}
        if kept:
            network.load_state_dict(kept)
        spread = spread_along(network, (judge.samples if judge else train).X[:_SAMPLES_OF_SPREAD], along)
        trained = Trained(network, best or number, judged, spread, n_done * len(train.y))
    if len(along) > 1 and not trained.is_alive:
        warnings.warn(
            f"outputs must depend on the preference, but differ by {spread:.2g} at most between any two; train longer, "
            'or condition by "film"',
            stacklevel=2,
        )
    return trained


def outputs_along(network: ConditionedNetwork, X: Tensor, along: Tensor) -> Tensor:
    """Return the outputs ``(n_rays, n, ...)`` of inputs ``(n, ...)`` under preferences ``(n_rays, n_objectives)``."""
    outputs = []
    with inference(network):
        for inputs in X.split(_SAMPLES_AT_ONCE):
            yield_to_measurements()
            outputs.append(network.along(inputs, along))
    return torch.cat(outputs, dim=1)


def metrics_along(
    trained: Trained,
    parts: Mapping[str, Samples],
    ray_set: Array,
    judge: Callable[[Tensor, Samples], Mapping[str, Sequence[float]]],
) -> list[dict[str, float]]:
    """Return the metrics of a trained network under each preference, on one thread.

    Args:
        trained: The network.
        parts: Its data; the metrics of ``"validation"`` have their own names, those of ``"test"`` begin with ``test_``.
        ray_set: ``(n_rays, n_objectives)`` preferences.
        judge: Takes outputs ``(n_rays, n, ...)`` and samples; gives metrics, each a value for each preference.
    """
    by_ray: list[dict[str, float]] = [{"preference_effect": trained.spread} for _ in ray_set]
    along = torch.tensor(ray_set, dtype=torch.float32)
    with one_thread():
        for prefix, part in (("", "validation"), ("test_", "test")):
            outputs = outputs_along(trained.network, parts[part].X, along)
            for name, values in judge(outputs, parts[part]).items():
                for metrics, value in zip(by_ray, values, strict=True):
                    metrics[prefix + name] = value
    return by_ray


def spread_along(network: ConditionedNetwork, X: Tensor, along: Tensor) -> float:
    """Return the most by which any output of any input differs between any two preferences."""
    outputs = outputs_along(network, X, along)
    return float((outputs.amax(0) - outputs.amin(0)).max())


def _train_epoch(
    network: ConditionedNetwork,
    train: Samples,
    losses: Sequence[Loss],
    settings: Settings,
    optimizer: torch.optim.Optimizer,
    order: torch.Generator,
    draw: Callable[[], Array],
) -> bool:
    """Take a step for each batch, the last partial one too; return whether the objective stayed finite."""
    network.train()
    total = torch.zeros((), device=train.X.device)
    for rows in torch.randperm(len(train.y), generator=order).split(settings.batch_size):
        yield_to_measurements()
        samples, drawn = train.at(rows), draw()
        aims = inverse(drawn) if settings.aim == "inverse" else drawn
        preference, aim = torch.tensor(np.array([drawn, aims]), dtype=torch.float32, device=train.X.device)

        def predict(inputs: Tensor, preference: Tensor = preference) -> Tensor:
            outputs: Tensor = network(inputs, preference)
            return outputs

        batch = Batch(samples, predict(samples.X), predict)
        values = torch.stack([loss(batch) for loss in losses])
        objective = cosmos_objective(preference, values, settings.penalty, aim)
        optimizer.zero_grad()
        torch.autograd.backward(objective)
        optimizer.step()
        total += objective.detach()
    return math.isfinite(total.item())

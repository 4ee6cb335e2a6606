"""A network that predicts latencies on any device by its features: the meta-predictor.

It learns from devices of which many latencies are known. It is differentiable in the one-hots of an architecture, which
may be soft, and needs no table of the architectures that it is asked for:

    net = train_latency_net(one_hots, known_ms, known_devices, seed=0)
    net(one_hots, features_of(phone))                              # (n,), in the phone's unit
"""

import copy
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from evo_moo.errors import MetricError
from evo_moo.seeding import seed_for
from evo_moo.threads import one_thread
from evo_moo.toolkit.devices.device import N_REFERENCES, Array, Device

LEARNING_RATE, BATCH, N_STEPS, N_ARCHITECTURES = 1e-3, 64, 6000, 900
TUNING_STEPS = 50
LEAST, MOST = -0.5, 2.0
"""Targets beyond these, in a device's unit, are outliers of the measurement, and clipped."""
MIXED = 0.5
"""Share of the steps on a device mixed of two or three known ones, so that the network learns to interpolate."""


class LatencyNet(nn.Module):
    """Predicts the latency of an architecture on a device.

    Args:
        n_columns: Columns of an architecture's one-hots.
        width: Units of the layers that read the architecture and the device.
    """

    def __init__(self, n_columns: int, width: int = 100) -> None:
        super().__init__()
        self.n_columns = n_columns
        self.of_architecture, self.of_device = (
            nn.Sequential(nn.Linear(n_in, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
            for n_in in (n_columns, N_REFERENCES)
        )
        both = 2 * width
        self.joint = nn.Sequential(nn.Linear(both, both), nn.ReLU(), nn.Linear(both, both), nn.ReLU())
        self.last = nn.Linear(both, 1)

    def forward(self, one_hots: Tensor, features: Tensor) -> Tensor:
        """Return latencies ``(n,)`` in the device's unit, of ``(n, n_columns)`` one-hots and ``(10,)`` features."""
        device = self.of_device(features).expand(len(one_hots), -1)
        latencies: Tensor = self.last(self.joint(torch.cat([self.of_architecture(one_hots), device], dim=1)))
        return latencies.squeeze(-1)

    def predict_ms(self, one_hots: npt.ArrayLike, device: Device) -> Array:
        """Return latencies ``(n,)`` in milliseconds."""
        with torch.no_grad():
            return device.in_ms(self(as_tensor(one_hots), features_of(device)).numpy())

    def tuned(self, reference_one_hots: npt.ArrayLike, device: Device, steps: int = TUNING_STEPS) -> "LatencyNet":
        """Return a copy that has also learnt the reference latencies of one device.

        It ranks better, and errs to the low side near a deadline: keep deadlines by this one with a margin.

        Args:
            reference_one_hots: ``(10, n_columns)`` one-hots of the reference networks.
            device: The device.
            steps: Steps of Adam.
        """
        tuned = copy.deepcopy(self).requires_grad_(True)
        inputs, features = as_tensor(reference_one_hots), features_of(device)
        optimizer = torch.optim.Adam(tuned.parameters(), LEARNING_RATE)
        with one_thread():
            for _ in range(steps):
                optimizer.zero_grad()
                mse_loss(tuned(inputs, features), features).backward()
                optimizer.step()
        return tuned.requires_grad_(False)


def as_tensor(values: npt.ArrayLike) -> Tensor:
    """Return numbers as a tensor of the type that the network computes in."""
    return torch.as_tensor(np.asarray(values), dtype=torch.float32)


def features_of(device: Device) -> Tensor:
    """Return the features of a device, ``(10,)``, as the network takes them."""
    return as_tensor(device.features)


def train_latency_net(
    one_hots: npt.ArrayLike,
    latencies_ms: npt.ArrayLike,
    devices: Sequence[Device],
    *,
    seed: int = 0,
    steps: int = N_STEPS,
    mixed: float = MIXED,
) -> LatencyNet:
    """Fit a network to devices of which latencies are known.

    Args:
        one_hots: ``(n, n_columns)`` one-hots of architectures; at most 900 of them are learnt.
        latencies_ms: ``(n, n_devices)`` milliseconds; NaN where one is not known.
        devices: The devices of the columns.
        seed: Decides the first weights and the order of learning.
        steps: Steps of Adam, of 64 architectures on one device each.
        mixed: Share of the steps on devices mixed of known ones.

    Returns:
        The network, frozen.

    Raises:
        MetricError: There is no device, or a device has no latency.
    """
    targets = _targets(np.asarray(latencies_ms, dtype=float), devices)
    rng = np.random.default_rng(seed_for("latency net", seed))
    rows = rng.permutation(len(targets))[:N_ARCHITECTURES]
    inputs, targets = as_tensor(np.asarray(one_hots)[rows]), targets[rows]
    features = np.stack([device.features for device in devices])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        net = LatencyNet(inputs.shape[1])
    optimizer = torch.optim.Adam(net.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    with one_thread():
        for _ in range(steps):
            weights = _weights(len(devices), mixed, rng)
            batch, aims, of_device = _batch(targets, features, weights, rng)
            optimizer.zero_grad()
            mse_loss(net(inputs[batch], as_tensor(of_device)), as_tensor(aims)).backward()
            optimizer.step()
            schedule.step()
    return net.requires_grad_(False)


def _targets(latencies_ms: Array, devices: Sequence[Device]) -> Array:
    if not devices:
        raise MetricError("a latency net must learn from at least one device, but there is none; add a device")
    if lacking := [d.name for d, column in zip(devices, latencies_ms.T, strict=True) if not np.isfinite(column).any()]:
        raise MetricError(f"every device must have a latency to learn from, but {', '.join(lacking)} has none")
    return np.stack([d.in_unit(column) for d, column in zip(devices, latencies_ms.T, strict=True)], axis=1)


def _weights(n_devices: int, mixed: float, rng: np.random.Generator) -> Array:
    """Return the share of each device, ``(n_devices,)``: one alone, or two or three together."""
    n = min(int(rng.integers(2, 4)), n_devices) if rng.random() < mixed else 1
    weights = np.zeros(n_devices)
    weights[rng.choice(n_devices, n, replace=False)] = rng.dirichlet(np.ones(n))
    return weights


def _batch(
    targets: Array, features: Array, weights: Array, rng: np.random.Generator
) -> tuple[npt.NDArray[np.int64], Array, Array]:
    """Return rows, their targets and the features on a device of these shares, in the unit of that device."""
    of = np.flatnonzero(weights)
    mixed_features, mixed_targets = weights[of] @ features[of], targets[:, of] @ weights[of]
    low, span = mixed_features.min(), np.ptp(mixed_features)
    known = np.flatnonzero(np.isfinite(mixed_targets))
    if not len(known) or not span:  # the devices have no architecture in common
        return _batch(targets, features, np.eye(len(weights))[of[0]], rng)
    rows = rng.choice(known, min(BATCH, len(known)), replace=False)
    return rows, np.clip((mixed_targets[rows] - low) / span, LEAST, MOST), (mixed_features - low) / span

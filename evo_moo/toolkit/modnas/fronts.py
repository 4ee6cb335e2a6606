"""One run for every preference and device: from predictors of the objectives to recommended configurations.

Losses are networks that predict one objective each, such as an ``Ensemble`` and a ``LatencyNet``:

    fronts = find_fronts(problem.space, [error, latency_net], known_devices, seed=1)
    fronts.at(0.8, phone)                                          # 0.8 for the first loss, 0.2 for the other
    evo_moo.search(problem, start=fronts.start([phone], 20))
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from evo_moo.errors import SpaceError
from evo_moo.seeding import seed_for
from evo_moo.space import Configuration, SearchSpace
from evo_moo.toolkit.checks import require_at_least_one
from evo_moo.toolkit.conditioned.preferences import as_preference, rays
from evo_moo.toolkit.devices.device import Device
from evo_moo.toolkit.devices.latency_net import features_of
from evo_moo.toolkit.modnas.decisions import Decisions
from evo_moo.toolkit.modnas.hypernetworks import DeviceTables
from evo_moo.toolkit.modnas.losses import Loss, Scaled
from evo_moo.toolkit.modnas.readout import N_RAYS, OUTERMOST, best_rows, predicted, read_out, sampled_read_out
from evo_moo.toolkit.modnas.search import Settings, search

Array = npt.NDArray[np.float64]
MOST_LISTED, N_SAMPLE = 100_000, 4096


@dataclass(frozen=True)
class Fronts:
    """What a search learnt of all preferences and devices.

    Attributes:
        decisions: The decisions of the space.
        hypernetwork: From preference and device to logits.
        losses: One for each objective, scaled to [0, 1] on each device.
    """

    decisions: Decisions
    hypernetwork: nn.Module
    losses: tuple[Loss, ...]

    def at(self, preference: Any, device: Device) -> Configuration:
        """Return the configuration of a device under a preference.

        Args:
            preference: One weight for each loss, or of two losses the share of the first.
            device: Any device, known to the search or not.

        Raises:
            ValueError: The preference is none.
            SpaceError: The architecture is forbidden.
        """
        weights = as_preference(preference, len(self.losses))
        found = read_out(self.hypernetwork, self.decisions, features_of(device), weights[None])
        if not found.n_unique:
            raise SpaceError(f"a rule forbids what is recommended at {weights.tolist()}; take one of `best` instead")
        return self.decisions.space.decode(found.X)[0]

    def best(self, device: Device, n: int = N_RAYS, *, only_front: bool = True, seed: int = 0) -> list[Configuration]:
        """Return different configurations for a device, the best by the losses first.

        A space of up to 100,000 configurations is ranked as a whole, which no hypernetwork surpasses; of a larger one,
        many draws of the hypernetwork are.

        Args:
            device: Any device, known to the search or not.
            n: The most configurations to return.
            only_front: Leaves out what another one dominates, even if fewer than ``n`` remain.
            seed: Seed of the draws.
        """
        return self.decisions.space.decode(self._best(device, n, only_front, seed))

    def start(self, devices: Sequence[Device], n: int = 20, *, seed: int = 0) -> list[Configuration]:
        """Return different configurations that a search for some devices may start from: in turn the best for each.

        Args:
            devices: Any devices, at least one, known to the search or not.
            n: The most configurations to return.
            seed: Seed of the draws.

        Raises:
            ValueError: There is no device.
        """
        require_at_least_one(devices=len(devices))
        parts = [self._best(device, n, False, seed) for device in devices]
        turns = np.concatenate([np.arange(len(part)) for part in parts])
        X = np.concatenate(parts)[turns.argsort(kind="stable")]
        _, first = np.unique(X, axis=0, return_index=True)
        return self.decisions.space.decode(X[np.sort(first)[:n]])

    def mutate(
        self, config: Mapping[str, Any], weights: Sequence[float], device: Device, rng: np.random.Generator
    ) -> Configuration:
        """Return a configuration with another option of one decision, drawn as the hypernetwork recommends.

        A problem's ``mutate`` may call it; a search then uses it as often as it is worth it.

        Args:
            config: The configuration to vary.
            weights: One weight for each loss.
            device: Any device, known to the search or not.
            rng: Source of all randomness.
        """
        space, preference = self.decisions.space, as_preference(weights, len(self.losses))
        X = space.encode([config])
        codes, movable = space.codes(X), space.active(X)[0] & (space.high > space.low)
        with torch.no_grad():
            logits = self.hypernetwork(torch.as_tensor(preference[None]).float(), features_of(device))[0]
        column = int(rng.choice(np.flatnonzero(movable)))
        block = logits.split(self.decisions.sizes)[column].double().clone()
        block[int(codes[0, column] - space.low[column])] = -torch.inf
        drawn = rng.choice(len(block), p=torch.softmax(block, dim=0).numpy())
        codes[0, column] = space.low[column] + drawn
        return space.decode(space.canonical(space.columns(codes)))[0]

    def _best(self, device: Device, n: int, only_front: bool, seed: int) -> Array:
        features = features_of(device)
        if self.decisions.n_combinations <= MOST_LISTED:
            X = self.decisions.all_rows()
            return np.asarray(
                X[best_rows(predicted(self.decisions, X, self.losses, features), n, only_front=only_front)]
            )
        parts = self.hypernetwork, self.decisions, self.losses, features, rays(len(self.losses), N_RAYS, OUTERMOST)
        return sampled_read_out(*parts, n=n, only_front=only_front, seed=seed).X


def find_fronts(
    space: SearchSpace,
    losses: Sequence[Loss],
    devices: Sequence[Device],
    *,
    settings: Settings | None = None,
    seed: int = 0,
) -> Fronts:
    """Train tables of logits for some devices, by losses that predict an architecture's objectives.

    Args:
        space: The space; all of its variables are decisions.
        losses: One for each objective, in any unit, frozen; such as an ``Ensemble`` and a ``LatencyNet``.
        devices: The devices to search for.
        settings: How to train.
        seed: Decides everything.

    Raises:
        ValueError: There is no device, one loss only, or a variable that has no finite number of values.
    """
    require_at_least_one(devices=len(devices))
    decisions = Decisions(space)
    listed = decisions.n_combinations <= MOST_LISTED
    rng = np.random.default_rng(seed_for("scales of modnas", seed))
    one_hots = decisions.one_hots(decisions.all_rows() if listed else space.sample(N_SAMPLE, rng))
    scaled = tuple(Scaled(loss, one_hots) for loss in losses)
    features = torch.stack([features_of(device) for device in devices])
    hypernetwork = DeviceTables(features, decisions.n_columns, len(scaled), seed=seed)
    search(hypernetwork, decisions, features, scaled, settings or Settings(), seed=seed)
    return Fronts(decisions, hypernetwork, scaled)

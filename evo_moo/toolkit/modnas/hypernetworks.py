"""Hypernetworks: from a preference and the features of a device to the logits of all decisions.

All answer ``hypernetwork(preferences (n, n_objectives), features (n_features,)) -> (n, n_columns)``.
"""

import math

import torch
from torch import Tensor, nn

from evo_moo.toolkit.modnas.simplex import Lattice

SMALL = 1e-3
"""Standard deviation of first logits: so small that no option is preferred."""
N_PARTITIONS = {2: 10, 3: 6}


class DeviceTables(nn.Module):
    """A table of logits for each device of the search, and one that all share; other devices are interpolated.

    A table holds logits at knots of the preferences, linear in between. A device of features h reads the shared table
    and the mean of the others with weights ``softmax(-|h - h_m|^2 / (2 s^2))``, where s is the share ``width`` of the
    median distance between devices. Not of the publication: its bank mixes its members almost uniformly, so that the
    device has no effect.

    Args:
        devices: ``(n_devices, n_features)`` features of the devices that are searched.
        n_columns: Number of logits.
        n_objectives: Number of objectives.
        n_partitions: Partitions of each axis of the preferences; by default 10 for two objectives, 6 for three, and 4.
        width: Width of a device's reach, as a share of the median distance.
        seed: Seed of the first logits.

    Raises:
        ValueError: There is no device, or a number is out of range.
    """

    devices: Tensor

    def __init__(
        self,
        devices: Tensor,
        n_columns: int,
        n_objectives: int = 2,
        *,
        n_partitions: int | None = None,
        width: float = 0.35,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if devices.ndim != 2 or len(devices) == 0:
            raise ValueError(f"`devices` must be rows of features, at least one, but have shape {tuple(devices.shape)}")
        if not width > 0:
            raise ValueError(f"`width` must be above 0, but is {width}")
        self._lattice = Lattice(n_objectives, n_partitions or N_PARTITIONS.get(n_objectives, 4))
        self.register_buffer("devices", devices.detach().clone().float())
        distances = torch.pdist(self.devices)
        median = float(distances.median()) if len(distances) else 0.0
        self._reach = width * median if median > 0 else 1.0
        generator = torch.Generator().manual_seed(seed)
        shape = len(devices) + 1, len(self._lattice.knots), n_columns
        self.tables = nn.Parameter(SMALL * torch.randn(shape, generator=generator))

    def forward(self, preferences: Tensor, features: Tensor) -> Tensor:
        """Return logits ``(n, n_columns)``."""
        squares = (self.devices - features).square().sum(dim=1)
        mix = torch.softmax(-squares / (2 * self._reach**2), dim=0)
        table = self.tables[-1] + torch.einsum("m,mkc->kc", mix, self.tables[:-1])
        return self._lattice.weights(preferences) @ table


class Bank(nn.Module):
    """The bank of the publication: tables of logits, mixed by how well each key matches the device.

    As in the authors' code for NAS-Bench-201: the row of a table is the weight of the first objective in hundredths,
    the mixing weights are ``softmax(sin(E h / sqrt(n_features)))``. For two objectives only.

    Args:
        n_columns: Number of logits.
        n_features: Number of features of a device.
        n_members: Number of tables.
        n_rows: Number of rows of a table.
        seed: Seed of the first values.
    """

    def __init__(
        self, n_columns: int, n_features: int = 10, *, n_members: int = 50, n_rows: int = 101, seed: int = 0
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.tables = nn.Parameter(SMALL * torch.randn(n_members, n_rows, n_columns, generator=generator))
        self.keys = nn.Parameter(torch.randn(n_members, n_features, generator=generator) / math.sqrt(n_features))

    def forward(self, preferences: Tensor, features: Tensor) -> Tensor:
        """Return logits ``(n, n_columns)``.

        Raises:
            ValueError: Preferences are not of two objectives.
        """
        if preferences.shape[1] != 2:
            raise ValueError(f"a bank takes preferences of 2 objectives, but gets {preferences.shape[1]}; use tables")
        mix = torch.softmax(torch.sin(self.keys @ features / math.sqrt(len(features))), dim=0)
        rows = (preferences[:, 0] * (self.tables.shape[1] - 1)).round().long()
        return torch.einsum("m,mrc->rc", mix, self.tables[:, rows])


class MLPHypernetwork(nn.Module):
    """Two hidden layers on preference and features; the last layer begins small.

    Args:
        n_columns: Number of logits.
        n_objectives: Number of objectives.
        n_features: Number of features of a device.
        width: Units of a hidden layer.
        seed: Seed of the first weights.
    """

    def __init__(
        self, n_columns: int, n_objectives: int = 2, n_features: int = 10, *, width: int = 64, seed: int = 0
    ) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layers = nn.Sequential(
                *(nn.Linear(n_objectives + n_features, width), nn.ReLU()),
                *(nn.Linear(width, width), nn.ReLU()),
                nn.Linear(width, n_columns),
            )
        with torch.no_grad():
            for parameter in self.layers[-1].parameters():
                parameter.mul_(0.1)

    def forward(self, preferences: Tensor, features: Tensor) -> Tensor:
        """Return logits ``(n, n_columns)``."""
        rows = torch.cat([preferences, features.expand(len(preferences), -1)], dim=1)
        logits: Tensor = self.layers(rows)
        return logits

"""Networks that answer under a preference: for tables by concatenation, for images by FiLM or by maps."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, linear, max_pool2d, relu

from evo_moo.toolkit.checks import require_one_of

CONDITIONINGS = ("film", "tconv", "planes", "none")
_FILM_UNITS = 32


class ConditionedNetwork(nn.Module):
    """A network whose outputs depend on inputs and on a preference.

    Attributes:
        n_objectives: Number of weights of a preference.
        settings: Arguments that build the same network again, without weights.
    """

    n_objectives: int
    settings: dict[str, Any]

    def forward(self, x: Tensor, preference: Tensor) -> Tensor:
        """Return the outputs of a batch ``(n, ...)`` under one preference ``(n_objectives,)``."""
        raise NotImplementedError

    def along(self, x: Tensor, rays: Tensor) -> Tensor:
        """Return the outputs ``(n_rays, n, ...)`` under each of several preferences ``(n_rays, n_objectives)``."""
        return torch.stack([self(x, ray) for ray in rays])


class ConditionedMLP(ConditionedNetwork):
    """An MLP with one logit, whose input is a row and the preference, one after the other.

    Args:
        n_features: Columns of a row.
        n_objectives: Number of weights of a preference.
        hidden: Units of the hidden layers, at least one.
        conditioning: ``"concat"``, or ``"none"`` for a network that ignores the preference.

    Raises:
        ValueError: ``conditioning`` is unknown.
    """

    def __init__(
        self, n_features: int, n_objectives: int, hidden: Sequence[int] = (60, 25), conditioning: str = "concat"
    ) -> None:
        super().__init__()
        require_one_of(("concat", "none"), conditioning=conditioning)
        self.settings = {
            "n_features": n_features,
            "n_objectives": n_objectives,
            "hidden": list(hidden),
            "conditioning": conditioning,
        }
        self.n_features, self.n_objectives = n_features, n_objectives
        self.first = nn.Linear(n_features + n_objectives * (conditioning == "concat"), hidden[0])
        layers: list[nn.Module] = [nn.ReLU()]
        for n_in, n_out in zip(hidden, [*hidden[1:], 1], strict=True):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        self.rest = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor, preference: Tensor) -> Tensor:
        """Return the logits ``(n,)`` of rows ``(n, n_features)``."""
        joined = torch.cat([x, preference[: self.first.in_features - self.n_features].expand(x.shape[0], -1)], dim=1)
        logits: Tensor = self.rest(self.first(joined))
        return logits.squeeze(-1)

    def along(self, x: Tensor, rays: Tensor) -> Tensor:
        """Return the logits ``(n_rays, n)``; the first layer sees each row once, as it is linear in both inputs."""
        of_rows, of_rays = self.first.weight[:, : self.n_features], self.first.weight[:, self.n_features :]
        shared = linear(x, of_rows, self.first.bias)
        shifts = linear(rays[:, : of_rays.shape[1]], of_rays)
        logits: Tensor = self.rest(shared + shifts[:, None])
        return logits.squeeze(-1)


class ConditionedCNN(ConditionedNetwork):
    """A LeNet for several questions on one image: two convolutions, a dense layer, and one head for each question.

    ``"film"`` scales and shifts the channels of each hidden layer (Perez et al., "FiLM", AAAI 2018) and is learnt
    within some hundred steps. ``"tconv"``, as COSMOS was published, makes a map of the preference by transposed
    convolutions, one more channel for each weight; it takes tens of thousands of steps to be learnt. ``"planes"``
    are constant channels.

    Args:
        size: Height and width of the images, of one channel.
        n_objectives: Number of weights of a preference.
        channels: Channels of the two convolutions.
        units: Units of the dense layer.
        kernel: Height and width of the kernels.
        padding: Their padding.
        n_heads: Number of questions.
        n_classes: Answers to each.
        conditioning: One of ``CONDITIONINGS``; ``"none"`` ignores the preference.

    Raises:
        ValueError: ``conditioning`` is unknown.
    """

    def __init__(
        self,
        size: int = 36,
        n_objectives: int = 2,
        channels: Sequence[int] = (10, 20),
        units: int = 50,
        kernel: int = 5,
        padding: int = 0,
        n_heads: int = 2,
        n_classes: int = 10,
        conditioning: str = "film",
    ) -> None:
        super().__init__()
        require_one_of(CONDITIONINGS, conditioning=conditioning)
        self.settings = {
            **{"size": size, "n_objectives": n_objectives, "channels": list(channels), "units": units},
            **{"kernel": kernel, "padding": padding, "n_heads": n_heads, "n_classes": n_classes},
            "conditioning": conditioning,
        }
        self.n_objectives, self.conditioning = n_objectives, conditioning
        self.answers = (n_heads, n_classes)
        side = size
        for _ in channels:
            side = (side + 2 * padding - kernel + 1) // 2
        n_maps = n_objectives * (conditioning in ("tconv", "planes"))
        self.hidden = nn.ModuleList(
            [
                nn.Conv2d(1 + n_maps, channels[0], kernel, padding=padding),
                nn.Conv2d(channels[0], channels[1], kernel, padding=padding),
                nn.Linear(channels[1] * side**2, units),
            ]
        )
        self.heads = nn.ModuleList([nn.Linear(units, n_classes) for _ in range(n_heads)])
        self.widths = [*channels, units]
        if conditioning == "film":
            n_out = 2 * sum(self.widths)
            self.film = nn.Sequential(nn.Linear(n_objectives, _FILM_UNITS), nn.ReLU(), nn.Linear(_FILM_UNITS, n_out))
        elif conditioning == "tconv":
            self.maps = nn.Sequential(
                nn.ConvTranspose2d(n_objectives, n_objectives, 4, bias=False),
                nn.ReLU(),
                nn.ConvTranspose2d(n_objectives, n_objectives, 6, stride=2, padding=1, bias=False),
                nn.ReLU(),
            )

    def forward(self, x: Tensor, preference: Tensor) -> Tensor:
        """Return the logits ``(n, n_heads, n_classes)`` of images ``(n, 1, size, size)``."""
        scales, shifts = self._scales_and_shifts(preference)
        x = torch.cat([x, *self._maps(x, preference)], dim=1)
        for layer, scale, shift in zip(self.hidden, scales, shifts, strict=True):
            if isinstance(layer, nn.Conv2d):
                x = max_pool2d(layer(x), 2)
                x = relu(x if scale is None else x * scale[:, None, None] + shift[:, None, None])
            else:
                x = layer(x.flatten(1))
                x = relu(x if scale is None else x * scale + shift)
        return torch.stack([head(x) for head in self.heads], dim=1)

    def _scales_and_shifts(self, preference: Tensor) -> tuple[Sequence[Any], Sequence[Any]]:
        if self.conditioning != "film":
            return [None] * len(self.widths), [None] * len(self.widths)
        scale, shift = self.film(2 * (preference - 0.5)).chunk(2)
        return (1 + scale).split(self.widths), shift.split(self.widths)

    def _maps(self, x: Tensor, preference: Tensor) -> list[Tensor]:
        """Return what is added to the channels of a batch; the same for all its images, so computed once."""
        size = x.shape[-2:]
        if self.conditioning == "planes":
            return [preference[None, :, None, None].expand(x.shape[0], -1, *size)]
        if self.conditioning == "tconv":
            maps = interpolate(self.maps(preference[None, :, None, None]), size=size)
            return [maps.expand(x.shape[0], -1, -1, -1)]
        return []


NETWORKS: dict[str, type[ConditionedNetwork]] = {"mlp": ConditionedMLP, "cnn": ConditionedCNN}
"""Networks by the names under which they are saved."""


class UnderPreference(nn.Module):
    """A conditioned network under one fixed preference: an ordinary network, to be served or exported.

    Args:
        network: The conditioned network.
        preference: ``(n_objectives,)`` weights.
    """

    preference: Tensor

    def __init__(self, network: ConditionedNetwork, preference: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("preference", preference)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of a batch ``(n, ...)``."""
        outputs: Tensor = self.network(x, self.preference)
        return outputs

"""A space of convolutional networks, each a choice at every decision."""

from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Any, NamedTuple

from evo_moo.space import Choice, Configuration, Variable

STRIDE = 2


class Layer(NamedTuple):
    """One layer of a network: a convolution, a normalisation and an activation.

    Attributes:
        channels: Channels of the input.
        width: Channels of the output.
        kernel: Height and width of the kernel.
        activation: Name of the activation.
        side: Height and width of the output.
    """

    channels: int
    width: int
    kernel: int
    activation: str
    side: int


@dataclass(frozen=True)
class ElasticSpace:
    """Convolutional networks for images ``(channels, side, side)``; each layer halves the sides.

    A configuration has a value for every decision; those of layers beyond the depth may be missing, and change nothing.

    Attributes:
        channels: Channels of the images.
        side: Height and width of the images.
        n_classes: Number of classes.
        depth: Most layers.
        widths: Channels that a layer may have, growing.
        kernels: Odd heights and widths that a kernel may have, growing.
        activations: Some of ``relu``, ``silu``, ``gelu`` and ``tanh``.
        pools: Heights and widths of the squares of pixels whose means make the input.
    """

    channels: int = 1
    side: int = 12
    n_classes: int = 10
    depth: int = 4
    widths: tuple[int, ...] = (4, 8, 16, 32)
    kernels: tuple[int, ...] = (1, 3, 5)
    activations: tuple[str, ...] = ("relu", "silu", "tanh")
    pools: tuple[int, ...] = (1, 2, 4)

    @cached_property
    def decisions(self) -> dict[str, tuple[Any, ...]]:
        """The options of every decision by the name of the decision."""
        of_layer = {"kernel": self.kernels, "width": self.widths, "activation": self.activations}
        layers = range(1, self.depth + 1)
        of_layers = {f"{name}_{layer}": options for layer in layers for name, options in of_layer.items()}
        return {"pool": self.pools, "depth": tuple(layers)} | of_layers

    @property
    def variables(self) -> dict[str, Variable]:
        """The decisions as variables of a problem; those of a layer exist where the network is as deep."""
        conditions = {name: {"depth": {"at_least": int(name[-1])}} for name in self.decisions if "_" in name}
        return {
            name: Choice(options, ordered="activation" not in name, when=conditions.get(name))
            for name, options in self.decisions.items()
        }

    def layers(self, config: Configuration) -> list[Layer]:
        """Return the layers of a configuration, the first one first."""
        channels, side, layers = self.channels, self.side // config["pool"], list[Layer]()
        for i in range(1, config["depth"] + 1):
            side = ceil(side / STRIDE)
            layers.append(Layer(channels, config[f"width_{i}"], config[f"kernel_{i}"], config[f"activation_{i}"], side))
            channels = layers[-1].width
        return layers

    def n_features(self, config: Configuration) -> int:
        """Return the number of inputs of the head: the pixels of all channels."""
        last = self.layers(config)[-1]
        return last.width * last.side**2

    def macs(self, config: Configuration) -> list[int]:
        """Return the multiplications of each layer, and of the head, for one image."""
        of_layers = [c * w * kernel**2 * side**2 for c, w, kernel, _, side in self.layers(config)]
        return [*of_layers, self.n_features(config) * self.n_classes]

    def n_params(self, config: Configuration) -> int:
        """Return the number of trainable parameters."""
        of_layers = [c * w * kernel**2 for c, w, kernel, _, _ in self.layers(config)]
        return sum(of_layers) + (self.n_features(config) + 1) * self.n_classes

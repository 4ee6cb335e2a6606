"""The supernet: the weights of all networks of a space, entangled, and the parts of them that each network inherits.

A smaller kernel is the centre of the largest one, a smaller width its first channels, so the weights of one network are
a part of those of a larger one (Cai et al., "Once-for-All", ICLR 2020, section 3.3, where the parts of kernels are
transformed besides). Every depth has a head of its own for every pooling of the input, which decides how many pixels
the head sees.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, batch_norm, conv2d, linear

from evo_moo.space import Configuration
from evo_moo.toolkit.supernet.networks import ACTIVATIONS, plain_network, recalibrated
from evo_moo.toolkit.supernet.space import STRIDE, ElasticSpace


class Supernet(nn.Module):
    """Holds the weights of every network of a space.

    Normalisations have no weights and no running statistics: they take those of the batch.

    Args:
        space: Which networks there are.
    """

    width_masks: Tensor
    kernel_masks: Tensor

    def __init__(self, space: ElasticSpace) -> None:
        super().__init__()
        self.space, self.largest = space, space.kernels[-1]
        wide = {name: options[-1] for name, options in space.decisions.items()}
        self.kernels = nn.ParameterList(
            torch.empty(layer.width, layer.channels, self.largest, self.largest) for layer in space.layers(wide)
        )
        for kernel in self.kernels:
            nn.init.kaiming_normal_(kernel)
        depths = range(1, space.depth + 1)
        shapes = {
            _head(pool, depth): space.n_features(wide | {"pool": pool, "depth": depth})
            for pool in space.pools
            for depth in depths
        }
        self.heads = nn.ModuleDict({name: nn.Linear(n, space.n_classes) for name, n in shapes.items()})
        first = torch.tensor(space.widths)[:, None] > torch.arange(space.widths[-1])
        self.register_buffer("width_masks", first.float(), False)
        self.register_buffer("kernel_masks", torch.stack([self._kernel_mask(k) for k in space.kernels]), False)

    def forward(self, x: Tensor, one_hots: Tensor) -> Tensor:
        """Return logits, differentiable in every decision: all options are computed, and weighted.

        Exact where every one-hot is one: the logits are then those of ``sampled``. Kernels are weighted before the
        convolution, which is linear in them.

        Args:
            x: Images ``(n, channels, side, side)``.
            one_hots: ``(n_columns,)`` one-hots of all decisions in their order, soft ones too, none of them gated:
                those of layers beyond the depth say what a deeper network would be.

        Returns:
            ``(n, n_classes)`` logits.
        """
        decisions = self.space.decisions
        shares = dict(zip(decisions, one_hots.split([len(options) for options in decisions.values()]), strict=True))
        pools = zip(self.space.pools, shares["pool"], strict=True)
        return torch.stack([share * self._mixed(x, pool, shares) for pool, share in pools]).sum(0)

    def _mixed(self, x: Tensor, pool: int, shares: Mapping[str, Tensor]) -> Tensor:
        logits, x = [], avg_pool2d(x, pool)
        for i, kernel in enumerate(self.kernels, 1):
            mask = torch.tensordot(shares[f"kernel_{i}"], self.kernel_masks, 1)
            x = batch_norm(conv2d(x, kernel * mask, None, STRIDE, self.largest // 2), None, None, training=True)
            activations = zip(self.space.activations, shares[f"activation_{i}"], strict=True)
            x = torch.stack([share * ACTIVATIONS[name][0](x) for name, share in activations]).sum(0)
            x = x * (shares[f"width_{i}"] @ self.width_masks)[:, None, None]
            logits.append(shares["depth"][i - 1] * self.heads[_head(pool, i)](x.flatten(1)))
        return torch.stack(logits).sum(0)

    def sampled(self, x: Tensor, config: Configuration) -> list[Tensor]:
        """Return the logits of one network, and of those that end before it, at the cost of that network alone.

        Args:
            x: Images ``(n, channels, side, side)``; the statistics are of this batch.
            config: The network's configuration.

        Returns:
            ``(n, n_classes)`` logits for each depth from 1 to that of the configuration.
        """
        logits, x = [], avg_pool2d(x, config["pool"])
        for i in range(1, config["depth"] + 1):
            weights = self.weights(config | {"depth": i})
            x = conv2d(x, weights[f"conv_{i}.weight"], None, STRIDE, config[f"kernel_{i}"] // 2)
            x = ACTIVATIONS[config[f"activation_{i}"]][0](batch_norm(x, None, None, training=True))
            logits.append(linear(x.flatten(1), weights["head.weight"], weights["head.bias"]))
        return logits

    def weights(self, config: Configuration) -> dict[str, Tensor]:
        """Return the weights of one network, which are views of the supernet's, by their names in the plain network."""
        parts = dict[str, Tensor]()
        for i, layer in enumerate(self.space.layers(config), 1):
            centre = slice(edge := (self.largest - layer.kernel) // 2, edge + layer.kernel)
            parts[f"conv_{i}.weight"] = self.kernels[i - 1][: layer.width, : layer.channels, centre, centre]
        head = _head(config["pool"], config["depth"])
        weight, bias = (self.heads.get_parameter(f"{head}.{name}") for name in ("weight", "bias"))
        return parts | {"head.weight": weight[:, : self.space.n_features(config)], "head.bias": bias}

    def inherited(self, config: Configuration, X: Tensor, batch_size: int = 512) -> nn.Sequential:
        """Return a plain network with a copy of its weights here, and running statistics made anew.

        Running statistics are the means over batches of what this very network sees: those that the supernet saw while
        it was trained would be a mixture of all networks.

        Args:
            config: The network's configuration.
            X: Images ``(n, channels, side, side)`` for the statistics, of the training data.
            batch_size: Images in one batch.
        """
        network = plain_network(self.space, config)
        network.load_state_dict(self.weights(config), strict=False)
        return recalibrated(network, X, batch_size)

    def _kernel_mask(self, size: int) -> Tensor:
        mask, edge = torch.zeros(self.largest, self.largest), (self.largest - size) // 2
        mask[edge : edge + size, edge : edge + size] = 1
        return mask


def _head(pool: int, depth: int) -> str:
    return f"pool_{pool}_depth_{depth}"

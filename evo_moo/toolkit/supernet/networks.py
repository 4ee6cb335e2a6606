"""The plain network of each configuration, and the running statistics of a network that was not trained itself."""

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from evo_moo.space import Configuration
from evo_moo.toolkit.supernet.space import STRIDE, ElasticSpace

ACTIVATIONS: dict[str, tuple[Callable[[Tensor], Tensor], type[nn.Module]]] = {
    "relu": (functional.relu, nn.ReLU),
    "silu": (functional.silu, nn.SiLU),
    "gelu": (functional.gelu, nn.GELU),
    "tanh": (torch.tanh, nn.Tanh),
}
"""Name of an activation to the function and the module."""


def plain_network(space: ElasticSpace, config: Configuration) -> nn.Sequential:
    """Build an untrained network that takes images ``(n, channels, side, side)`` and gives logits ``(n, n_classes)``.

    Normalisations have no weights of their own, as in the supernet; they have running statistics.
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict(pool=nn.AvgPool2d(config["pool"]))
    for i, (channels, width, kernel, activation, _) in enumerate(space.layers(config), 1):
        parts[f"conv_{i}"] = nn.Conv2d(channels, width, kernel, STRIDE, kernel // 2, bias=False)
        parts[f"norm_{i}"] = nn.BatchNorm2d(width, affine=False)
        parts[f"activation_{i}"] = ACTIVATIONS[activation][1]()
    parts |= {"flatten": nn.Flatten(), "head": nn.Linear(space.n_features(config), space.n_classes)}
    return nn.Sequential(parts)


def recalibrated(network: nn.Sequential, X: Tensor, batch_size: int = 512) -> nn.Sequential:
    """Make the running statistics of a network's normalisations anew, and return it in evaluation mode.

    Args:
        network: The network; it is changed.
        X: Images ``(n, ...)``.
        batch_size: Images in one batch; all batches count alike.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    network.train()
    with torch.no_grad():
        for batch in X.split(batch_size):
            network(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return network.eval()

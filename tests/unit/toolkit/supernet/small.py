"""A small space, and images for it."""

from typing import Any

import torch
from torch import Tensor

from evo_moo.toolkit.supernet.space import ElasticSpace

SPACE = ElasticSpace(side=8, n_classes=3, depth=2, widths=(2, 4), activations=("relu", "tanh"), pools=(1, 2))
NETWORKS: list[dict[str, Any]] = [
    {"pool": 1, "depth": 1, "kernel_1": 3, "width_1": 2, "activation_1": "tanh"},
    {"pool": 2, "depth": 2, "kernel_1": 1, "width_1": 4, "activation_1": "relu"}
    | {"kernel_2": 5, "width_2": 2, "activation_2": "tanh"},
    {"pool": 1, "depth": 2, "kernel_1": 5, "width_1": 2, "activation_1": "relu"}
    | {"kernel_2": 3, "width_2": 4, "activation_2": "relu"},
]


def images(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def one_hots_of(config: dict[str, Any]) -> Tensor:
    """One-hots of all decisions; of those that the configuration lacks the first option."""
    hots = []
    for name, options in SPACE.decisions.items():
        chosen = options.index(config.get(name, options[0]))
        hots.append(torch.nn.functional.one_hot(torch.tensor(chosen), len(options)))
    return torch.cat(hots).float()

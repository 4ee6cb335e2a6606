"""Pruning by magnitude: of whole channels, which makes a network smaller and faster, and of single weights.

Zeros in a matrix that is stored and multiplied as a dense one change neither the file nor the latency; they shrink a
compressed file only. So ``without_channels`` saves time and memory, and ``zero_weights`` saves a download.
"""

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from evo_moo.toolkit.compression.choices import n_kept
from evo_moo.toolkit.training import evaluation_mode

LAYERS = (nn.Conv2d, nn.Linear)


def without_channels(network: nn.Module, example: Tensor, share: float) -> nn.Module:
    """Return a copy without the weakest channels of each layer.

    Layers that are added to each other, or work channel by channel, lose the same channels: the groups of Fang et al.,
    "DepGraph: Towards Any Structural Pruning", CVPR 2023. The weakest have the smallest norm over their group
    (section 3.3 there). Every layer loses the same share, so that the new shape depends on the old shape only, and not
    on the weights; the last layer keeps its outputs.

    Args:
        network: The network.
        example: Inputs ``(n, ...)`` that it takes; the first one is used.
        share: About which share of the channels of each layer goes, in ``[0, 1)``; ``n_kept`` says how many stay. In a
            GroupNorm, every group loses as many.

    Raises:
        ValueError: No channel can go, or the smaller network does not work.
    """
    import torch_pruning

    smaller = copy.deepcopy(network)
    if share == 0:
        return smaller
    with evaluation_mode(smaller), torch.enable_grad():
        layers = [module for module in smaller.modules() if isinstance(module, LAYERS)]
        before = sum(parameter.numel() for parameter in smaller.parameters())
        graph = torch_pruning.DependencyGraph().build_dependency(smaller, example[:1])
        strength = torch_pruning.importance.GroupMagnitudeImportance(p=2)
        for group in graph.get_all_groups(ignored_layers=layers[-1:], root_module_types=list(LAYERS)):
            # The channels that a depthwise layer has from the input itself are the input's.
            if any(_makes_channels(graph, dependency) for dependency, _ in group):
                group.prune(idxs=_weakest(strength(group), _n_parts(group), share))
    if sum(parameter.numel() for parameter in smaller.parameters()) == before:
        raise ValueError(f"no layer has a channel that can go with a share of {share:g}")
    with evaluation_mode(smaller), torch.inference_mode():
        smaller(example[:1])
    return smaller


def zero_weights(network: nn.Module, share: float) -> None:
    """Set the smallest weights of all convolutions and dense layers to zero, where they stay in later training.

    Han et al., "Learning both Weights and Connections for Efficient Neural Networks", NeurIPS 2015, section 3, with one
    threshold for all layers. ``keep_zeros`` ends it.

    Args:
        network: The network, which is changed.
        share: Share of these weights that become zero, in ``[0, 1)``.
    """
    if share > 0:
        prune.global_unstructured(_weights(network), pruning_method=prune.L1Unstructured, amount=share)


def keep_zeros(network: nn.Module) -> None:
    """Turn the zeros that ``zero_weights`` made into plain weights."""
    for layer, name in _weights(network):
        if prune.is_pruned(layer):
            prune.remove(layer, name)


def _weights(network: nn.Module) -> list[tuple[nn.Module, str]]:
    return [(module, "weight") for module in network.modules() if isinstance(module, LAYERS)]


def _makes_channels(graph: Any, dependency: Any) -> bool:
    layer = dependency.target.module
    depthwise = isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1
    return isinstance(layer, LAYERS) and not depthwise and graph.is_out_channel_pruning_fn(dependency.handler)


def _n_parts(group: Any) -> int:
    """Return into how many equal parts the channels of a group fall that must lose as many each."""
    modules = [dependency.target.module for dependency, _ in group]
    norms = [module.num_groups for module in modules if isinstance(module, nn.GroupNorm)]
    grouped = [m.groups for m in modules if isinstance(m, nn.Conv2d) and m.groups < m.out_channels]
    return math.lcm(1, *norms, *grouped)


def _weakest(strength: Tensor, n_parts: int, share: float) -> list[int]:
    by_place = strength.view(n_parts, -1).mean(0)
    n = len(by_place)
    places = by_place.argsort(stable=True)[: n - n_kept(len(strength), share, n_parts) // n_parts]
    return (places + n * torch.arange(n_parts, device=places.device)[:, None]).flatten().tolist()

"""The work of a network's forward pass: what takes time on any device, each kind at a rate of the device's own."""

from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from evo_moo.threads import one_thread
from evo_moo.toolkit.training import evaluation_mode

if TYPE_CHECKING:
    from torch import Tensor, nn

KINDS = ("calls", "bytes", "functions", "flops_dense", "flops_grouped", "flops_matrix")
_FUNCTIONS = (
    "tanh",
    "gelu",
    "silu",
    "mish",
    "elu",
    "softplus",
    "sigmoid",
    "exp",
    "erf",
    "log",
    "_softmax",
    "_log_softmax",
)
_GROUPS = 8
"""Place of the number of groups among the arguments of a convolution."""


def work_of(model: "nn.Module", example: "Tensor | tuple[Tensor, ...]") -> dict[str, float]:
    """Count the work of one forward pass in evaluation mode.

    Williams et al., "Roofline: An Insightful Visual Performance Model", CACM 2009: computing and memory traffic, each
    at a rate of the device, decide the time; small networks wait for the calls of operators too.

    Args:
        model: The network; it is as before afterwards.
        example: The input or inputs.

    Returns:
        ``calls`` of operators, ``bytes`` that these read and write, values of transcendental ``functions`` such as
        tanh, and the floating-point operations of convolutions, ``flops_dense``, of those in groups,
        ``flops_grouped``, and of products of matrices, ``flops_matrix``.
    """
    with one_thread(), evaluation_mode(model), torch.no_grad(), _Counter() as counter:
        model(*(example if isinstance(example, tuple) else (example,)))
    work: dict[str, float] = counter.work
    return work


class _Counter(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.work: dict[str, float] = dict.fromkeys(KINDS, 0.0)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if any(returned.alias_info for returned in func._schema.returns):  # a view computes nothing
            return out
        tensors = [each for each in tree_leaves((args, kwargs, out)) if isinstance(each, torch.Tensor)]
        self.work["calls"] += 1
        self.work["bytes"] += sum(tensor.nbytes for tensor in tensors)
        packet = func.overloadpacket
        if packet.__name__.rstrip("_") in _FUNCTIONS:
            self.work["functions"] += out.numel()
        if packet in flop_registry:
            kind = "flops_matrix"
            if packet is torch.ops.aten.convolution:
                kind = "flops_dense" if args[_GROUPS] == 1 else "flops_grouped"
            self.work[kind] += float(flop_registry[packet](*args, **(kwargs or {}), out_val=out))
        return out

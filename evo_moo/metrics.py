"""Metrics of a network that need no training, as plain numbers."""

from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from evo_moo.training import inference


def count_parameters(model: nn.Module) -> int:
    """Count the trainable numbers of a network; what several modules share counts once."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def count_flops(model: nn.Module, example: Tensor) -> int:
    """Count the floating-point operations of one forward pass in evaluation mode.

    As ``torch.utils.flop_counter`` counts: products of matrices, convolutions and attention, a multiplication
    and an addition being two operations; biases, normalisations and activations are left out.

    Args:
        model: The network.
        example: The input; the count is for its whole batch.

    Returns:
        The number of operations.
    """
    with inference(model), FlopCounterMode(display=False) as counter:
        model(example)
    return int(counter.get_total_flops())


def size_mb(model: nn.Module) -> float:
    """Give the memory of a network's parameters and buffers, in megabytes of 10^6 bytes."""
    tensors = [*model.parameters(), *model.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 1e6

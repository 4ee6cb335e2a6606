"""Metrics of a network and of what it predicts, as plain numbers."""

import io
import weakref
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from evo_moo.toolkit.training import inference


def network_metrics(model: nn.Module, batch: Tensor) -> dict[str, float]:
    """Return what a network costs, by the names that the ready problems use.

    Args:
        model: The network.
        batch: An input; ``peak_memory_mb`` is for all of it, ``flops`` for its first sample.

    Returns:
        ``n_params``, ``flops``, ``peak_memory_mb`` and ``size_on_disk_mb``.
    """
    return {
        "n_params": count_parameters(model),
        "flops": count_flops(model, batch[:1]),
        "peak_memory_mb": peak_memory_mb(model, batch),
        "size_on_disk_mb": size_on_disk_mb(model),
    }


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


def calibration_error(logits: Tensor, labels: Tensor, n_bins: int = 15) -> float:
    """Return the expected calibration error: how far a classifier's confidence is from the share that it gets right.

    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equation 3: over bins of equal width of the
    highest probability, the mean of |accuracy - confidence|, weighted by the samples in each.

    Args:
        logits: ``(n, n_classes)``.
        labels: ``(n,)``.
        n_bins: Number of bins of [0, 1].

    Returns:
        A number from 0 to 1.
    """
    confidence, predicted = logits.double().softmax(1).max(1)
    bins = (confidence * n_bins).ceil().long().clamp(1, n_bins) - 1  # a bin holds its upper end, as in the paper
    gaps = torch.zeros(n_bins, dtype=torch.float64, device=logits.device)
    gaps.index_add_(0, bins, (predicted == labels).double() - confidence)
    return gaps.abs().sum().item() / len(labels)


def size_on_disk_mb(model: nn.Module) -> float:
    """Return the size of the file that ``torch.save`` makes of a network's weights, in megabytes of 10^6 bytes."""
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    return file.tell() / 1e6


def peak_memory_mb(model: nn.Module, example: Tensor) -> float:
    """Return the most memory that tensors take at once in a forward pass, in megabytes of 10^6 bytes.

    Weights, input and every intermediate result while it is alive. It is counted, not measured: the same on every
    machine and with any load. What a kernel needs for itself is left out.

    Args:
        model: The network.
        example: The input; the count is for its whole batch.

    Returns:
        The peak.
    """
    live = _LiveBytes()
    with inference(model), live:
        for tensor in (*model.parameters(), *model.buffers(), example):
            live.add(tensor)
        model(example)
    return live.peak / 1e6


class _LiveBytes(TorchDispatchMode):
    """Counts the bytes of all storages that operations made and that are still alive."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now, self.peak = 0, 0
        self._alive: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def add(self, tensor: Tensor) -> None:
        """Count a tensor's storage, unless it is counted already: views share one."""
        storage = tensor.untyped_storage()
        address, n_bytes = storage.data_ptr(), storage.nbytes()
        if n_bytes and address not in self._alive:
            self._alive[address] = weakref.ref(storage, lambda _: self._forget(address, n_bytes))
            self.now += n_bytes
            self.peak = max(self.peak, self.now)

    def _forget(self, address: int, n_bytes: int) -> None:
        del self._alive[address]
        self.now -= n_bytes

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self.add(leaf)
        return result

"""What people deploy networks with: how a module becomes a callable for each runtime."""

import copy
import io
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import torch
from torch import Tensor, nn

from evo_moo.toolkit.timing import Call

Inputs = tuple[Tensor, ...]


def device_of(device: torch.device | str | None, inputs: Inputs) -> torch.device:
    """Return the device by its name, or by default that of the inputs.

    Raises:
        ValueError: torch cannot use it here.
    """
    try:
        place = inputs[0].device if device is None else torch.device(device)
        return torch.empty(0, device=place).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"`device` must be one that torch can use here, but is {str(device)!r}: {reason}") from error


def batch_of(inputs: Inputs, batch_size: int | None) -> Inputs:
    """Repeat the first sample of each input; without a batch size the inputs stay as they are.

    Raises:
        ValueError: ``batch_size`` is below 1, or so many samples do not fit into memory.
    """
    if batch_size is None:
        return inputs
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1, but is {batch_size}")
    memory = psutil.virtual_memory().total
    if batch_size * sum(tensor[:1].nbytes for tensor in inputs) > memory:
        most = memory // max(sum(tensor[:1].nbytes for tensor in inputs), 1)
        raise ValueError(f"`batch_size` must be at most {most}, to fit into memory, but is {batch_size}")
    return tuple(tensor[:1].repeat(batch_size, *[1] * (tensor.ndim - 1)) for tensor in inputs)


def converted(
    model: nn.Module, inputs: Inputs, device: torch.device, dtype: torch.dtype | None, channels_last: bool
) -> tuple[nn.Module, Inputs]:
    """Return the model and its inputs on a device, in a type and a memory format; the given model stays as it is.

    Args:
        model: The network; it is copied where something is to change.
        inputs: Tensors; those of whole numbers keep their type.
        device: The device of both.
        dtype: Type of floating-point numbers, or None for that which they have.
        channels_last: Whether tensors of 4 axes lie in memory with the channels last.

    Returns:
        The model and the inputs.
    """
    weights = next(model.parameters(), None)
    if dtype is not None or channels_last or (weights is not None and weights.device != device):
        model = copy.deepcopy(model).to(device=device, dtype=dtype)
    if channels_last:
        # torch's stubs leave this overload of Module.to out.
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model, tuple(_converted_input(tensor, device, dtype, channels_last) for tensor in inputs)


def _converted_input(tensor: Tensor, device: torch.device, dtype: torch.dtype | None, channels_last: bool) -> Tensor:
    tensor = tensor.to(device, dtype if tensor.is_floating_point() else None)
    return tensor.contiguous(memory_format=torch.channels_last) if channels_last and tensor.ndim == 4 else tensor


@contextmanager
def torch_threads(n: int) -> Iterator[None]:
    """Let torch compute on so many threads.

    Raises:
        ValueError: ``n`` is below 1 or above the number of cores.
    """
    if n < 1:
        raise ValueError(f"`threads` must be at least 1, but is {n}")
    if n > (cores := os.cpu_count() or 1):
        raise ValueError(f"`threads` must be at most {cores}, the number of cores, but is {n}")
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def loader(runtime: str, model: nn.Module, inputs: Inputs, threads: int) -> Callable[[], Call]:
    """Export a model as far as its deployment does; the rest is the cold start.

    Args:
        runtime: One of ``RUNTIMES``.
        model: The network, in evaluation mode.
        inputs: The inputs of one forward pass.
        threads: Number of threads of one forward pass.

    Returns:
        A function that loads the network and gives a call of one forward pass.

    Raises:
        ValueError: The runtime is unknown, or cannot do what is asked.
        ImportError: The runtime is not installed.
    """
    if runtime not in RUNTIMES:
        raise ValueError(f"`runtime` must be one of {', '.join(RUNTIMES)}, but is {runtime!r}")
    return RUNTIMES[runtime](model, inputs, threads)


def _torch(model: nn.Module, inputs: Inputs, threads: int) -> Callable[[], Call]:
    return lambda: lambda: model(*inputs)


def _compile(model: nn.Module, inputs: Inputs, threads: int) -> Callable[[], Call]:
    def load() -> Call:
        # Modules of one class share their code: without this, the ninth would silently run uncompiled.
        torch.compiler.reset()
        compiled = torch.compile(model, dynamic=False)
        return lambda: compiled(*inputs)

    return load


def _torchscript(model: nn.Module, inputs: Inputs, threads: int) -> Callable[[], Call]:
    file = io.BytesIO()
    with _deprecations_ignored():
        torch.jit.save(torch.jit.freeze(torch.jit.trace(model, inputs)), file)

    def load() -> Call:
        file.seek(0)
        with _deprecations_ignored():
            loaded = torch.jit.load(file)
        return lambda: loaded(*inputs)

    return load


def _export(model: nn.Module, inputs: Inputs, threads: int) -> Callable[[], Call]:
    file = io.BytesIO()
    torch.export.save(torch.export.export(model, inputs), file)

    def load() -> Call:
        file.seek(0)
        loaded = torch.export.load(file).module()
        return lambda: loaded(*inputs)

    return load


def _onnxruntime(model: nn.Module, inputs: Inputs, threads: int) -> Callable[[], Call]:
    if any(tensor.device.type != "cpu" or tensor.dtype == torch.bfloat16 for tensor in inputs):
        kinds = ", ".join(f"{tensor.dtype} on {tensor.device}" for tensor in inputs)
        raise ValueError(f"`runtime` onnxruntime takes inputs of numpy's types on the CPU, but has {kinds}")
    try:
        import onnx  # noqa: F401 - torch's exporter needs it
        import onnxruntime
    except ModuleNotFoundError as error:
        raise ImportError(
            f"The runtime onnxruntime needs {error.name!r}, but there is no such module: pip install 'evo-moo[onnx]'"
        ) from error
    file = io.BytesIO()
    with _deprecations_ignored():
        # The exporter by tracing: ten times quicker than the new one, and without onnxscript.
        torch.onnx.export(model, inputs, file, dynamo=False)  # type: ignore[arg-type]

    def load() -> Call:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # it would slow the reference
        session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
        feed: dict[str, Any] = {
            put.name: tensor.numpy() for put, tensor in zip(session.get_inputs(), inputs, strict=True)
        }
        return lambda: session.run(None, feed)

    return load


@contextmanager
def _deprecations_ignored() -> Iterator[None]:
    """TorchScript is deprecated in favour of torch.export, and still deployed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


RUNTIMES: dict[str, Callable[[nn.Module, Inputs, int], Callable[[], Call]]] = {
    "torch": _torch,
    "torch.compile": _compile,
    "torchscript": _torchscript,
    "torch.export": _export,
    "onnxruntime": _onnxruntime,
}

"""What people deploy networks with: how a module becomes a callable for each runtime."""

import copy
import functools
import io
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
import torch
from torch import Tensor, nn

from evo_moo.errors import to_install
from evo_moo.toolkit.checks import require_at_least_one, require_one_of
from evo_moo.toolkit.timing import Call

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Inputs = tuple[Tensor, ...]
# TorchScript is deprecated in favour of torch.export, and still deployed.
_deprecations_ignored = functools.partial(warnings.catch_warnings, action="ignore", category=DeprecationWarning)


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
    require_at_least_one(batch_size=batch_size)
    if batch_size is None:
        return inputs
    most = psutil.virtual_memory().total // max(sum(tensor[:1].nbytes for tensor in inputs), 1)
    if batch_size > most:
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
    inputs = tuple(tensor.to(device, dtype if tensor.is_floating_point() else None) for tensor in inputs)
    if channels_last:
        # torch's stubs leave this overload of Module.to out.
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        inputs = tuple(t.contiguous(memory_format=torch.channels_last) if t.ndim == 4 else t for t in inputs)
    return model, inputs


@contextmanager
def torch_threads(n: int) -> Iterator[None]:
    """Let torch compute on so many threads.

    Raises:
        ValueError: ``n`` is below 1 or above the number of cores.
    """
    require_at_least_one(threads=n)
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
    require_one_of(RUNTIMES, runtime=runtime)
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
    with _deprecations_ignored():
        traced = torch.jit.freeze(torch.jit.trace(model, inputs))
    return _from_file(functools.partial(torch.jit.save, traced), torch.jit.load, inputs)


def _export(model: nn.Module, inputs: Inputs, threads: int) -> Callable[[], Call]:
    save = functools.partial(torch.export.save, torch.export.export(model, inputs))
    return _from_file(save, lambda file: torch.export.load(file).module(), inputs)


def _from_file(
    save: Callable[[io.BytesIO], object], load: Callable[[io.BytesIO], nn.Module], inputs: Inputs
) -> Callable[[], Call]:
    file = io.BytesIO()
    with _deprecations_ignored():
        save(file)

    def loaded() -> Call:
        file.seek(0)
        with _deprecations_ignored():
            module = load(file)
        return lambda: module(*inputs)

    return loaded


def _onnxruntime(model: nn.Module, inputs: Inputs, threads: int) -> Callable[[], Call]:
    if any(tensor.device.type != "cpu" or tensor.dtype == torch.bfloat16 for tensor in inputs):
        kinds = ", ".join(f"{tensor.dtype} on {tensor.device}" for tensor in inputs)
        raise ValueError(f"`runtime` onnxruntime takes inputs of numpy's types on the CPU, but has {kinds}")
    file = onnx_file(model, inputs)
    return lambda: onnx_call(file, inputs, threads)


def onnx_file(model: nn.Module, inputs: Inputs, *, any_batch: bool = False) -> bytes:
    """Export a model for ONNX Runtime.

    Args:
        model: The network, in evaluation mode.
        inputs: The inputs of one forward pass, on the CPU.
        any_batch: Whether the file takes batches of any size; else of that of the inputs.

    Raises:
        ImportError: onnx is not installed.
    """
    _require_onnx()
    file = io.BytesIO()
    names = [f"input_{number}" for number in range(1, len(inputs) + 1)]
    free = {name: {0: "n"} for name in [*names, "output"]} if any_batch else None
    # Deprecations, and what the tracing of GroupNorm, of one shape, takes for a danger.
    with warnings.catch_warnings(action="ignore"):
        # The exporter by tracing: ten times quicker than the new one, and without onnxscript.
        torch.onnx.export(
            model,
            inputs,
            file,  # type: ignore[arg-type]
            dynamo=False,
            input_names=names,
            output_names=["output"],
            dynamic_axes=free,
        )
    return file.getvalue()


def onnx_call(file: bytes, inputs: Inputs, threads: int) -> Call:
    """Load a file into ONNX Runtime, and return a call of one forward pass, which gives a list of arrays.

    Args:
        file: The bytes of a model in the format ONNX.
        inputs: The inputs of each call, on the CPU.
        threads: Number of threads of one forward pass.

    Raises:
        ImportError: onnxruntime is not installed.
    """
    session = onnx_session(file, threads)
    feed = {put.name: tensor.numpy() for put, tensor in zip(session.get_inputs(), inputs, strict=True)}
    return lambda: session.run(None, feed)


def onnx_session(file: bytes, threads: int) -> "InferenceSession":
    """Load a file into ONNX Runtime on the CPU; arguments and errors as for ``onnx_call``."""
    _require_onnx()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # it would slow the reference
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def _require_onnx() -> None:
    try:
        import onnx  # noqa: F401 - torch's exporter needs it
        import onnxruntime  # noqa: F401
    except ModuleNotFoundError as error:
        raise ImportError(
            f"The runtime onnxruntime needs {error.name!r}, but there is no such module: {to_install('onnx')}"
        ) from error


RUNTIMES: dict[str, Callable[[nn.Module, Inputs, int], Callable[[], Call]]] = {
    "torch": _torch,
    "torch.compile": _compile,
    "torchscript": _torchscript,
    "torch.export": _export,
    "onnxruntime": _onnxruntime,
}

"""A trained network as the file that is deployed, in one precision, run by ONNX Runtime on one thread of the CPU."""

import copy
import logging
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool1d

from evo_moo.evaluation.slots import yield_to_measurements
from evo_moo.toolkit.checks import require_one_of
from evo_moo.toolkit.compression.choices import PRECISIONS
from evo_moo.toolkit.latency import Effort, Latency, measure_latency
from evo_moo.toolkit.reference_workload import torch_reference
from evo_moo.toolkit.runtimes import onnx_call, onnx_file, onnx_session, torch_threads
from evo_moo.toolkit.training import inference

if TYPE_CHECKING:
    from onnx import ModelProto

_DENSE = ["Gemm", "MatMul"]
_MOVING = ["AveragePool", "Clip", "Flatten", "MaxPool", "Relu", "Reshape", "Squeeze", "Transpose", "Unsqueeze"]
_STATIC = ["Conv", *_DENSE, *_MOVING]
"""What int8 makes faster, and what passes its results on; sums, norms and other activations stay float32."""

_CALIBRATION_BATCH = 64


@dataclass(frozen=True)
class ServedModel:
    """What is deployed.

    Attributes:
        file: The bytes of the model, in the format ONNX.
    """

    file: bytes

    @property
    def size_on_disk_mb(self) -> float:
        """Size of the file, in megabytes of 10^6 bytes."""
        return len(self.file) / 1e6

    @property
    def size_compressed_mb(self) -> float:
        """Size of the file as a download, compressed by deflate as gzip and zip do: there zeros take no place."""
        return len(zlib.compress(self.file, 9)) / 1e6

    def predict(self, X: Tensor, batch_size: int = 1024) -> Tensor:
        """Return the outputs for inputs ``(n, ...)`` on the CPU, such as logits ``(n, n_classes)``."""
        session = onnx_session(self.file, 1)
        (put,) = session.get_inputs()
        outputs = []
        for inputs in torch.split(X, batch_size):
            yield_to_measurements()
            outputs.append(torch.from_numpy(session.run(None, {put.name: inputs.cpu().numpy()})[0]))
        return torch.cat(outputs)

    def latency(self, batch: Tensor, *, effort: Effort | None = None) -> Latency:
        """Measure one forward pass of a batch, in this host's measurement slot, as ``model_latency`` does."""
        cpu = torch.device("cpu")
        with torch_threads(1):
            call = onnx_call(self.file, (batch.to(cpu),), 1)
            return measure_latency(call, effort=effort, reference=torch_reference(cpu, 1), batch_size=len(batch))


def served_model(network: nn.Module, precision: str, samples: Tensor) -> ServedModel:
    """Export a network in one precision.

    ``"int8"`` is ONNX Runtime's static quantization: weights by channel, activations by the ranges that they have on
    the samples. Weights take 7 of 8 bits, since x86 processors without VNNI saturate sums of products of 8 bits; so
    every processor gives the same accuracy. ``"int8_dynamic"`` quantizes dense layers only, whose activations' ranges
    are found at each call. ``"float16"`` halves the file; where a processor has no kernels for it, as x86 has not, ONNX
    Runtime computes with float32 in between, which takes longer. ONNX Runtime's CPU kernels know no bfloat16.

    Args:
        network: The network; it stays as it is.
        precision: One of ``PRECISIONS``.
        samples: Inputs ``(n, ...)`` by which ``"int8"`` is calibrated, such as some hundred of the training images.

    Raises:
        ValueError: There is no such precision.
        ImportError: onnx or onnxruntime is not installed.
    """
    require_one_of(PRECISIONS, precision=precision)
    cpu, example = copy.deepcopy(network).cpu(), samples[:2].cpu()
    with inference(cpu):
        file = onnx_file(_with_pools_of_onnx(cpu, example), (example,), any_batch=True)
    if precision == "float32":
        return ServedModel(file)
    import onnx

    model = onnx.load_from_string(file)
    if precision == "float16":
        from onnxruntime.transformers.float16 import convert_float_to_float16

        return ServedModel(convert_float_to_float16(model, keep_io_types=True).SerializeToString())
    return ServedModel(_int8(model, samples.cpu() if precision == "int8" else None))


def _int8(model: "ModelProto", samples: Tensor | None) -> bytes:
    """Quantize a model, statically where there are samples; the quantizers read and write files."""
    from onnxruntime.quantization import QuantType, quantize_dynamic, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    put = model.graph.input[0].name
    with tempfile.TemporaryDirectory() as name, _silent_root_logger():
        prepared, done = Path(name) / "prepared.onnx", Path(name) / "int8.onnx"
        quant_pre_process(model, prepared, skip_symbolic_shape=True)
        if samples is None:
            quantize_dynamic(prepared, done, op_types_to_quantize=_DENSE, per_channel=True, reduce_range=True)
        else:
            quantize_static(
                prepared,
                done,
                _Samples(put, samples),
                op_types_to_quantize=_STATIC,
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        return done.read_bytes()


@contextmanager
def _silent_root_logger() -> Iterator[None]:
    """Drop what is logged without a logger of its own, as the quantizers do: it adds a handler for good."""
    root, handler = logging.getLogger(), logging.NullHandler()
    root.addHandler(handler)
    root.addFilter(_none)
    try:
        yield
    finally:
        root.removeFilter(_none)
        root.removeHandler(handler)


def _none(record: logging.LogRecord) -> bool:
    return False


class _AveragePool(nn.Module):
    """Averages over a grid of areas as ``AdaptiveAvgPool2d`` does, by two products of matrices."""

    rows: Tensor
    columns: Tensor

    def __init__(self, size: Sequence[int], grid: Sequence[int]) -> None:
        super().__init__()
        for name, n, n_areas in zip(("rows", "columns"), size, grid, strict=True):
            self.register_buffer(name, adaptive_avg_pool1d(torch.eye(n), n_areas))

    def forward(self, x: Tensor) -> Tensor:
        """Return the averages, ``(n, channels, *grid)``, of ``(n, channels, *size)``."""
        averages: Tensor = self.rows.T @ x @ self.columns
        return averages


def _with_pools_of_onnx(network: nn.Module, example: Tensor) -> nn.Module:
    """Replace each pool, in place, whose areas overlap, as those of 4 out of 7 pixels do: ONNX has none."""
    sizes: dict[nn.Module, tuple[Sequence[int], Sequence[int]]] = {}

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        sizes[module] = inputs[0].shape[2:], output.shape[2:]

    pools = [module for module in network.modules() if isinstance(module, nn.AdaptiveAvgPool2d)]
    hooks = [pool.register_forward_hook(note) for pool in pools]
    network(example)
    for hook in hooks:
        hook.remove()
    for parent in list(network.modules()):
        for name, module in list(parent.named_children()):
            size, grid = sizes.get(module, ((), ()))
            if any(n % n_areas for n, n_areas in zip(size, grid, strict=True)):
                setattr(parent, name, _AveragePool(size, grid))
    return network


class _Samples:
    """What ONNX Runtime's calibration reads, batch by batch."""

    def __init__(self, name: str, samples: Tensor) -> None:
        self._batches = iter([{name: batch.numpy()} for batch in samples.split(_CALIBRATION_BATCH)])

    def get_next(self) -> dict[str, Any] | None:
        yield_to_measurements()
        return next(self._batches, None)

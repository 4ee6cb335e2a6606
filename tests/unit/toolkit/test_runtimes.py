import shutil
import sys

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from evo_moo.toolkit.latency import Effort, model_latency  # noqa: E402
from evo_moo.toolkit.runtimes import RUNTIMES, batch_of, converted, loader  # noqa: E402
from evo_moo.toolkit.training import inference  # noqa: E402

QUICK = Effort(warmup_s=0.01, min_blocks=6, max_blocks=6, block_ms=0)
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EVO_MOO_SLOT_DIR", str(tmp_path))
    monkeypatch.setenv("EVO_MOO_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("evo_moo.toolkit.reference_workload.CALIBRATION_S", 0.01)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 3)
    )


class TwoInputs(nn.Module):
    def forward(self, x, y):
        return x @ y


def needs(runtime):
    if runtime == "onnxruntime":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnx")
    if runtime == "torch.compile" and not (shutil.which("g++") or shutil.which("c++")):
        pytest.skip("torch.compile needs a C++ compiler")


@pytest.mark.parametrize(
    "runtime", [pytest.param(name, marks=pytest.mark.slow if name == "torch.compile" else ()) for name in RUNTIMES]
)
def test_every_runtime_computes_what_the_model_does(network, runtime):
    needs(runtime)
    batch = torch.randn(5, 1, 8, 8)
    with inference(network):
        expected = network(batch)
        result = loader(runtime, network, (batch,), 1)()()
    result = torch.as_tensor(result[0] if isinstance(result, list) else result)
    assert torch.allclose(result, expected, atol=1e-5)


@pytest.mark.parametrize("runtime", [name for name in RUNTIMES if name != "torch.compile"])
def test_runtime_is_measured_and_leaves_the_model_unchanged(network, runtime):
    needs(runtime)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    result = model_latency(network, torch.randn(2, 1, 8, 8), runtime=runtime, effort=QUICK)
    assert result.corrected_ms > 0 and result.cold_start_ms > 0 and result.batch_size == 2
    assert network.training and network[3].training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("runtime", ["torch", "torchscript", "torch.export", "onnxruntime"])
def test_several_inputs(runtime):
    needs(runtime)
    example = (torch.ones(2, 3), torch.ones(3, 4))
    assert model_latency(TwoInputs(), example, runtime=runtime, effort=QUICK).batch_size == 2


def test_many_models_of_one_class_are_all_compiled():
    needs("torch.compile")
    seen = []

    def backend(graph, inputs):
        seen.append(graph)
        return graph.forward

    def compiled(model):
        return torch._dynamo.optimize(backend)(model)

    for n in range(1, 11):
        model = nn.Sequential(nn.Linear(n, 1))
        with pytest.MonkeyPatch.context() as patch, inference(model):
            patch.setattr(torch, "compile", lambda model, dynamic: compiled(model))
            loader("torch.compile", model, (torch.ones(1, n),), 1)()()
    assert len(seen) == 10


def test_type_memory_format_and_batch(network):
    (batch,) = batch_of((torch.arange(8.0).reshape(2, 1, 2, 2),), 3)
    assert torch.equal(batch, torch.arange(4.0).reshape(1, 1, 2, 2).repeat(3, 1, 1, 1))
    changed, (images, labels) = converted(
        network, (torch.ones(2, 3, 8, 8), torch.ones(2, dtype=torch.int64)), CPU, torch.bfloat16, True
    )
    assert images.dtype == changed[0].weight.dtype == torch.bfloat16 and labels.dtype == torch.int64
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert network[0].weight.dtype == torch.float32
    assert converted(network, (batch,), CPU, None, False) == (network, (batch,))


def test_a_model_is_measured_in_another_type_and_format(network):
    batch = torch.ones(2, 1, 8, 8)
    result = model_latency(network, batch, dtype=torch.bfloat16, channels_last=True, effort=QUICK)
    assert result.median_ms > 0 and network[0].weight.dtype == torch.float32


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a host without a GPU")
@pytest.mark.parametrize("device", ["cuda", "nonsense"])
def test_a_device_that_is_not_there_is_refused(network, device):
    with pytest.raises(ValueError, match=f"`device` must be one that torch can use here, but is '{device}'"):
        model_latency(network, torch.ones(1, 1, 8, 8), device=device)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("example_device", ["cpu", "cuda"])
def test_a_gpu_is_measured_by_events(network, example_device):
    example = torch.ones(2, 1, 8, 8, device=example_device)
    assert model_latency(network, example, device="cuda", effort=QUICK).corrected_ms > 0


def test_an_unknown_runtime_is_refused(network):
    with pytest.raises(ValueError, match=r"`runtime` must be one of torch, .*, but is 'tensorrt'"):
        model_latency(network, torch.ones(1, 1, 8, 8), runtime="tensorrt")


def test_onnxruntime_refuses_what_numpy_has_no_type_for(network):
    with pytest.raises(ValueError, match=r"takes inputs of numpy's types on the CPU, but has torch\.bfloat16 on cpu"):
        model_latency(network, torch.ones(1, 1, 8, 8), runtime="onnxruntime", dtype=torch.bfloat16)


@pytest.mark.parametrize("module", ["onnx", "onnxruntime"])
def test_a_missing_extra_is_named_with_the_way_out(network, monkeypatch, module):
    needs("onnxruntime")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"needs '{module}', .*pip install 'onnx"):
        model_latency(network, torch.ones(1, 1, 8, 8), runtime="onnxruntime")

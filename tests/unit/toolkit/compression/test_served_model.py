import logging
import sys

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
from onnxruntime.quantization import quantize_static  # noqa: E402, F401 - the module of that name
from torch import nn  # noqa: E402

from evo_moo.toolkit.compression.choices import PRECISIONS  # noqa: E402
from evo_moo.toolkit.compression.pruning import keep_zeros, zero_weights  # noqa: E402
from evo_moo.toolkit.compression.served_model import served_model  # noqa: E402
from evo_moo.toolkit.latency import Effort  # noqa: E402
from evo_moo.toolkit.networks import BLOCKS, NORMS, conv_block  # noqa: E402
from evo_moo.toolkit.training import predict  # noqa: E402

QUICK = Effort(warmup_s=0.01, min_blocks=6, max_blocks=6, block_ms=0)


def network_of(block="plain", norm="batch", activation=nn.ReLU):
    torch.manual_seed(0)
    first = conv_block(block, 1, 16, 3, stride=1, norm=norm, activation=activation)
    return nn.Sequential(first, nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(144, 64), nn.ReLU(), nn.Linear(64, 4))


@pytest.fixture(scope="module")
def images():
    return torch.rand(130, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("block", "norm"), list(zip(BLOCKS, NORMS, strict=True)))
def test_every_precision_serves_nearly_the_same_outputs(images, block, norm, precision, caplog):
    network = network_of(block, norm, nn.SiLU)
    expected = predict(network, images)
    outputs = served_model(network, precision, images).predict(images, batch_size=50)
    error = (outputs - expected).abs().max() / expected.std()
    assert outputs.shape == (130, 4) and error < {"float32": 1e-4, "float16": 0.03}.get(precision, 0.6)
    assert network.training and not caplog.records


def test_the_quantizer_leaves_logging_as_it_is(images, caplog, monkeypatch):
    root = logging.getLogger()
    handlers, filters = list(root.handlers), list(root.filters)
    module = sys.modules["onnxruntime.quantization.quantize"]
    calibrated = module.create_calibrator
    monkeypatch.setattr(module, "create_calibrator", lambda *a, **k: logging.warning("loud") or calibrated(*a, **k))
    served_model(network_of(), "int8", images)
    assert not caplog.records and (root.handlers, root.filters) == (handlers, filters)


def test_files_shrink_with_the_precision(images):
    sizes = {name: served_model(network_of(), name, images).size_on_disk_mb for name in PRECISIONS}
    assert sizes["float32"] > sizes["float16"] > sizes["int8"]
    assert sizes["float32"] > sizes["int8_dynamic"]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_same_network_gives_the_same_file(images, precision):
    assert served_model(network_of(), precision, images) == served_model(network_of(), precision, images)


def test_zeros_shrink_the_download_alone(images):
    network = network_of()
    plain = served_model(network, "float32", images)
    zero_weights(network, 0.8)
    keep_zeros(network)
    sparse = served_model(network, "float32", images)
    assert sparse.size_on_disk_mb == plain.size_on_disk_mb
    assert sparse.size_compressed_mb < 0.6 * plain.size_compressed_mb


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_served_model_is_measured(images, precision, tmp_path, monkeypatch):
    monkeypatch.setenv("EVO_MOO_SLOT_DIR", str(tmp_path))
    monkeypatch.setenv("EVO_MOO_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("evo_moo.toolkit.reference_workload.CALIBRATION_S", 0.01)
    latency = served_model(network_of(), precision, images).latency(images[:5], effort=QUICK)
    assert latency.corrected_ms > 0 and latency.batch_size == 5


def test_an_unknown_precision_is_refused(images):
    with pytest.raises(ValueError, match=r"`precision` must be one of float32, .*, but is 'int4'"):
        served_model(network_of(), "int4", images)

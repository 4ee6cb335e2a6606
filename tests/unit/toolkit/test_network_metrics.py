import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from evo_moo.toolkit.network_metrics import (  # noqa: E402
    calibration_error,
    count_flops,
    count_parameters,
    peak_memory_mb,
    size_on_disk_mb,
)

NETWORK = nn.Sequential(
    nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 8 * 8, 10)
)
N_PARAMETERS = (4 * 9 + 4) + (4 + 4) + (256 * 10 + 10)
N_STATISTICS = 4 + 4


def test_parameters_are_those_of_a_hand_count():
    n_parameters = count_parameters(NETWORK)
    assert n_parameters == N_PARAMETERS and type(n_parameters) is int


def test_frozen_and_shared_parameters():
    layer = nn.Linear(3, 3)
    assert count_parameters(nn.Sequential(layer, layer)) == 12
    layer.bias.requires_grad = False
    assert count_parameters(layer) == 9


@pytest.mark.parametrize("batch", [1, 3])
def test_flops_are_those_of_a_hand_count(batch, capsys):
    flops = count_flops(NETWORK, torch.zeros(batch, 1, 8, 8))
    assert flops == batch * 2 * (8 * 8 * 9 * 4 + 256 * 10) and type(flops) is int
    assert NETWORK.training
    assert capsys.readouterr().out == ""


def test_peak_memory_is_that_of_a_hand_count():
    network = nn.Sequential(nn.Linear(1000, 2000, bias=False), nn.ReLU(), nn.Linear(2000, 10, bias=False))
    weights, inputs, hidden = 1000 * 2000 + 2000 * 10, 5 * 1000, 5 * 2000
    example = torch.zeros(5, 1000)
    for _ in range(2):
        assert peak_memory_mb(network, example) == pytest.approx(4 * (weights + inputs + 2 * hidden) / 1e6)
    assert network.training


def test_views_and_results_in_place_take_no_memory():
    network = nn.Sequential(nn.Flatten(), nn.ReLU(inplace=True), nn.Unflatten(1, (10, 10)))
    assert peak_memory_mb(network, torch.zeros(5, 100)) == pytest.approx(4 * 500 / 1e6)


def test_the_peak_is_where_most_is_alive():
    class Branches(nn.Module):
        def forward(self, x):
            first = x + 1
            second = torch.cat([x, x])
            return first.sum() + second.sum()

    assert peak_memory_mb(Branches(), torch.zeros(1000)) == pytest.approx(4 * (1000 + 1000 + 2000 + 2) / 1e6, rel=1e-3)


def test_the_size_on_disk_is_that_of_the_saved_weights(tmp_path):
    torch.save(NETWORK.state_dict(), tmp_path / "weights.pt")
    assert size_on_disk_mb(NETWORK) == pytest.approx((tmp_path / "weights.pt").stat().st_size / 1e6, rel=0.05)
    assert size_on_disk_mb(NETWORK) > 4 * (N_PARAMETERS + N_STATISTICS) / 1e6


@pytest.mark.parametrize(
    ("n", "n_classes", "sharpness", "n_bins"), [(500, 10, 3.0, 15), (300, 2, 0.5, 10), (5, 3, 9, 15)]
)
def test_the_calibration_error_is_that_of_scikit_learns_curve(n, n_classes, sharpness, n_bins):
    import numpy as np
    from sklearn.calibration import calibration_curve

    draw = torch.Generator().manual_seed(n)
    logits = sharpness * torch.randn(n, n_classes, generator=draw)
    labels = torch.where(torch.rand(n, generator=draw) < 0.6, logits.argmax(1), torch.zeros(n, dtype=torch.long))
    confidence, predicted = (t.numpy() for t in logits.double().softmax(1).max(1))
    right = predicted == labels.numpy()
    shares, means = calibration_curve(right, confidence, n_bins=n_bins)
    counts = np.histogram(confidence, n_bins, (0, 1))[0]
    expected = np.sum(counts[counts > 0] / n * np.abs(shares - means))
    assert calibration_error(logits, labels, n_bins) == pytest.approx(expected, abs=1e-12)


def test_the_calibration_error_of_hand_made_predictions():
    sure = torch.tensor([[0.0, 50.0], [0.0, 50.0], [0.0, 50.0], [0.0, 50.0]])
    assert calibration_error(sure, torch.tensor([1, 1, 1, 1])) == pytest.approx(0)
    assert calibration_error(sure, torch.tensor([1, 0, 0, 0])) == pytest.approx(0.75)
    assert calibration_error(torch.zeros(4, 2), torch.tensor([0, 0, 1, 1])) == pytest.approx(0)

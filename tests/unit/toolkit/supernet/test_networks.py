import pytest

torch = pytest.importorskip("torch")

from evo_moo.toolkit.supernet.networks import plain_network, recalibrated  # noqa: E402
from tests.unit.toolkit.supernet.small import NETWORKS, SPACE, images  # noqa: E402


@pytest.mark.parametrize("config", NETWORKS)
def test_a_plain_network_reads_images(config):
    assert plain_network(SPACE, config)(images(5)).shape == (5, 3)


def test_recalibration_forgets_earlier_statistics():
    network, x = plain_network(SPACE, NETWORKS[1]), images(32)
    weights = [parameter.clone() for parameter in network.parameters()]
    means = []
    for earlier in (1, 5):
        network.train()
        network(earlier + images(64, seed=earlier))
        means.append(recalibrated(network, x).norm_1.running_mean.clone())
    assert torch.equal(*means)
    assert all(torch.equal(*pair) for pair in zip(weights, network.parameters(), strict=True))
    assert network.norm_1.momentum == 0.1

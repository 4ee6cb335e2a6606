import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torch_pruning")
from torch import nn  # noqa: E402

from evo_moo.toolkit.compression.choices import n_kept  # noqa: E402
from evo_moo.toolkit.compression.pruning import keep_zeros, without_channels, zero_weights  # noqa: E402
from evo_moo.toolkit.network_metrics import count_flops, count_parameters  # noqa: E402
from evo_moo.toolkit.networks import BLOCKS, NORMS, conv_block  # noqa: E402

IMAGES = torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(0))


def network_of(block="plain", norm="batch", widths=(16, 12), seed=0):
    torch.manual_seed(seed)
    layers, channels = [], 3
    for width in widths:
        layers.append(conv_block(block, channels, width, 3, stride=1, norm=norm, activation=nn.ReLU))
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * channels, 8), nn.Linear(8, 5))


def shapes(network):
    return [tuple(parameter.shape) for parameter in network.parameters()]


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("norm", NORMS)
def test_pruned_network_works_and_is_smaller(block, norm):
    network = network_of(block, norm)
    before = shapes(network)
    sizes = [(count_parameters(network), count_flops(network, IMAGES))]
    for share in (0.3, 0.6, 0.95):
        smaller = without_channels(network, IMAGES, share)
        assert smaller(IMAGES).shape == (2, 5) and smaller.training
        sizes.append((count_parameters(smaller), count_flops(smaller, IMAGES)))
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] < sizes[0] and shapes(network) == before


@pytest.mark.parametrize("block", BLOCKS)
def test_pruned_shape_depends_on_the_architecture_alone(block):
    one, other = (without_channels(network_of(block, seed=seed), IMAGES, 0.4) for seed in (1, 2))
    assert shapes(one) == shapes(other)


def test_each_layer_keeps_its_share_of_channels():
    for share in (0.1, 0.3, 0.5, 0.9, 0.99):
        smaller = without_channels(network_of(widths=(44, 6)), IMAGES, share)
        kept = [layer.out_channels for layer in smaller.modules() if isinstance(layer, nn.Conv2d)]
        assert kept == [n_kept(44, share), n_kept(6, share)]


def test_channels_are_kept_in_multiples_that_runtimes_like():
    assert [n_kept(n, 0.3) for n in (6, 8, 16, 22, 32, 64, 100)] == [4, 4, 12, 16, 24, 48, 72]
    assert n_kept(10, 0.9) == 4 and n_kept(3, 0.99) == 1 and n_kept(33, 0.99) == 8
    for n in range(1, 70):
        assert n_kept(n, 0.0) == n and all(0 < n_kept(n, share) <= n for share in (0.01, 0.5, 0.99))
    for n_parts in (2, 3, 8):
        assert all(n_kept(n * n_parts, 0.4, n_parts) % n_parts == 0 for n in range(1, 20))


def test_the_strongest_channels_stay():
    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        network[0].weight[:] = torch.tensor([[0.1], [5.0], [0.2], [7.0]])
        network[2].weight[:] = 1.0
    smaller = without_channels(network, torch.ones(1, 3), 0.5)
    assert torch.equal(smaller[0].weight[:, 0], torch.tensor([5.0, 7.0]))


def test_nothing_is_pruned_by_a_share_of_none():
    network = network_of()
    same = without_channels(network, IMAGES, 0.0)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), same.parameters(), strict=True))
    assert same is not network


def test_a_network_without_a_channel_to_spare_is_refused():
    with pytest.raises(ValueError, match="no layer has a channel that can go"):
        without_channels(network_of(norm="group", widths=(8,))[:3], IMAGES, 0.5)


def test_zeros_stay_zero_while_the_rest_learns():
    network = network_of()
    before = count_parameters(network)
    zero_weights(network, 0.6)
    steps = torch.optim.SGD(network.parameters(), lr=0.1)
    torch.autograd.backward(network(IMAGES).square().sum())
    steps.step()
    keep_zeros(network)
    weights = [m.weight.detach().numpy() for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    n, n_zero = (sum(f(w) for w in weights) for f in (np.size, lambda w: (w == 0).sum()))
    assert n_zero / n == pytest.approx(0.6, abs=0.01)
    assert count_parameters(network) == before and "weight" in dict(network[-1].named_parameters())

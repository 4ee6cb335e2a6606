import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from evo_moo.errors import MetricError
from evo_moo.toolkit.devices.device import Device
from evo_moo.toolkit.devices.latency_net import as_tensor, features_of, train_latency_net

RNG = np.random.default_rng(0)
ONE_HOTS = np.eye(3)[RNG.integers(0, 3, (300, 4))].reshape(300, 12)
COSTS = RNG.gamma(1.0, 1.0, (12, 7))
LATENCIES = 1 + ONE_HOTS @ COSTS
DEVICES = [Device(f"d{i}", LATENCIES[:10, i]) for i in range(7)]
UNSEEN_MS = 2 * LATENCIES @ [0.3, 0, 0.5, 0, 0.2, 0, 0]
UNSEEN = Device("unseen", UNSEEN_MS[:10])


@pytest.fixture(scope="module")
def net():
    return train_latency_net(ONE_HOTS, LATENCIES, DEVICES, steps=600)


def test_an_unseen_device_is_ranked_and_in_its_milliseconds(net):
    predicted = net.predict_ms(ONE_HOTS, UNSEEN)
    assert spearmanr(predicted, UNSEEN_MS).statistic > 0.9
    assert np.median(np.abs(predicted / UNSEEN_MS - 1)) < 0.15


def test_a_tuned_copy_knows_the_references_better(net):
    tuned = net.tuned(ONE_HOTS[:10], UNSEEN)
    errors = [np.abs(each.predict_ms(ONE_HOTS[:10], UNSEEN) - UNSEEN_MS[:10]).max() for each in (net, tuned)]
    assert errors[1] < errors[0]


def test_soft_one_hots_have_a_gradient_and_the_net_is_frozen(net):
    soft = as_tensor(ONE_HOTS[:5]).mul(0.9).requires_grad_()
    net(soft, features_of(UNSEEN)).sum().backward()
    assert soft.grad.abs().min(dim=1).values.max() > 0
    assert not any(parameter.requires_grad for parameter in net.parameters())


def test_the_seed_decides_the_net_and_no_other_draw():
    torch.manual_seed(1)
    before = torch.rand(1)
    torch.manual_seed(1)
    nets = [train_latency_net(ONE_HOTS, LATENCIES, DEVICES, seed=seed, steps=3) for seed in (1, 1, 2)]
    assert torch.rand(1) == before
    first, same, other = (each.predict_ms(ONE_HOTS[:5], UNSEEN) for each in nets)
    assert (first == same).all() and (first != other).all()


def test_latencies_may_be_known_on_some_devices_only():
    partly = LATENCIES.copy()
    partly[:150, 0] = partly[150:, 1] = np.nan
    net = train_latency_net(ONE_HOTS, partly, DEVICES, steps=30)
    assert np.isfinite(net.predict_ms(ONE_HOTS, UNSEEN)).all()


def test_devices_without_latencies_are_refused():
    nothing = LATENCIES.copy()
    nothing[:, 2] = np.nan
    with pytest.raises(MetricError, match="every device must have a latency to learn from, but d2 has none"):
        train_latency_net(ONE_HOTS, nothing, DEVICES)
    with pytest.raises(MetricError, match="must learn from at least one device"):
        train_latency_net(ONE_HOTS, LATENCIES[:, :0], [])

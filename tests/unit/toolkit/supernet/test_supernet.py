import pytest

torch = pytest.importorskip("torch")

from evo_moo.toolkit.supernet.supernet import Supernet  # noqa: E402
from tests.unit.toolkit.supernet.small import NETWORKS, SPACE, images, one_hots_of  # noqa: E402


@pytest.fixture
def supernet():
    torch.manual_seed(0)
    return Supernet(SPACE)


@pytest.mark.parametrize("config", NETWORKS)
def test_supernet_at_a_one_hot_is_that_network(supernet, config):
    x = images(16)
    torch.testing.assert_close(supernet(x, one_hots_of(config)), supernet.sampled(x, config)[-1])


@pytest.mark.parametrize("config", NETWORKS)
def test_inherited_network_equals_the_supernet(supernet, config):
    x = images(16)
    network = supernet.inherited(config, x, batch_size=16)
    for norm in (module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)):
        assert norm.num_batches_tracked == 1
    network.train()  # with the statistics of the batch, as the supernet has them
    torch.testing.assert_close(network(x), supernet.sampled(x, config)[-1])


def test_slices_are_views_of_the_shared_weights(supernet):
    (small, large) = (supernet.weights(NETWORKS[2] | {"kernel_1": k})["conv_1.weight"] for k in (1, 5))
    assert small.shape == (2, 1, 1, 1) and large.shape == (2, 1, 5, 5)
    with torch.no_grad():
        small.fill_(7.0)
    assert (large[:, :, 2, 2] == 7).all() and (supernet.kernels[0][:2, :, 2, 2] == 7).all()
    assert not (supernet.kernels[0][2:, :, 2, 2] == 7).any()


def test_an_inherited_network_is_a_copy(supernet):
    before = supernet.kernels[0].detach().clone()
    network = supernet.inherited(NETWORKS[2], images(16))
    with torch.no_grad():
        network.conv_1.weight.zero_()
    assert torch.equal(supernet.kernels[0], before)


def test_the_gradient_of_soft_one_hots_is_the_finite_difference(supernet):
    supernet, x = supernet.double(), images(8).double()
    torch.manual_seed(1)
    soft = torch.cat([torch.rand(len(o)).softmax(0) for o in SPACE.decisions.values()]).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: supernet(x, z), soft)


def test_every_decision_has_a_gradient_at_a_one_hot(supernet):
    one_hots = one_hots_of(NETWORKS[1]).requires_grad_()
    supernet(images(16), one_hots).square().sum().backward()
    assert (one_hots.grad != 0).all()


def test_depths_on_the_way_are_the_shallower_networks(supernet):
    x, config = images(16), NETWORKS[1]
    shallow, _ = supernet.sampled(x, config)
    torch.testing.assert_close(shallow, supernet.sampled(x, config | {"depth": 1})[-1])


def test_running_statistics_are_those_of_the_network_itself(supernet):
    x = images(32)
    network = supernet.inherited(NETWORKS[2], x, batch_size=16)
    seen = network.conv_1(network.pool(x))
    torch.testing.assert_close(network.norm_1.running_mean, seen.mean((0, 2, 3)))
    assert not network.training

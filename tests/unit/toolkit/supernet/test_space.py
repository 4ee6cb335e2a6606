import numpy as np
import pytest

pytest.importorskip("torch")

from evo_moo.space import SearchSpace
from evo_moo.toolkit.network_metrics import count_flops, count_parameters
from evo_moo.toolkit.supernet.networks import plain_network
from evo_moo.toolkit.supernet.space import ElasticSpace
from tests.unit.toolkit.supernet.small import SPACE, images


def test_decisions_follow_one_another_layer_by_layer():
    assert list(SPACE.decisions)[:5] == ["pool", "depth", "kernel_1", "width_1", "activation_1"]
    assert list(SPACE.variables) == list(SPACE.decisions)


def test_default_space_is_larger_than_can_be_enumerated():
    space = ElasticSpace()
    of_layer = len(space.widths) * len(space.kernels) * len(space.activations)
    assert len(space.pools) * sum(of_layer**depth for depth in range(1, space.depth + 1)) > 10**6


@pytest.mark.parametrize("seed", range(5))
def test_counts_are_those_of_the_plain_network(seed):
    space = SearchSpace(SPACE.variables)
    (config,) = space.decode(space.sample(1, np.random.default_rng(seed)))
    network = plain_network(SPACE, config)
    assert SPACE.n_params(config) == count_parameters(network)
    assert 2 * sum(SPACE.macs(config)) == count_flops(network, images(1))

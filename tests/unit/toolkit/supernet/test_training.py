import numpy as np
import pytest

torch = pytest.importorskip("torch")

from evo_moo.toolkit.supernet.training import Settings, drawn, inherited_score, train_supernet  # noqa: E402
from tests.unit.toolkit.supernet.small import NETWORKS, SPACE, images  # noqa: E402

SETTINGS = Settings(epochs=10, batch_size=32)


@pytest.fixture(scope="module")
def data():
    """Stripes across, stripes down, and noise."""
    X, y = 0.3 * images(300), torch.arange(300) % 3
    X[y == 0] += torch.tensor([1.0, -1.0]).repeat(4)
    X[y == 1] += torch.tensor([1.0, -1.0]).repeat(4)[:, None]
    return X, y


@pytest.fixture(scope="module")
def supernet(data):
    return train_supernet(SPACE, data, SETTINGS, seed=1)


def test_training_makes_inherited_weights_useful(supernet, data):
    untrained = train_supernet(SPACE, data, Settings(epochs=0), seed=1)
    (before, _), (after, _) = (inherited_score(net, NETWORKS[2], data[0], data) for net in (untrained, supernet))
    assert before < 0.6 < 0.8 < after


def test_the_seed_decides_a_supernet(supernet, data):
    again, other = (train_supernet(SPACE, data, SETTINGS, seed=seed) for seed in (1, 2))
    first, second, third = (torch.nn.utils.parameters_to_vector(net.parameters()) for net in (supernet, again, other))
    assert torch.equal(first, second) and not torch.equal(first, third)


def test_every_option_is_drawn():
    rng = np.random.default_rng(0)
    networks = [drawn(SPACE, rng) for _ in range(100)]
    assert all({network[name] for network in networks} == set(options) for name, options in SPACE.decisions.items())


def test_a_score_is_the_same_each_time(supernet, data):
    scores = [inherited_score(supernet, NETWORKS[1], data[0], data) for _ in range(2)]
    assert scores[0] == scores[1]

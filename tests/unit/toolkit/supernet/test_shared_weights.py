import numpy as np
import pytest

torch = pytest.importorskip("torch")

from evo_moo.threads import one_thread  # noqa: E402
from evo_moo.toolkit.modnas.hypernetworks import DeviceTables  # noqa: E402
from evo_moo.toolkit.modnas.losses import RunningScaled  # noqa: E402
from evo_moo.toolkit.modnas.readout import read_out  # noqa: E402
from evo_moo.toolkit.modnas.search import Settings, search  # noqa: E402
from evo_moo.toolkit.supernet.shared_weights import SharedWeights  # noqa: E402
from evo_moo.toolkit.supernet.supernet import Supernet  # noqa: E402
from evo_moo.toolkit.supernet.training import loss_of_every_depth  # noqa: E402
from tests.unit.toolkit.supernet.small import NETWORKS, SPACE, images, one_hots_of  # noqa: E402

DATA = images(120), torch.arange(120) % 3


@pytest.fixture
def weights():
    torch.manual_seed(0)
    return SharedWeights(Supernet(SPACE), DATA, 60, seed=0, batch_size=32)


def test_decisions_are_laid_out_as_the_supernet_reads_them(weights):
    for config in NETWORKS:
        (decoded,) = weights.decisions.decode(one_hots_of(config)[None])
        assert config.items() <= decoded.items()
        assert weights.decisions.n_columns == len(one_hots_of(config))


def test_a_step_lowers_the_loss_of_what_it_trains(weights):
    one_hots = torch.stack([one_hots_of(NETWORKS[2])] * 2)
    X, y = DATA

    def loss():
        return float(loss_of_every_depth(weights.supernet, X, y, NETWORKS[2]).detach())

    with one_thread():
        before = loss()
        for _ in range(20):
            weights.train(one_hots)
        assert loss() < before


def test_layers_beyond_the_depth_are_gated_for_a_latency(weights):
    seen = []
    latency = weights.canonical(lambda one_hots, features: seen.append(one_hots) or one_hots.sum(1))
    latency(one_hots_of(NETWORKS[0])[None], torch.zeros(10))
    columns = dict(zip(SPACE.decisions, seen[0][0].split([len(o) for o in SPACE.decisions.values()]), strict=True))
    assert columns["kernel_1"].sum() == 1 and columns["kernel_2"].sum() == 0


def test_search_makes_cheap_networks_of_preferences_for_it(weights):
    n_columns, devices = weights.decisions.n_columns, torch.linspace(0, 1, 10)[None]
    widest = torch.tensor([name.startswith("width") for name, o in SPACE.decisions.items() for _ in o]).nonzero()

    def cost(one_hots, features):
        return one_hots[:, widest[1::2, 0]].mean(1)

    hypernetwork = DeviceTables(devices, n_columns, seed=0)
    settings = Settings(steps=40, warm_up=20, lr=0.1)
    losses = [RunningScaled(weights.loss), weights.canonical(cost)]
    search(hypernetwork, weights.decisions, devices, losses, settings, seed=0, train_weights=weights.train)
    X = read_out(hypernetwork, weights.decisions, devices[0], np.array([[0.02, 0.98]])).X
    (cheap,) = weights.decisions.space.decode(X)
    assert cheap["width_1"] == 2

import functools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from evo_moo.toolkit.conditioned import scores  # noqa: E402
from evo_moo.toolkit.conditioned.losses import Samples, bce, deo_count, dp_rate, robust  # noqa: E402
from evo_moo.toolkit.conditioned.networks import ConditionedMLP  # noqa: E402
from evo_moo.toolkit.conditioned.preferences import rays  # noqa: E402
from evo_moo.toolkit.conditioned.scores import dp_gap, front_of, mean_bce  # noqa: E402
from evo_moo.toolkit.conditioned.training import Judge, Settings, outputs_along, train_conditioned  # noqa: E402

DRAW = np.random.default_rng(0)
GROUP = DRAW.integers(0, 2, 600)
X = DRAW.normal(size=(600, 3)) + np.column_stack([GROUP * 1.5, np.zeros((600, 2))])
DATA = Samples(
    torch.tensor(X, dtype=torch.float32), torch.tensor((X[:, 0] + X[:, 1] > 1).astype(int)), torch.tensor(GROUP)
)
LOSSES = [bce, dp_rate]
SETTINGS = Settings(epochs=12, batch_size=100, lr=0.01)


def train(build=lambda: ConditionedMLP(3, 2, (8,)), settings=SETTINGS, seed=1, **options):
    return train_conditioned(build, DATA, LOSSES, settings, seed=seed, **options)


def test_one_training_trades_one_loss_for_the_other():
    network = train().network
    front = front_of(network.along(DATA.X, torch.tensor([[0.9, 0.1], [0.1, 0.9]])).detach(), DATA, [mean_bce, dp_gap])
    assert front[0, 0] < front[1, 0] - 0.02 and front[0, 1] > front[1, 1] + 0.02


def test_a_large_cosine_term_turns_the_published_knob_around():
    def losses_at(ends, aim):
        network = train(settings=Settings(epochs=40, batch_size=100, lr=0.01, penalty=1.0, aim=aim)).network
        return front_of(network.along(DATA.X, torch.tensor(ends)).detach(), DATA, [mean_bce])[:, 0]

    ends = [[0.9, 0.1], [0.1, 0.9]]
    first, second = losses_at(ends, "inverse")
    assert first < second  # more weight on this loss, less of it
    first, second = losses_at(ends, "preference")
    assert first > second


def test_equal_counts_make_rates_unequal_where_groups_are():
    group = torch.tensor(np.repeat([0, 0, 0, 1], 150))  # three of one group for one of the other, labels alike
    y = torch.tensor(np.tile([0, 1], 300))
    X = torch.stack([2.0 * y - 1, 2.0 * group - 1], dim=1) + 0.5 * torch.tensor(DRAW.normal(size=(600, 2)))
    samples = Samples(X.float(), y, group)
    build, settings = lambda: ConditionedMLP(2, 2, (8,)), Settings(epochs=20, batch_size=100, lr=0.02)
    network = train_conditioned(build, samples, [bce, deo_count], settings, seed=1).network
    logits = network.along(samples.X, torch.tensor([[0.9, 0.1], [0.1, 0.9]])).detach()
    counts, rates = scores.deo_count(logits, samples), scores.eo_gap(logits, samples)
    assert counts[1] < counts[0] / 2
    assert rates[1] > rates[0] + 0.2


def test_three_losses_share_one_network():
    attacked = functools.partial(robust, epsilon=0.3)
    settings = Settings(epochs=6, batch_size=100, lr=0.01)
    trained = train_conditioned(lambda: ConditionedMLP(3, 3, (8,)), DATA, [bce, dp_rate, attacked], settings, seed=1)
    outputs = outputs_along(trained.network, DATA.X, torch.tensor(rays(3), dtype=torch.float32))
    assert outputs.shape == (len(rays(3)), 600) and trained.is_alive


def test_the_seed_decides_the_weights():
    first, again, other = train(), train(), train(seed=2)
    weights, same, different = (trained.network.first.weight for trained in (first, again, other))
    assert torch.equal(weights, same) and not torch.equal(weights, different)
    assert first.spread == again.spread and first.n_passes == 12 * 600


def test_the_weights_of_the_best_epoch_are_kept():
    asked = []

    def value(outputs, samples):
        asked.append(outputs)
        return [1.0, 3.0, 3.0][len(asked) - 1]

    trained = train(judge=Judge(DATA, value))
    assert trained.judged == {5: 1.0, 10: 3.0, 12: 3.0} and trained.epoch == 10
    assert asked[0].shape == (25, 600)
    rays = torch.tensor(np.array([[0.909, 0.091]]), dtype=torch.float32)
    torch.testing.assert_close(trained.network.along(DATA.X, rays)[0], asked[1][0], atol=1e-3, rtol=0)


def test_a_network_that_ignores_the_preference_is_warned_of():
    deaf = functools.partial(ConditionedMLP, 3, 2, (8,), "none")
    with pytest.warns(UserWarning, match="outputs must depend on the preference, but differ by 0 at most"):
        assert not train(deaf).is_alive
    assert train().is_alive


def test_fixed_preferences_train_an_ordinary_network():
    ray = np.array([[0.2, 0.8]])
    trained = train(functools.partial(ConditionedMLP, 3, 2, (8,), "none"), preferences=lambda: ray[0], ray_set=ray)
    assert trained.epoch == 12 and trained.spread == 0


def test_a_training_that_diverges_ends_with_the_best_weights():
    def broken(batch):
        return bce(batch) * (float("nan") if next(steps) == 7 * 6 else 1.0)

    steps = iter(range(10**6))
    judge = Judge(DATA, lambda outputs, samples: 1.0)
    trained = train_conditioned(
        lambda: ConditionedMLP(3, 2, (8,)), DATA, [broken, dp_rate], SETTINGS, seed=1, judge=judge
    )
    assert trained.epoch == 5 and trained.n_passes == 8 * 600
    assert all(torch.isfinite(parameter).all() for parameter in trained.network.parameters())


def test_learning_rates_fall_at_the_milestones():
    frozen = train(settings=Settings(epochs=4, batch_size=100, lr=1e-2, milestones=[1, 2, 3]))
    free = train(settings=Settings(epochs=4, batch_size=100, lr=1e-2))
    one = train(settings=Settings(epochs=1, batch_size=100, lr=1e-2))
    moved, moved_free = (
        (trained.network.first.weight - one.network.first.weight).abs().max() for trained in (frozen, free)
    )
    assert 0 < moved < moved_free / 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "`epochs` must be at least 1, but is 0"),
        ({"epochs": 1, "lr": 0.0}, "`lr` must be above 0, but is 0.0"),
        ({"epochs": 1, "penalty": -1.0}, "`penalty` must be at least 0, but is -1.0"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Settings(**settings)

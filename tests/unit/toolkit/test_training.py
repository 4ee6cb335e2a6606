import math

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from evo_moo.threads import one_thread  # noqa: E402
from evo_moo.toolkit import training  # noqa: E402
from evo_moo.toolkit.training import (  # noqa: E402
    OPTIMIZERS,
    SCHEDULES,
    accuracy_and_loss,
    inference,
    lr_factor,
    predict,
    set_determinism,
    train_classifier,
)


@pytest.fixture(autouse=True)
def single_thread():
    with one_thread():
        yield


def blobs(n, seed):
    """Two classes of points around (2, 2) and (-2, -2)."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 2
    return torch.randn(n, 2, generator=generator) + 2 - 4 * y[:, None], y


TRAIN, VALIDATION = blobs(100, 0), blobs(60, 1)


def network():
    return nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))


def trained(seed=0, **options):
    set_determinism(seed)
    model = network()
    options = {"epochs": 3, "batch_size": 16, "lr": 0.02, "seed": seed} | options
    return model, train_classifier(model, TRAIN, VALIDATION, **options)


def weights(model):
    return list(model.state_dict().values())


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_reduces_the_loss(optimizer, schedule):
    _, history = trained(optimizer=optimizer, schedule=schedule, epochs=5)
    assert history.last.accuracy > 0.95
    assert history.last.train_loss < history.epochs[0].train_loss
    assert math.isfinite(history.last.train_loss)


def test_the_same_seed_gives_the_same_weights_bit_by_bit():
    (a, first), (b, second), (c, _) = trained(1), trained(1), trained(2)
    assert all(torch.equal(x, y) for x, y in zip(weights(a), weights(b), strict=True))
    assert [(e.train_loss, e.loss) for e in first.epochs] == [(e.train_loss, e.loss) for e in second.epochs]
    assert not all(torch.equal(x, y) for x, y in zip(weights(a), weights(c), strict=True))


def test_the_seed_alone_decides_the_order_of_the_samples():
    def losses(seed):
        set_determinism(0)
        model = nn.Linear(2, 2)
        history = train_classifier(model, TRAIN, VALIDATION, epochs=1, batch_size=16, lr=0.01, seed=seed)
        return history.last.loss

    assert losses(1) == losses(1) != losses(2)


@pytest.mark.parametrize(
    ("n", "batch_size", "sizes"),
    [(17, 8, [8, 9]), (17, 16, [17]), (16, 8, [8, 8]), (18, 8, [8, 8, 2]), (5, 64, [5]), (3, 1, [1, 1, 1])],
)
def test_every_sample_is_used_once_per_epoch_and_none_alone(n, batch_size, sizes):
    seen = []

    class Recorder(nn.Linear):
        def forward(self, x):
            if self.training:
                seen.append(x[:, 0].tolist())
            return super().forward(x)

    X = torch.arange(2.0 * n).reshape(n, 2)
    y = torch.arange(n) % 2
    train_classifier(Recorder(2, 2), (X, y), VALIDATION, epochs=2, batch_size=batch_size, lr=1e-3, seed=0)
    assert [len(batch) for batch in seen] == sizes * 2
    for epoch in (seen[: len(sizes)], seen[len(sizes) :]):
        assert sorted(x for batch in epoch for x in batch) == X[:, 0].tolist()


def test_batch_norm_survives_a_sample_left_over():
    X, y = blobs(17, 0)
    model = network()
    history = train_classifier(model, (X, y), VALIDATION, epochs=2, batch_size=8, lr=0.01, seed=0)
    assert math.isfinite(history.last.train_loss)


def test_each_epoch_is_reported():
    model, history = trained()
    assert [epoch.number for epoch in history.epochs] == [1, 2, 3]
    assert (history.last.accuracy, history.last.loss) == accuracy_and_loss(model, *VALIDATION)
    times = [epoch.train_s for epoch in history.epochs]
    assert times == sorted(times)


def test_divergence_ends_the_training_and_is_reported_as_nan():
    _, history = trained(optimizer="sgd", lr=1e30, epochs=50)
    assert not math.isfinite(history.last.train_loss) and len(history.epochs) < 50
    assert math.isnan(history.last.loss) and math.isnan(history.last.accuracy)


def test_a_measurement_is_let_through_at_every_batch(monkeypatch):
    calls = []
    monkeypatch.setattr(training, "yield_to_measurements", lambda: calls.append(1))
    trained(epochs=2, batch_size=10)
    assert len(calls) >= 2 * 10


def test_accuracy_and_loss_of_known_logits():
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]])
    y = torch.tensor([0, 1, 1])
    expected = sum(math.log(1 + math.exp(margin)) for margin in (-2, -1, 3)) / 3
    for batch_size in (1, 2, 1024):
        accuracy, loss = accuracy_and_loss(nn.Identity(), logits, y, batch_size)
        assert accuracy == pytest.approx(2 / 3) and loss == pytest.approx(expected)


def test_inference_restores_every_modules_flag():
    model = network()
    model[1].eval()
    with pytest.raises(ZeroDivisionError), inference(model):
        assert not any(module.training for module in model.modules())
        assert not model(TRAIN[0]).requires_grad
        raise ZeroDivisionError
    assert [module.training for module in model] == [True, False, True, True, True]


def test_learning_rates_follow_their_schedules():
    steps = [step / 100 for step in range(100)]
    cosine = [lr_factor("cosine", step) for step in steps]
    cycle = [lr_factor("one_cycle", step) for step in steps]
    assert cosine[0] == 1 and cosine[50] == pytest.approx(0.5) and 0 < cosine[-1] < 0.001
    assert cosine == sorted(cosine, reverse=True)
    assert cycle[0] == pytest.approx(0.04) and cycle[30] == max(cycle) == 1 and 0 < cycle[-1] < 0.001
    assert {lr_factor("constant", step) for step in steps} == {1.0}


def test_predictions_are_those_of_the_judge():
    model, history = trained()
    logits = predict(model, VALIDATION[0], batch_size=7)
    assert logits.shape == (60, 2) and not logits.requires_grad
    assert (logits.argmax(1) == VALIDATION[1]).double().mean().item() == history.last.accuracy


def test_accuracy_and_loss_are_those_of_scikit_learn():
    from sklearn.metrics import accuracy_score, log_loss

    logits = torch.randn(200, 5, generator=torch.Generator().manual_seed(0))
    y = torch.randint(5, (200,), generator=torch.Generator().manual_seed(1))
    accuracy, loss = accuracy_and_loss(nn.Identity(), logits, y)
    assert accuracy == pytest.approx(accuracy_score(y, logits.argmax(1)))
    assert loss == pytest.approx(log_loss(y, logits.double().softmax(1)), rel=1e-5)


def test_label_smoothing_makes_a_network_less_sure():
    sure, unsure = (trained(epochs=6, label_smoothing=smoothing)[0] for smoothing in (0.0, 0.3))
    highest = [predict(model, VALIDATION[0]).softmax(1).max(1).values.mean() for model in (sure, unsure)]
    assert highest[1] < highest[0] - 0.05


def test_inputs_are_augmented_in_training_only():
    shapes = []

    def far_away(X):
        shapes.append(tuple(X.shape))
        return -X

    _, history = trained(epochs=4, augment=far_away)
    assert shapes == [*[(16, 2)] * 6, (4, 2)] * 4
    assert history.last.train_loss < 0.4 and history.last.accuracy < 0.2


def test_training_stops_early_and_keeps_the_best_weights():
    far = {"optimizer": "sgd", "lr": 3.0, "schedule": "constant"}
    model, history = trained(epochs=60, patience=3, **far)
    assert history.last.number == history.best.number + 3 < 60
    assert history.best.loss == min(epoch.loss for epoch in history.epochs)
    assert accuracy_and_loss(model, *VALIDATION) == (history.best.accuracy, history.best.loss)
    same = trained(epochs=60, patience=60, **far)[1]
    assert [epoch.loss for epoch in same.epochs[: history.last.number]] == [epoch.loss for epoch in history.epochs]


def test_a_cpu_trains_in_full_precision(monkeypatch):
    kinds = set()

    class Recorder(nn.Linear):
        def forward(self, x):
            out = super().forward(x)
            kinds.add(out.dtype)
            return out

    options = {"epochs": 1, "batch_size": 50, "lr": 0.01, "seed": 0}
    train_classifier(Recorder(2, 2), TRAIN, VALIDATION, **options)
    assert kinds == {torch.float32}
    # As on a GPU, whose autocast this machine need not have.
    monkeypatch.setattr(training, "nullcontext", lambda: torch.autocast("cpu", torch.bfloat16))
    history = train_classifier(Recorder(2, 2), TRAIN, VALIDATION, **options | {"epochs": 8, "lr": 0.1})
    assert kinds == {torch.float32, torch.bfloat16} and history.last.accuracy > 0.9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patience": 0}, "`patience` must be at least 1, but is 0"),
        ({"epochs": 0}, "`epochs` must be at least 1, but is 0"),
        ({"batch_size": 0}, "`batch_size` must be at least 1, but is 0"),
        ({"optimizer": "lion"}, "`optimizer` must be one of adam, adamw, sgd, but is 'lion'"),
        ({"schedule": "step"}, "`schedule` must be one of constant, cosine, one_cycle, but is 'step'"),
    ],
)
def test_senseless_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        trained(**options)

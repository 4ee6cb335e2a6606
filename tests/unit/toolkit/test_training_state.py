"""A training that goes on from a shorter one is the training that did not stop."""

from pathlib import Path

import pytest
import torch
from evo_moo.problems.digits_cnn import DigitsCNN

from evo_moo.problem.weights import Weights
from evo_moo.toolkit.training import set_determinism, train_classifier

SHAPE = {"n_blocks": 1, "width_1": 4, "kernel_1": 3, "dense": True, "dense_units": 8, "activation": "silu"}


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_two_and_four_epochs_are_six_bit_for_bit(optimizer: str, tmp_path: Path) -> None:
    problem = DigitsCNN(epochs=6, copies=1)
    config = {**SHAPE, "dropout": 0.3, "optimizer": optimizer, "lr": 0.01, "batch_size": 128, "weight_decay": 1e-4}
    whole = problem.evaluate(config, seed=5, weights=Weights(own=tmp_path / "whole"))
    short = problem.evaluate(config, seed=5, fidelity=2, weights=Weights(own=tmp_path / "short"))
    on = problem.evaluate(config, seed=5, fidelity=6, weights=Weights(tmp_path / "short", tmp_path / "on"))
    for metrics in (whole, short, on):
        metrics.pop("train_s")
    assert on == whole != short
    one, other = (Weights(previous=tmp_path / name).load() for name in ("whole", "on"))
    assert one is not None and other is not None and one["epochs"] == other["epochs"] == 6
    assert all(torch.equal(one["model"][name], tensor) for name, tensor in other["model"].items())


def test_a_training_ends_within_its_schedule(tmp_path: Path) -> None:
    data = torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64)
    settings = {"epochs": 3, "batch_size": 4, "lr": 0.1, "seed": 1}

    def trained(until: int, weights: Weights) -> list[int]:
        set_determinism(1)
        history = train_classifier(torch.nn.Linear(2, 2), data, data, until=until, weights=weights, **settings)
        return [epoch.number for epoch in history.epochs]

    assert trained(2, Weights(own=tmp_path)) == [1, 2]
    assert trained(3, Weights(previous=tmp_path)) == [3]
    with pytest.raises(ValueError, match="`until` must be from 1 to `epochs`, 3, but is 4"):
        trained(4, Weights())
    with pytest.raises(ValueError, match="`until` must be from 3 to"):
        trained(2, Weights(previous=tmp_path))


def test_epochs_are_the_fidelity_unless_they_are_searched() -> None:
    assert DigitsCNN().fidelity is None
    assert DigitsCNN(epochs=6).fidelity == ("epochs", 1, 6)

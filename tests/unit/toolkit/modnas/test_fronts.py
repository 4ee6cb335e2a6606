"""From predictors to configurations for any preference and device."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from evo_moo import Integer, SpaceError
from evo_moo.space import SearchSpace
from evo_moo.toolkit.devices.device import Device
from evo_moo.toolkit.modnas.fronts import Fronts, find_fronts
from evo_moo.toolkit.modnas.search import Settings

LEVELS = torch.arange(4.0)
LINEAR = Device("linear", tuple(1.0 + k for k in range(10)))
STEEP = Device("steep", tuple(math.exp(k / 2) for k in range(10)))
BETWEEN = Device("between", tuple((a + b) / 2 for a, b in zip(LINEAR.reference_ms, STEEP.reference_ms, strict=True)))


def error(one_hots: Tensor, features: Tensor) -> Tensor:
    """Falls by the level of every variable."""
    return 10 - (one_hots.unflatten(1, (-1, 4)) @ LEVELS).sum(dim=1)


def latency(one_hots: Tensor, features: Tensor) -> Tensor:
    """Grows by levels; on the steep device those of the first variable cost three times as much."""
    levels = one_hots.unflatten(1, (-1, 4)) @ LEVELS
    return 3 * levels.sum(dim=1) + 6 * (features[5] < 0.3) * levels[:, 0]


def fronts(n_variables: int = 3, seed: int = 0, **rules: object) -> Fronts:
    space = SearchSpace({f"x{i}": Integer(0, 3) for i in range(n_variables)}, rules)
    return find_fronts(space, [error, latency], [LINEAR, STEEP], settings=Settings(steps=120), seed=seed)


def test_the_knob_goes_from_one_end_to_the_other() -> None:
    found = fronts()
    for device in (LINEAR, BETWEEN):
        assert found.at(1.0, device) == {"x0": 3, "x1": 3, "x2": 3}
        assert found.at([0, 2], device) == {"x0": 0, "x1": 0, "x2": 0}


def test_costly_options_of_a_device_are_left_out_first() -> None:
    chosen = fronts().best(STEEP, 8)
    assert all(config["x0"] == 0 or config["x1"] == config["x2"] == 3 for config in chosen)
    assert any(config["x0"] and config["x1"] + config["x2"] < 6 for config in fronts().best(LINEAR, 60))


@pytest.mark.parametrize("n_variables", [3, 10], ids=["listed", "too_large_to_list"])
def test_the_best_are_different_and_undominated(n_variables: int) -> None:
    found = fronts(n_variables)
    chosen = found.best(STEEP)
    assert len({tuple(config.values()) for config in chosen}) == len(chosen) >= 6
    one_hots = found.decisions.encode(chosen)
    features = torch.as_tensor(STEEP.features, dtype=torch.float32)
    F = torch.stack([loss(one_hots, features) for loss in (error, latency)], dim=1)
    worse = (F[:, None] >= F).all(dim=2) & (F[:, None] > F).any(dim=2)
    assert not worse.any()
    assert len(found.best(STEEP, 40, only_front=False)) == 40


@pytest.mark.parametrize("n_variables", [3, 10], ids=["listed", "too_large_to_list"])
def test_a_start_takes_the_best_of_each_device_in_turn(n_variables: int) -> None:
    found = fronts(n_variables)
    first, second = (found.best(device, 12, only_front=False) for device in (LINEAR, STEEP))
    start = found.start([LINEAR, STEEP], 12)
    in_turn = [config for pair in zip(first, second, strict=True) for config in pair]
    assert start == [config for place, config in enumerate(in_turn) if config not in in_turn[:place]][:12]
    assert found.start([STEEP], 12) == second


def test_the_seed_decides_the_fronts() -> None:
    one, same, other = (fronts(10, seed) for seed in (1, 1, 2))
    assert one.best(BETWEEN) == same.best(BETWEEN) != other.best(BETWEEN)


def test_a_forbidden_recommendation_is_refused() -> None:
    found = fronts(ends=lambda config: sum(config.values()) in (0, 9))
    with pytest.raises(SpaceError, match=r"a rule forbids what is recommended at \[1.0, 0.0\]; take one of `best`"):
        found.at(1.0, LINEAR)
    assert all(0 < sum(config.values()) < 9 for config in found.best(LINEAR))


def test_a_preference_has_a_weight_for_each_loss() -> None:
    with pytest.raises(ValueError, match="a share from 0 to 1, or 2 weights"):
        fronts().at([1, 2, 3], LINEAR)


def test_a_variation_follows_what_is_recommended() -> None:
    found, rng = fronts(), np.random.default_rng(0)
    config = {"x0": 1, "x1": 1, "x2": 1}
    varied = {end: [found.mutate(config, end, LINEAR, rng) for _ in range(60)] for end in ((1.0, 0.0), (0.0, 1.0))}
    for mutants in varied.values():
        assert all(sum(one[name] != 1 for name in one) == 1 for one in mutants)
    levels = [sum(sum(one.values()) for one in mutants) for mutants in varied.values()]
    assert levels[0] > levels[1] + 60


def test_fronts_need_devices_and_losses() -> None:
    space = SearchSpace({"x": Integer(0, 3)})
    with pytest.raises(ValueError, match="`devices` must be at least 1, but is 0"):
        find_fronts(space, [error, latency], [])
    with pytest.raises(ValueError, match="`n_objectives` must be at least 2, but is 1"):
        find_fronts(space, [error], [LINEAR])
    with pytest.raises(ValueError, match="`devices` must be at least 1, but is 0"):
        fronts().start([])

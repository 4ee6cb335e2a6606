import numpy as np
import pytest

from evo_moo.toolkit.devices.mixture import DOUBT, calibrated, mixture

RNG = np.random.default_rng(0)
COLUMNS = RNG.gamma(2.0, 1.0, (60, 4))


def test_a_sum_of_columns_is_found_without_doubt():
    truth = COLUMNS @ [0.5, 0, 2, 0] + 3
    mixed = mixture(COLUMNS[:10], truth[:10], COLUMNS[10:])
    assert np.allclose(mixed.mean, truth[10:])
    assert mixed.jackknife.max() < 1e-6 and mixed.residual < 1e-6 and mixed.doubt().max() < 1e-6


def test_doubt_grows_with_what_columns_do_not_explain():
    truth = COLUMNS @ [0.5, 0, 2, 0] + 3
    small, large = (
        mixture(COLUMNS[:10], truth[:10] * np.exp(size * RNG.standard_normal(10)), COLUMNS[10:]).doubt().mean()
        for size in (0.02, 0.3)
    )
    assert large > 3 * small > 0


def test_predictions_are_positive_and_no_weight_is_negative():
    falling = 10 - COLUMNS[:10, :1].sum(axis=1)
    mixed = mixture(COLUMNS[:10, :1], falling, COLUMNS[10:, :1])
    assert (mixed.mean > 0).all() and np.ptp(mixed.mean) == pytest.approx(0, abs=1e-9)


def test_the_doubt_is_calibrated_by_the_known_devices():
    rates = RNG.gamma(1.0, 1.0, (4, 9))
    devices = (1 + COLUMNS @ rates) * np.exp(0.1 * RNG.standard_normal((60, 9)))
    weights = calibrated(devices[:10], devices[10:], np.ones(9, dtype=bool))
    assert weights != DOUBT
    unseen = (1 + COLUMNS @ RNG.gamma(1.0, 1.0, 4)) * np.exp(0.1 * RNG.standard_normal(60))
    mixed = mixture(devices[:10], unseen[:10], devices[10:])
    within = np.abs(np.log(mixed.mean / unseen[10:])) < 2 * mixed.doubt(weights)
    assert 0.7 < within.mean() <= 1


def test_few_devices_take_the_weights_of_the_table():
    of_devices = np.array([True, True, False, False])
    assert calibrated(COLUMNS[:10], COLUMNS[10:], of_devices) == DOUBT

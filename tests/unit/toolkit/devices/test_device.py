import numpy as np
import pytest

from evo_moo.errors import MetricError
from evo_moo.toolkit.devices.device import Device

LATENCIES = (3.0, 1.0, 2.0, 5.0, 4.0, 1.5, 2.5, 3.5, 4.5, 2.0)


def test_features_lie_in_0_to_1_with_both_ends_reached():
    features = Device("phone", LATENCIES).features
    assert features.shape == (10,) and features.min() == 0 and features.max() == 1
    assert features[0] == 0.5


def test_the_unit_brings_milliseconds_back():
    device = Device("phone", LATENCIES)
    assert (device.low_ms, device.span_ms) == (1.0, 4.0)
    assert np.allclose(device.in_ms(device.in_unit([0.5, 7.0])), [0.5, 7.0])
    assert np.allclose(device.in_ms(device.features), LATENCIES)


@pytest.mark.parametrize(
    ("latencies", "fault"),
    [
        (LATENCIES[:9], "device `phone`: there must be 10 latencies of reference networks, but there are 9"),
        ((*LATENCIES[:9], 0.0), "latency of reference 10 must be a positive number, but is 0.0"),
        ((float("nan"), *LATENCIES[1:]), "latency of reference 1 must be a positive number, but is nan"),
        ((2.0,) * 10, "must differ, but all are 2.0; measure with a finer clock"),
    ],
)
def test_wrong_latencies_are_refused(latencies, fault):
    with pytest.raises(MetricError, match=fault):
        Device("phone", latencies)

import numpy as np

from evo_moo.toolkit.devices.device_front import DeviceFront
from evo_moo.toolkit.devices.latency_model import Predicted


def front(errors, means, stds, by=None):
    predicted = Predicted(np.array(means, dtype=float), np.array(stds, dtype=float), by or ("mixture",) * len(means))
    return DeviceFront(np.array(errors, dtype=float)[:, None], predicted)


def test_the_front_begins_with_the_fastest():
    assert front([0.1, 0.5, 0.3, 0.6], [9, 1, 3, 2], [0] * 4).rows.tolist() == [1, 2, 0]


def test_networks_are_worth_measuring_where_doubt_exceeds_gaps():
    # The first two are apart; the third and the fourth are so near that one may pass the other.
    doubtful = front([0.5, 0.4, 0.2, 0.1], [1, 3, 9.0, 9.1], [0.01, 0.01, 0.5, 0.5])
    assert doubtful.worth_measuring(4).tolist() == [2]
    assert front([0.5, 0.4, 0.2, 0.1], [1, 3, 9.0, 9.1], [0.01] * 4).worth_measuring(4).tolist() == []
    many = front(np.linspace(1, 0, 20), np.linspace(5, 6, 20), [1] * 20)
    assert len(many.worth_measuring(5)) == 5


def test_measured_networks_need_no_measurement():
    by = ("mixture", "mixture", "measured", "mixture")
    doubtful = front([0.5, 0.4, 0.2, 0.1], [1, 3, 9.0, 9.1], [0.01, 0.01, 0.5, 0.5], by)
    assert 2 not in doubtful.worth_measuring(4)


def test_a_safe_pick_keeps_the_deadline_with_a_margin():
    nets = front([0.1, 0.2, 0.3], [10, 8, 5], [1, 1.5, 0.1])
    assert nets.pick_under(10, safety=0) == 0
    assert nets.pick_under(10, safety=1) == 1
    assert nets.pick_under(10, safety=2) == 2
    assert nets.pick_under(4, safety=0) is None


def test_networks_that_decide_a_pick_are_measured_with_the_pick():
    nets = front([0.1, 0.2, 0.3, 0.4], [30, 10, 8, 5], [1, 1.5, 0.1, 0.1])
    assert nets.worth_measuring_under(10, 1, 5).tolist() == [1, 2]
    assert nets.worth_measuring_under(10, 1, 1).tolist() == [2]
    assert nets.worth_measuring_under(4.9, 1, 5).tolist() == [3]
    assert nets.worth_measuring_under(1, 1, 5).tolist() == []


def test_networks_of_one_architecture_share_a_measurement():
    nets = front([0.5, 0.4, 0.2, 0.1], [1, 3, 9.0, 9.0], [0.01, 0.01, 0.5, 0.5])
    assert len(nets.worth_measuring(4)) > 0
    alike = DeviceFront(nets.others, nets.predicted, np.array([0, 1, 2, 2]))
    assert alike.worth_measuring(4).tolist() == []
    assert alike.worth_measuring_under(9, 1, 5).tolist() == [3, 1]
    same = DeviceFront(nets.others, nets.predicted, np.array([0, 0, 1, 1]))
    assert same.worth_measuring_under(0.5, 1, 5).tolist() == []

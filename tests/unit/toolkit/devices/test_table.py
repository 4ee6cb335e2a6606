import numpy as np
import pytest

from evo_moo.problem.search_problem import SearchProblem
from evo_moo.space.variables import Integer, Real
from evo_moo.toolkit.devices.table import LatencyTable, device_of_metric, tables_of_metrics


class Net(SearchProblem):
    variables = {"width": Integer(1, 9), "lr": Real(0.1, 1)}
    architecture = ["width"]
    objectives = {"latency_ms": "min"}


def net(width, lr=0.5):
    return {"width": width, "lr": lr}


def test_a_column_is_looked_up_by_architecture():
    table = LatencyTable("phone", [net(1), net(2)], [1.0, 2.0])
    assert np.array_equal(table.column(Net(), [net(2, 0.9), net(3)]), [2.0, np.nan], equal_nan=True)
    assert table.by_architecture(Net())[Net().architecture_key(net(1, 0.3))] == (1.0, 0.0)


def test_newer_measurements_take_the_place_of_older_ones():
    old = LatencyTable("phone", [net(1), net(2)], [1.0, 2.0])
    joined = old.joined(Net(), LatencyTable("phone", [net(2, 0.1), net(3)], [2.5, 3.5], [0.1, 0.2]))
    assert joined.rows() == [(net(1), 1.0, 0.0), (net(2, 0.1), 2.5, 0.1), (net(3), 3.5, 0.2)]
    assert LatencyTable("phone", [], []).joined(Net(), old).rows() == old.rows()


@pytest.mark.parametrize(
    ("metric", "device"),
    [
        ("latency_ms", ""),
        ("latency_ms@pixel3", "pixel3"),
        ("latency_ms[pixel3]", "pixel3"),
        ("latency_pixel3_ms", "pixel3"),
        ("latency_raw_ms", "raw"),
        ("accuracy", None),
    ],
)
def test_the_name_of_a_metric_says_the_device(metric, device):
    assert device_of_metric(metric) == device


def test_metrics_make_a_table_of_each_device():
    rows = [
        (net(1), {"latency_ms": 1.0, "latency_ms@a": 3.0, "accuracy": 0.5}),
        (net(1, 0.9), {"latency_ms": 1.1}),
        (net(2), {"latency_ms@a": 4.0, "latency_ms": float("nan")}),
    ]
    tables = {table.device: table for table in tables_of_metrics(Net(), rows)}
    assert tables.keys() == {"", "a"}
    assert tables[""].rows() == [(net(1), 1.0, 0.0)]
    assert tables["a"].latencies_ms == [3.0, 4.0]

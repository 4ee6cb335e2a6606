import pytest

from evo_moo.errors import EvoMooError, MetricError
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.space.variables import Boolean, Choice, Integer, Real
from evo_moo.toolkit.devices.device_latency import DeviceLatency

CSV = """n_layers,width_2,wide,act,latency_ms[pixel3],latency_ms[cpu]
1,,true,relu,1.5,0.5
2,16,False,relu,3.5,1.5
2,16,False,relu,4.5,1.5
2,8,True,gelu,2.5,nothing
"""
SHALLOW = {"n_layers": 1, "wide": True, "act": "relu", "lr": 0.1}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "latencies.csv"
    path.write_text(CSV)
    return path


def test_configurations_are_looked_up_by_the_tables_variables(path):
    pixel3 = DeviceLatency.from_csv(path, "pixel3")
    assert pixel3(SHALLOW) == {"latency_ms[pixel3]": 1.5}
    assert pixel3({"n_layers": 2, "width_2": 8.0, "wide": True, "act": "gelu"}) == {"latency_ms[pixel3]": 2.5}


def test_median_of_several_measurements_counts(path):
    deep = {"n_layers": 2, "width_2": 16, "wide": False, "act": "relu"}
    assert DeviceLatency.from_csv(path, "pixel3")(deep) == {"latency_ms[pixel3]": 4.0}


def test_one_plain_column_serves_any_device():
    table = DeviceLatency.from_table("phone", [{"n": 1, "latency_ms": 2}, {"n": 2, "latency_ms": 3}])
    assert table({"n": 2}) == {"latency_ms[phone]": 3.0}


def test_a_function_of_the_configuration():
    device = DeviceLatency("watch", lambda config: 0.5 + 0.25 * config["n_layers"])
    assert device(SHALLOW) == {device.metric: 0.75} == {"latency_ms[watch]": 0.75}


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_a_latency_is_a_positive_number(value):
    with pytest.raises(MetricError, match=r"`latency_ms\[x\]` must be a positive number, but is"):
        DeviceLatency("x", lambda config: value)({})


def test_a_configuration_without_a_row_is_named(path):
    with pytest.raises(MetricError, match="has none of its 3 for act=tanh, n_layers=1, wide=true; measure it"):
        DeviceLatency.from_csv(path, "pixel3")(SHALLOW | {"act": "tanh"})


def test_a_wrong_table_is_refused(path):
    with pytest.raises(MetricError, match=r"row 4 .*`latency_ms\[cpu\]` or `latency_ms`, but has 'nothing'"):
        DeviceLatency.from_csv(path, "cpu")
    with pytest.raises(MetricError, match=r"row 1 .* but has None"):
        DeviceLatency.from_csv(path, "unknown")
    with pytest.raises(EvoMooError, match="the table of `x` must have at least one row, but is empty"):
        DeviceLatency.from_table("x", [])


def test_a_problem_with_one_objective_per_device(path):
    pixel3, watch = DeviceLatency.from_csv(path, "pixel3"), DeviceLatency("watch", lambda config: 9.0)

    class OnDevices(SearchProblem):
        variables = {
            "n_layers": Integer(1, 2),
            "width_2": Integer(8, 16, when={"n_layers": 2}),
            "wide": Boolean(),
            "act": Choice(["relu", "gelu"]),
            "lr": Real(0.01, 1),
        }
        objectives = {pixel3.metric: "min", watch.metric: "min"}
        constraints = {watch.metric: {"at_most": 10}}

        def profile(self, config):
            return pixel3(config) | watch(config)

        def evaluate(self, config):
            return {}

    problem = OnDevices()
    problem.check()
    (config,) = problem.space.decode(problem.space.encode([SHALLOW]))
    assert problem.call_profile(config).metrics == {"latency_ms[pixel3]": 1.5, "latency_ms[watch]": 9.0}
    assert problem.goals.metric_names == ("latency_ms[pixel3]", "latency_ms[watch]")

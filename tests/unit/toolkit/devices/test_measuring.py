import numpy as np
import pytest

from evo_moo.errors import MetricError, ProblemError
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.space.variables import Integer
from evo_moo.toolkit.devices.measuring import Deployment, measure_networks


class Timed(SearchProblem):
    variables = {"width": Integer(1, 30)}
    objectives = {"latency_ms": "min"}
    noise = 0.0

    def __init__(self):
        self.rng, self.asked = np.random.default_rng(0), []

    def profile(self, config):
        self.asked.append(config["width"])
        return {"latency_ms": config["width"] * np.exp(self.noise * self.rng.standard_normal())}


NETS = [{"width": width} for width in range(1, 11)]


def test_networks_are_measured_in_rounds_one_after_the_other():
    problem = Timed()
    table = measure_networks(problem, "here", NETS)
    assert problem.asked == [*range(1, 11)] * 3
    assert table.device == "here" and table.rows() == [(net, float(net["width"]), 0.0) for net in NETS]


def test_the_median_counts_and_the_spread_is_its_doubt():
    problem = Timed()
    problem.noise = 0.02
    table = measure_networks(problem, "here", NETS, rounds=5)
    assert np.allclose(table.latencies_ms, range(1, 11), rtol=0.05)
    assert all(0 < std < 0.05 * ms for ms, std in zip(table.latencies_ms, table.stds_ms, strict=True))


def test_rounds_that_disagree_are_refused():
    problem = Timed()
    problem.noise = 3.0
    with pytest.raises(MetricError, match=r"rounds of measurements must agree, .* at least 0.9, but have"):
        measure_networks(problem, "here", NETS)
    measure_networks(problem, "here", NETS[:4])
    measure_networks(problem, "here", NETS, rounds=1)


def test_problems_that_cannot_be_measured_are_refused():
    class Plain(SearchProblem):
        variables = {"width": Integer(1, 30)}
        objectives = {"error": "min"}

    class Sized(Plain):
        def profile(self, config):
            return {"size": 1.0}

    with pytest.raises(ProblemError, match=r"must define `network\(self, config\)`, or a `profile`.*measure elsewhere"):
        measure_networks(Plain(), "here", NETS)
    with pytest.raises(ProblemError, match=r"`profile` of `Sized` must measure `latency_ms`.* but returns size"):
        measure_networks(Sized(), "here", NETS)
    with pytest.raises(ProblemError, match="must define `network"):
        measure_networks(Timed(), "here", NETS, Deployment("torch"))


@pytest.mark.slow
def test_a_network_is_measured_by_the_runtime_that_is_asked(tmp_path, monkeypatch):
    import torch

    monkeypatch.setenv("EVO_MOO_SLOT_DIR", str(tmp_path))

    class Layers(SearchProblem):
        variables = {"width": Integer(1, 64)}
        objectives = {"error": "min"}

        def network(self, config):
            return torch.nn.Linear(64, config["width"]), torch.ones(4, 64)

    table = measure_networks(Layers(), "here", [{"width": 3}], Deployment(batch_size=2), rounds=1)
    assert table.latencies_ms[0] > 0
    with pytest.raises(ProblemError, match="cannot be measured so: `runtime` must be one of"):
        measure_networks(Layers(), "here", [{"width": 3}], Deployment("tflite"), rounds=1)

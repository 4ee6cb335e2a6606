import numpy as np
import pytest
from scipy.stats import spearmanr

from evo_moo.errors import MetricError
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.space.variables import Choice, Integer
from evo_moo.toolkit.devices.latency_model import LatencyModel
from evo_moo.toolkit.devices.references import references
from evo_moo.toolkit.devices.table import LatencyTable

OPS = ["none", "skip", "conv1", "conv3"]
COSTS = {"none": (0, 0), "skip": (0.1, 0.3), "conv1": (0.6, 0.5), "conv3": (2.0, 0.9)}


class Cells(SearchProblem):
    variables = {f"op_{i}": Choice(OPS) for i in range(4)} | {"width": Integer(1, 4)}
    objectives = {"latency_ms": "min"}


class Counted(Cells):
    def compute(self, config):
        return {"flops": flops(config)}


class Offering(Cells):
    def compute(self, config):
        return {f"latency_ms@{name}": latency(config, i / 4) for i, name in enumerate("abcde")}


def flops(config):
    return config["width"] * sum(COSTS[config[f"op_{i}"]][0] for i in range(4))


def latency(config, share):
    overhead = sum(COSTS[config[f"op_{i}"]][1] for i in range(4))
    return 1 + (1 - share) * overhead + share * flops(config)


def table(name, configurations, share):
    return LatencyTable(name, configurations, [latency(config, share) for config in configurations])


def drawn(problem, n, seed=1):
    unique = {
        problem.architecture_key(c): c
        for c in problem.space.decode(problem.space.sample(n, np.random.default_rng(seed)))
    }
    return list(unique.values())


def test_known_devices_mix_to_a_new_one():
    problem = Offering()
    model = LatencyModel(problem)
    asked = drawn(problem, 40)
    predicted = model.predict(asked, table("new", model.references, 0.6))
    truth = [latency(config, 0.6) for config in asked]
    assert np.allclose(predicted.mean_ms, truth)
    assert (predicted.std_ms < 1e-3 * predicted.mean_ms).all()


def test_tables_serve_where_the_problem_offers_none():
    problem, asked = Cells(), drawn(Cells(), 60)
    known = [table(name, [*references(problem), *asked], share) for name, share in (("a", 0.0), ("b", 1.0))]
    model = LatencyModel(problem, known)
    predicted = model.predict(asked, table("new", model.references, 0.3))
    assert np.allclose(predicted.mean_ms, [latency(config, 0.3) for config in asked])


def test_work_alone_predicts_with_a_doubt():
    problem, asked = Counted(), drawn(Counted(), 60)
    model = LatencyModel(problem)
    predicted = model.predict(asked, table("new", model.references, 0.8))
    truth = np.array([latency(config, 0.8) for config in asked])
    assert spearmanr(predicted.mean_ms, truth).statistic > 0.9
    within = np.abs(predicted.mean_ms - truth) < 2 * predicted.std_ms
    left = ~predicted.is_measured
    assert set(predicted.by) <= {"mixture", "measured"} and within[left].mean() > 0.7


def test_measured_latencies_are_known_as_measured():
    model = LatencyModel(Counted())
    extra = drawn(Counted(), 3)
    device = LatencyTable("new", [*model.references, *extra], [*range(1, 11), 50.0, 60.0, 70.0], [0.0] * 10 + [1, 2, 3])
    predicted = model.predict(extra, device)
    assert predicted.by == ("measured",) * 3
    assert predicted.mean_ms.tolist() == [50, 60, 70] and predicted.std_ms.tolist() == [1, 2, 3]


def test_more_measurements_than_the_references_are_learnt():
    problem, asked = Counted(), drawn(Counted(), 80)
    model = LatencyModel(problem)
    few = table("new", model.references, 0.5)
    many = few.joined(problem, table("new", asked[:40], 0.5))
    truth = np.array([latency(config, 0.5) for config in asked[40:]])
    errors = [np.abs(model.predict(asked[40:], each).mean_ms / truth - 1).mean() for each in (few, many)]
    assert errors[1] < errors[0]


def test_an_old_run_without_the_references_serves_as_a_table():
    problem, asked = Cells(), drawn(Cells(), 120)
    model = LatencyModel(problem, [table("", asked, 0.5)])
    predicted = model.predict(asked, table("new", model.references, 0.55))
    truth = np.array([latency(config, 0.55) for config in asked])
    assert spearmanr(predicted.mean_ms, truth).statistic > 0.9


@pytest.mark.slow
def test_the_net_serves_networks_that_no_device_ran():
    problem = Cells()
    learnt = drawn(problem, 300)
    known = [
        table(name, [*references(problem), *learnt], share)
        for name, share in zip("abcd", (0, 0.3, 0.7, 1), strict=True)
    ]
    model = LatencyModel(problem, known).with_net()
    asked = [c for c in drawn(problem, 400, seed=2) if c not in learnt]
    predicted = model.predict(asked, table("new", model.references, 0.5))
    assert set(predicted.by) <= {"net", "measured"} and "net" in predicted.by
    truth = [latency(config, 0.5) for config in asked]
    assert spearmanr(predicted.mean_ms, truth).statistic > 0.9


def test_a_device_without_all_references_is_refused():
    model = LatencyModel(Counted())
    with pytest.raises(MetricError, match="device `new` must have latencies of all 10 reference networks, but lacks 3"):
        model.predict([], table("new", model.references[:7], 0.5))
    with pytest.raises(MetricError, match="must learn from at least one device"):
        LatencyModel(Counted()).with_net()

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo_moo.optimizer.surrogate_optimizer import SurrogateOptimizer
from evo_moo.problem.function_problem import FunctionProblem
from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metric
from evo_moo.space.variables import Choice, Real
from evo_moo.surrogate.outliers import Fences

GOALS = Goals.declared({"accuracy": "max", "latency_ms": "min"}, {})
USUAL = np.linspace(0.8, 0.9, 20)  # quartiles .825 and .875


def fences(values, name="accuracy", **metric):
    return Fences.around([name], [{name: float(v)} for v in values], GOALS, {name: Metric(**metric)})


def test_fence_lies_three_interquartile_ranges_on_the_poor_side():
    its = fences(USUAL)
    assert its.worst == {"accuracy": pytest.approx(0.825 - 3 * 0.05)}
    assert its.hold_all({"accuracy": 0.68}) and not its.hold_all({"accuracy": 0.67})
    assert its.hold_all({"accuracy": 5.0}) and its.hold_all({"latency_ms": 1e9}) and its.hold_all({})
    its = fences(USUAL, "latency_ms")
    assert its.hold({"latency_ms": 1.02}, "latency_ms") and not its.hold({"latency_ms": 1.03}, "latency_ms")
    assert its.hold_all({"latency_ms": -5.0})


def test_the_first_values_decide_where_values_are_usual():
    assert fences([*USUAL, *[0.9] * 50]).worst == fences(USUAL).worst


@pytest.mark.parametrize("values", [USUAL[:19], [0.9] * 20, [0.1, 0.2] + [0.9] * 18, []])
def test_few_or_equal_values_put_up_no_fence(values):
    assert fences(values).hold_all({"accuracy": -1e9})


@given(st.lists(st.floats(0.01, 100), min_size=20, max_size=30), st.floats(0.01, 1e5))
def test_logarithms_decide_where_they_count(values, value):
    logs = fences(np.log(values), "latency_ms")
    for_logs = fences(values, "latency_ms", log=True)
    assert logs.worst.keys() == for_logs.worst.keys()
    if logs.worst and not np.isclose(np.log(value), logs.worst["latency_ms"]):
        assert for_logs.hold_all({"latency_ms": value}) == logs.hold_all({"latency_ms": float(np.log(value))})


@pytest.mark.slow
def test_search_learns_to_avoid_configurations_that_diverge():
    operations = ["none", "skip", "conv", "pool"]
    rng = np.random.default_rng(0)
    effects = {(edge, name): rng.normal() for edge in range(6) for name in operations}

    def evaluate(config):
        parts = [effects[i, config[f"edge_{i}"]] for i in range(6)]
        ruggedness = np.prod(parts[:3]) - np.prod(parts[3:]) + np.prod(parts[::2])
        diverges = config["lr"] > 0.3
        return {"accuracy": 0.1 if diverges else 0.8 + 0.02 * ruggedness, "size": 5.0 + sum(parts)}

    variables = {f"edge_{i}": Choice(operations) for i in range(6)} | {"lr": Real(1e-3, 1, log=True)}
    problem = FunctionProblem(evaluate, variables, {"accuracy": "max", "size": "min"})
    optimizer = SurrogateOptimizer(problem, pop_size=20, seed=3, batch=10)
    diverged, n_far_out = [], {"accuracy": set(), "size": set()}
    while len(diverged) < 60:
        for candidate in optimizer.ask():
            diverged.append(candidate.configuration["lr"] > 0.3)
            optimizer.tell(candidate, evaluate(candidate.configuration))
        for _, decision in optimizer.take_decisions():
            if "chosen" in decision:
                n_far_out[decision["metric"]].add(decision["n_far_out"])
    # Without the fence, 12 of the last 40 diverge.
    assert sum(diverged[:20]) >= 2 and sum(diverged[20:]) <= 6
    assert 2 <= max(n_far_out["accuracy"]) <= sum(diverged) and n_far_out["size"] == {0}

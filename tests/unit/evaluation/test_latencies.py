"""Pooling over a run: what evaluations hold, what has changed, and what is worth another measurement."""

import pytest

from evo_moo.evaluation.latencies import Latencies
from evo_moo.evaluation.task import Outcome
from evo_moo.problem.goals import Goals
from evo_moo.problem.measurements import Measurement, Pooled, Timing

GOALS = Goals.declared({"error": "min", "latency_ms": "min"}, {})


def measured(at: float, value: float, *, is_sound: bool = True, nominal_ms: float = 1.0) -> Measurement:
    return Measurement(at, {"latency_ms": Timing(value, 0.98 * value, 1.02 * value, "r", nominal_ms, 1)}, is_sound)


def ended(latencies: Latencies, key: int, name: str, *measurements: Measurement, error: float = 0.5) -> Outcome:
    metrics = {"error": error, "latency_ms": measurements[-1].timings["latency_ms"].value if measurements else 9.0}
    return latencies.completed({"name": name}, Outcome(key, "ok", metrics, measurements=measurements))


@pytest.fixture
def latencies() -> Latencies:
    return Latencies(lambda configuration: configuration["name"])


def values(latencies: Latencies) -> dict[int, float]:
    return {key: m["latency_ms"] for revision in latencies.revisions() for key, m in revision.evaluations.items()}


def test_evaluations_of_one_architecture_hold_one_value(latencies: Latencies) -> None:
    first, other = ended(latencies, 1, "a", measured(1.0, 2.0)), ended(latencies, 2, "b", measured(2.0, 5.0))
    assert (first.metrics["latency_ms"], other.metrics["latency_ms"]) == (2.0, 5.0) and values(latencies) == {}
    second = ended(latencies, 3, "a", measured(3.0, 4.0))
    assert second.metrics["latency_ms"] == pytest.approx(8**0.5)
    assert values(latencies) == {1: second.metrics["latency_ms"]} and values(latencies) == {}


def test_measurement_counts_once_however_often_it_is_reused(latencies: Latencies) -> None:
    first = measured(1.0, 2.0)
    assert ended(latencies, 1, "a", first).measurements == (first,)
    assert [ended(latencies, key, "a", first).measurements for key in (2, 3)] == [(), ()]
    last = ended(latencies, 4, "a", measured(2.0, 4.0))
    assert last.metrics["latency_ms"] == pytest.approx(8**0.5)


def test_lower_nominal_time_rescales_every_architecture(latencies: Latencies) -> None:
    ended(latencies, 1, "a", measured(1.0, 2.0, nominal_ms=4.0))
    ended(latencies, 2, "b", measured(2.0, 5.0, nominal_ms=4.0))
    ended(latencies, 3, "c", measured(3.0, 1.0, nominal_ms=2.0))
    assert values(latencies) == {1: 1.0, 2: 2.5}


def test_failure_holds_nothing(latencies: Latencies) -> None:
    failed = latencies.completed({"name": "a"}, Outcome(1, "failed", {}, measurements=(measured(1.0, 2.0),)))
    assert failed.metrics == {}
    ended(latencies, 2, "a", measured(2.0, 4.0))
    assert values(latencies) == {}


def test_outcome_of_an_earlier_run_follows_what_is_measured(latencies: Latencies) -> None:
    assert ended(latencies, 1, "a").metrics["latency_ms"] == 9.0
    ended(latencies, 2, "a", measured(1.0, 2.0))
    assert values(latencies) == {1: 2.0}


def test_recalled_run_goes_on_as_if_it_never_ended(latencies: Latencies) -> None:
    outcomes = [
        ended(latencies, 1, "a", measured(1.0, 2.0, is_sound=False)),
        ended(latencies, 2, "b", measured(2.0, 5.0)),
    ]
    recalled = Latencies(lambda configuration: configuration["name"])
    recalled.recall(
        [(o.id, {"name": name}, o.metrics) for o, name in zip(outcomes, "ab", strict=True)],
        [(o.id, o.measurements) for o in outcomes],
        {o.id: o.pooled for o in outcomes if o.pooled is not None},
    )
    assert values(recalled) == {}
    for each in (latencies, recalled):
        assert ended(each, 3, "a", measured(3.0, 3.0)).metrics["latency_ms"] == 3.0
    assert values(latencies) == values(recalled) == {1: 3.0}


def test_recalled_values_of_an_interrupted_revision_are_revised() -> None:
    recalled = Latencies(lambda configuration: configuration["name"])
    configurations = [(key, {"name": "a"}, {"error": 0.5, "latency_ms": float(key)}) for key in (1, 2)]
    said = {2: Pooled({}, {}, False)}
    recalled.recall(configurations, [(1, [measured(1.0, 2.0)]), (2, [measured(2.0, 2.0)])], said)
    assert values(recalled) == {1: 2.0, 2: 2.0}


@pytest.mark.parametrize("is_sound", [True, False])
def test_doubts_on_the_front_are_worth_a_measurement(latencies: Latencies, is_sound: bool) -> None:
    """Of one architecture once; also what the better end of its interval would put on the front; no other."""
    table = {
        1: ("fast", 1.0, 0.9),
        2: ("fast", 1.0, 0.8),
        3: ("nearly", 2.1, 0.5),  # at its better end faster than 4
        4: ("middle", 2.0, 0.5),
        5: ("far", 3.0, 0.7),
        6: ("accurate", 5.0, 0.1),
    }
    known = {}
    for key, (name, latency_ms, error) in table.items():
        is_quiet = is_sound or name == "middle"
        outcome = ended(latencies, key, name, measured(float(len(name)), latency_ms, is_sound=is_quiet), error=error)
        known[key] = outcome.metrics
    expected = [] if is_sound else [2, 3, 6]
    assert latencies.to_measure(known, GOALS) == expected

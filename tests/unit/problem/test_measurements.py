"""Pooling: repetitions make a value better, not luckier, and disturbed ones never displace sound ones."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo_moo.pareto import pareto_rows
from evo_moo.problem.goals import Goals
from evo_moo.problem.measurements import Measurement, Pooled, Timing, front_rows, lowest_nominal_ms, pooled


def measured(value: float, *, is_sound: bool = True, half: float = 0.01, at: float = 0.0, nominal_ms: float = 1.0):
    timing = Timing(value, value * (1 - half), value * (1 + half), "r", nominal_ms, 1)
    return Measurement(at, {"latency_ms": timing}, is_sound)


times = st.floats(1e-3, 1e3)
soundness = st.lists(st.tuples(times, st.booleans()), min_size=1, max_size=6)


@given(soundness)
def test_pooled_value_lies_within_those_that_count(seen: list[tuple[float, bool]]) -> None:
    whole = pooled([measured(value, is_sound=sound) for value, sound in seen], {})
    counting = [value for value, sound in seen if sound] or [value for value, _ in seen]
    value, (low, high) = whole.metrics["latency_ms"], whole.intervals["latency_ms"]
    assert min(counting) * (1 - 1e-9) <= value <= max(counting) * (1 + 1e-9)
    assert low < value < high
    if not any(sound for _, sound in seen):
        assert whole.in_doubt


@given(soundness, times)
def test_pooled_value_scales_with_the_nominal_time(seen: list[tuple[float, bool]], factor: float) -> None:
    measurements = [measured(value, is_sound=sound) for value, sound in seen]
    before, after = pooled(measurements, {"r": 1.0}), pooled(measurements, {"r": factor})
    assert after.metrics["latency_ms"] == pytest.approx(before.metrics["latency_ms"] * factor)
    assert after.in_doubt == before.in_doubt


@given(times, st.integers(1, 5))
def test_equal_values_stay_what_they_are(value: float, n: int) -> None:
    own = Measurement(0.0, {"own_ms": Timing(value, value, value)})
    assert pooled([own] * n, {}) == ({"own_ms": value}, {}, False)


def test_values_of_two_scales_are_brought_to_the_lower() -> None:
    measurements = [measured(4.0, nominal_ms=2.0), measured(2.0, nominal_ms=1.0)]
    lowest = lowest_nominal_ms(measurements)
    assert lowest == {"r": 1.0} and pooled(measurements, lowest).metrics["latency_ms"] == 2.0


def test_repetitions_make_the_value_better_not_luckier() -> None:
    """No bias from the least of many, and an error that shrinks as the root of their number."""
    rng = np.random.default_rng(1)
    errors = {
        n: [
            math.log(
                pooled([measured(float(v), half=0.04) for v in np.exp(rng.normal(0, 0.02, n))], {}).metrics[
                    "latency_ms"
                ]
            )
            for _ in range(300)
        ]
        for n in (1, 9)
    }
    assert abs(np.mean(errors[9])) < 0.002
    assert np.std(errors[9]) == pytest.approx(np.std(errors[1]) / 3, rel=0.2)


@pytest.mark.parametrize("n", [2, 5])
@pytest.mark.parametrize("spread", [0.005, 0.03])
def test_interval_covers_where_measurements_differ_by_more(n: int, spread: float) -> None:
    """Each says 1 %; the least error that counts is 1 %, and the Birge ratio widens the rest."""
    rng = np.random.default_rng(n)
    held = 0
    for _ in range(400):
        values = np.exp(rng.normal(0, spread, n))
        low, high = pooled([measured(float(v), half=0.01) for v in values], {}).intervals["latency_ms"]
        held += low <= 1.0 <= high
    # A few that differ by more than they say tell little of by how much: 95 % only where they say what they know.
    assert held / 400 >= (0.93 if spread < 0.01 else 0.65 if n == 2 else 0.8)


def test_wide_interval_is_in_doubt() -> None:
    assert pooled([measured(1.0, half=0.3)], {}).in_doubt
    assert not pooled([measured(1.0, half=0.3, at=i) for i in range(12)], {}).in_doubt


@pytest.mark.parametrize("is_sound", [True, False])
def test_measurement_comes_back_from_its_record(is_sound: bool) -> None:
    whole = measured(3.0, is_sound=is_sound, at=17.5)
    assert Measurement.of_record(whole.to_record()) == whole


@pytest.mark.parametrize("record", [None, [], [1.0, {}], [1.0, {"a": [1.0]}, True], [1.0, {"a": [math.nan] * 3}, True]])
def test_damaged_record_is_refused(record: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        Measurement.of_record(record)


rows = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 6), st.integers(0, 2)), min_size=1, max_size=12)


@given(rows)
def test_front_loses_no_sound_row_to_a_value_in_doubt(drawn: list[tuple[int, int, int]]) -> None:
    """Each row is an accuracy, a latency, and half the width of the latency's interval where it is in doubt."""
    goals = Goals.declared({"accuracy": "max", "latency_ms": "min"}, {})
    metrics = [{"accuracy": float(accuracy), "latency_ms": float(ms)} for accuracy, ms, _ in drawn]
    doubts = {
        i: Pooled({}, {"latency_ms": (ms - half, ms + half)}, True) for i, (_, ms, half) in enumerate(drawn) if half
    }
    front = front_rows(goals, list(enumerate(metrics)), doubts).tolist()
    assert [metrics[i]["accuracy"] for i in front] == sorted((metrics[i]["accuracy"] for i in front), reverse=True)
    for i, (accuracy, ms, half) in enumerate(drawn):
        dominating = [
            (a, at)
            for a, other_ms, other_half in drawn
            for at in [other_ms + (0 if half else other_half)]
            if a >= accuracy and at <= ms and (a, at) != (accuracy, ms)
        ]
        assert (i in front) == (not dominating)
    plain = pareto_rows(goals.F(metrics), np.zeros(len(metrics))).tolist()
    assert set(plain) <= set(front) and (doubts or plain == front)

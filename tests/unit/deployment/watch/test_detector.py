import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import poisson

from evo_moo.deployment.watch.detector import MONTH_S, Detector
from evo_moo.deployment.watch.evidence import of_share

DAY_S = 86_400.0


def events(n: int, months: float, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return np.sort(rng.random(n)) * months * MONTH_S, (rng.random(n) < share)[:, None].astype(float)


def alarms(times: np.ndarray, bad: np.ndarray, threshold: float, pieces: int = 1) -> list[tuple]:
    detector, found = Detector.new(4, threshold, DAY_S), []
    for part in np.array_split(np.arange(len(times)), pieces):
        before = part[0] if len(part) else 0
        crossings = detector.advance(times[part], of_share(bad[part, 0], 0.1), bad[part])
        found += [(c.row + before, c.cell, c.n, round(c.total, 6), round(c.months, 6), c.since) for c in crossings]
    return found


@pytest.mark.parametrize("n_per_month", [30, 1000])
def test_false_alarms_are_no_more_than_asked_for(n_per_month: int) -> None:
    threshold, months, n_worlds = 2.0, 10, 20
    n = sum(len(alarms(*events(n_per_month * months, months, 0.1, seed), threshold)) for seed in range(n_worlds))
    assert poisson.sf(n - 1, months * n_worlds / threshold) > 1e-3


def test_a_share_that_rises_is_found_with_its_time_and_size() -> None:
    times, bad = events(3000, 3.0, 0.1, 1)
    late = times > 2 * MONTH_S
    bad[late] = (np.random.default_rng(2).random(late.sum()) < 0.3)[:, None]
    first = alarms(times, bad, 50.0)[0]
    assert 0 <= first[0] - np.argmax(late) < 120
    assert abs(first[-1] - 2 * MONTH_S) < 3 * DAY_S
    assert first[3] / first[2] == pytest.approx(0.3, abs=0.1)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), pieces=st.integers(2, 40), share=st.sampled_from([0.1, 0.3]))
def test_pieces_raise_the_alarms_of_the_whole(seed: int, pieces: int, share: float) -> None:
    times, bad = events(300, 2.0, share, seed)
    assert alarms(times, bad, 3.0, pieces) == alarms(times, bad, 3.0)


def test_a_detector_goes_on_from_plain_data() -> None:
    times, bad = events(400, 2.0, 0.15, 3)
    whole, half = Detector.new(4, 1e9, DAY_S), Detector.new(4, 1e9, DAY_S)
    whole.advance(times, of_share(bad[:, 0], 0.1), bad)
    half.advance(times[:200], of_share(bad[:200, 0], 0.1), bad[:200])
    other = Detector.new(4, 1e9, DAY_S)
    other.restore(half.to_json())
    other.advance(times[200:], of_share(bad[200:, 0], 0.1), bad[200:])
    assert other.months == pytest.approx(whole.months)
    assert other.to_json()["since"] == whole.to_json()["since"]


def test_an_alarm_is_followed_by_rest() -> None:
    times = np.arange(2000) * MONTH_S / 2000
    bad = np.ones((2000, 1))
    rows = [found[0] for found in alarms(times, bad, 1.0)]
    assert np.diff(times[rows]).min() >= DAY_S

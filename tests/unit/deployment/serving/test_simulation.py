"""What a simulation of waiting requests gives, beside queueing theory."""

import numpy as np
import pytest
from scipy.stats import expon

from evo_moo.deployment.serving import Member, Switch, poisson_arrivals, simulate
from evo_moo.deployment.serving.waiting import erlang_c, share_in_time

MEAN_MS = 10.0
EXPONENTIAL = tuple(expon.ppf((np.arange(400) + 0.5) / 400) * MEAN_MS)
N = 10_000


@pytest.mark.parametrize(("workers", "rate"), [(1, 60), (3, 210)], ids=["M/M/1", "M/M/3"])
def test_shares_are_those_of_exponential_service(workers: int, rate: float) -> None:
    arrivals = poisson_arrivals([rate], N, seed=1)
    answered = simulate(Switch([Member("one", 0.9, EXPONENTIAL)], 40, workers=workers), arrivals)
    theory = share_in_time(np.array(EXPONENTIAL), rate, workers, 40)
    if workers == 1:  # the time in the system is exponential with the rate mu - lambda
        assert theory == pytest.approx(1 - np.exp(-(1e3 / MEAN_MS - rate) * 0.040), abs=0.01)
    assert answered.share_in_time == pytest.approx(theory, abs=0.02)


def test_waits_are_those_of_constant_service() -> None:
    """Of M/D/1 the mean wait is rho / (1 - rho) / 2 service times (Pollaczek 1930)."""
    answered = simulate(Switch([Member("one", 0.9, (MEAN_MS,))], 40), poisson_arrivals([50], N, seed=0))
    assert answered.answer_ms.mean() - MEAN_MS == pytest.approx(MEAN_MS * 0.5 / 0.5 / 2, rel=0.05)


def test_erlang_c_is_the_share_that_waits() -> None:
    assert erlang_c(0.7, 1) == pytest.approx(0.7)
    assert erlang_c(2.0, 3) == pytest.approx(4 / 9)  # by hand, of the sum in Erlang's formula


def test_a_switch_is_better_than_each_member_alone() -> None:
    members = [Member("fast", 0.8, (1.0,)), Member("middle", 0.9, (6.0,)), Member("slow", 0.97, (25.0,))]
    arrivals = poisson_arrivals(np.linspace(2, 300, 20), 4_000, seed=3)
    switched, fast, slow = (
        simulate(Switch(these, 60), arrivals, most_waiting=64) for these in (members, members[:1], members[-1:])
    )
    assert switched.share_in_time > 0.98 and switched.mean_quality > fast.mean_quality + 0.05
    assert slow.share_in_time < 0.4 and slow.share_refused > 0
    assert switched.good_in_time > max(fast.good_in_time, slow.good_in_time)
    again = simulate(Switch(members, 60), arrivals, most_waiting=64)
    assert again == switched and (again.answer_ms == switched.answer_ms).all()

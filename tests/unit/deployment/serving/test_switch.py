"""Which member answers: never by flapping, never worse for a larger budget, always the same for the same calls."""

import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evo_moo.deployment.serving import Member, Switch, members_of_front
from evo_moo.errors import UsageError

FAST, MIDDLE, SLOW = (
    Member("fast", 0.8, (0.9, 1.1)),
    Member("middle", 0.9, (5.0, 7.0)),
    Member("slow", 0.97, (20.0, 30.0)),
)
MEMBERS = [SLOW, FAST, MIDDLE]
latencies = st.lists(st.floats(0.1, 200), min_size=1, max_size=4).map(tuple)
families = st.lists(st.tuples(st.floats(0, 1), latencies), min_size=1, max_size=5).map(
    lambda pairs: [Member(str(i), quality, times) for i, (quality, times) in enumerate(pairs)]
)


def settled(switch: Switch, rate_per_s: float, seconds: float = 12.0) -> Member:
    """The member of the moment after a steady rate of requests."""
    for now in np.arange(0, seconds, 1 / rate_per_s).tolist():
        switch.arrived(now)
        switch.choose(now)
    return switch.members[switch.current]


def test_more_load_gives_a_faster_member() -> None:
    assert [settled(Switch(MEMBERS, 50), rate).name for rate in (1, 60, 500)] == ["slow", "middle", "fast"]


@settings(max_examples=40, deadline=None)
@given(families, st.floats(1, 60), st.floats(1, 400), st.floats(1, 4), st.integers(1, 3))
def test_a_larger_budget_never_gives_a_worse_member(
    members: list[Member], rate: float, limit: float, more: float, workers: int
) -> None:
    tight, loose = (
        settled(Switch(members, deadline, workers=workers, dwell_s=1), rate) for deadline in (limit, limit * more)
    )
    assert loose.quality >= tight.quality


@settings(max_examples=40, deadline=None)
@given(families, st.lists(st.tuples(st.floats(0, 2), st.integers(0, 60)), max_size=30), st.floats(0.1, 10))
def test_moves_to_slower_members_keep_the_dwell(
    members: list[Member], bursts: list[tuple[float, int]], dwell_s: float
) -> None:
    switch, now, place, moved_at = Switch(members, 50, dwell_s=dwell_s), 0.0, None, -np.inf
    for pause, n in bursts:
        now += pause
        for _ in range(n):
            switch.arrived(now)
        switch.choose(now, waiting=n)
        if place is not None and switch.current != place:
            assert switch.current < place or now >= moved_at + dwell_s
            moved_at = now
        moved_at, place = (now if place is None else moved_at), switch.current


def test_one_late_request_hurries_and_moves_nothing() -> None:
    switch = Switch(MEMBERS, 50)
    assert switch.choose(0.0).member == SLOW
    late = switch.choose(1.0, waited_ms=40)
    assert (late.member, late.why, switch.n_moves) == (MIDDLE, "hurry", 0)
    assert switch.choose(1.0, waiting=5).member == MIDDLE  # six requests by the slow one take 150 ms
    assert switch.choose(1.0, waited_ms=500).member == FAST


def test_own_deadlines_decide_single_requests() -> None:
    switch = Switch(MEMBERS, 10)
    assert switch.choose(0.0).member == MIDDLE
    own = switch.choose(0.0, deadline_ms=1000)
    assert (own.member, own.why, own.deadline_ms) == (SLOW, "own deadline", 1000)
    assert switch.choose(0.0, deadline_ms=2).member == FAST
    assert switch.choose(0.0, size=10).member == FAST  # as large as ten usual ones
    assert switch.choose(0.0).member == MIDDLE


def test_members_that_are_not_loaded_do_not_answer() -> None:
    switch = Switch(MEMBERS, 50)
    decision = switch.choose(0.0, loaded={"fast", "middle"})
    assert (decision.member, decision.why) == (MIDDLE, "loading")
    assert switch.members[switch.current] == SLOW  # so that it is loaded


def test_a_slower_machine_is_followed_and_forgotten() -> None:
    switch = Switch(MEMBERS, 50, dwell_s=1)
    for i in range(30):
        switch.answered(i / 10, "slow", 80.0)
    assert switch.choose(3.0).member == MIDDLE
    assert switch.choose(100.0).member == SLOW  # what was seen a minute ago counts no more


def test_budgets_change_by_time_and_queue() -> None:
    switch = Switch(MEMBERS, 99, by_time=[("08:00", 10), ("20:30", 50)], by_queue=[(3, 2)])
    zone = datetime.datetime.now().astimezone().tzinfo
    at = [datetime.datetime(2026, 1, 5, hour, minute, tzinfo=zone).timestamp() for hour, minute in ((7, 59), (8, 0))]
    assert [switch.choose(now).member for now in at] == [SLOW, MIDDLE]
    assert switch.choose(at[1] + 1, waiting=3).deadline_ms == 2


def test_members_of_a_front_are_rows() -> None:
    rows = [{"id": 3, "accuracy": 0.9, "latency_ms": 2.0}, {"id": "4.1", "accuracy": 0.8, "latency_ms": [3.0, 4.0]}]
    switch = Switch(members_of_front(rows), "latency_ms <= 20")
    assert [member.name for member in switch.members] == ["3"]  # the other is slower and worse


def test_all_faults_are_listed() -> None:
    with pytest.raises(UsageError) as caught:
        Switch([FAST, FAST, Member("none", 0.5, ())], "size <= 3", probability=1, workers=0, by_time=[("25:00", -1)])
    assert len(caught.value.faults) == 7
    with pytest.raises(UsageError, match=r"row 0 must have id, accuracy and latency_ms, but lacks latency_ms"):
        members_of_front([{"id": 1, "accuracy": 0.5}])

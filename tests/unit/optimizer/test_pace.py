import pytest

from evo_moo.optimizer.pace import Pace

GENERATIONAL, STEADY = Pace("generational", 8), Pace("steady-state", 8)


@pytest.mark.parametrize(
    ("pace", "wanted"), [(GENERATIONAL, [8, 8]), (STEADY, [8, 1])], ids=lambda x: getattr(x, "mode", "")
)
def test_first_population_is_made_at_once(pace, wanted):
    assert [pace.n_wanted(n_asked) for n_asked in (0, 1)] == wanted


def test_generation_waits_for_the_last_outcome():
    assert not GENERATIONAL.may_make(1) and GENERATIONAL.may_make(0)
    assert not GENERATIONAL.is_complete(7, 8) and GENERATIONAL.is_complete(8, 8)
    assert not GENERATIONAL.is_settled(0, 1) and GENERATIONAL.is_settled(0, 0)


def test_steady_state_waits_for_nothing():
    assert STEADY.may_make(5) and STEADY.is_complete(1, 8)
    assert STEADY.is_settled(0, 5) and not STEADY.is_settled(1, 5)


def test_generations_are_counted():
    assert [STEADY.generation(n, 99) for n in (7, 8, 15, 16)] == [0, 1, 1, 2]
    assert GENERATIONAL.generation(99, 3) == 3

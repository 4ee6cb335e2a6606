import sys

import numpy as np
from pymoo.core.population import Population

from evo_moo.optimizer.fresh_rows import FreshRows
from evo_moo.space.operators import RowDuplicateElimination
from evo_moo.space.search_space import SearchSpace
from evo_moo.space.variables import Integer, Real

SMALL = SearchSpace({"n": Integer(1, 6)})
PAIR = SearchSpace({"n": Integer(1, 6), "m": Integer(0, 1)})
RANDOM = np.random.default_rng(1)


def fresh(space: SearchSpace = SMALL) -> FreshRows:
    return FreshRows(space, RowDuplicateElimination(space))


def test_rows_are_new_until_they_are_remembered():
    rows = fresh()
    rows.remember(np.array([[2.0]]))
    assert rows.are_new(np.array([[1.0], [2.0]])).tolist() == [True, False]
    assert rows.left() == 5


def test_infinite_space_has_a_large_number_left():
    assert fresh(SearchSpace({"x": Real(0, 1)})).left() == sys.maxsize


def test_missing_rows_are_drawn_until_the_space_is_used_up():
    rows = fresh()
    rows.remember(np.array([[2.0], [3.0]]))
    made = rows.filled_up(Population.new(X=np.array([[4.0]])), 3, RANDOM)
    assert len(made) == 3 and made[0].X[0] == 4.0
    everything = rows.filled_up(Population.empty(), 99, RANDOM)
    assert sorted(everything.get("X").ravel().tolist()) == [1, 4, 5, 6]


def test_search_as_by_pymoo_may_repeat_rows():
    rows = FreshRows(SMALL, None)
    made = Population.new(X=np.array([[4.0], [4.0]]))
    rows.remember(made.get("X"))
    assert rows.filled_up(made, 5, RANDOM) is made and rows.dump() is None
    assert rows.are_new(made.get("X")).all()
    assert len(rows.filled_up(Population.empty(), 5, RANDOM)) == 5


def test_state_is_the_rows_and_those_still_open():
    rows, other = fresh(), fresh()
    rows.remember(np.array([[5.0], [2.0]]))
    other.remember(np.array([[1.0]]))
    other.load(rows.dump(), np.array([[6.0]]))
    assert other.are_new(np.arange(1.0, 7.0)[:, None]).tolist() == [True, False, True, True, False, False]


def test_rows_given_as_bytes_count_once():
    rows = fresh(PAIR)
    rows.remember(np.array([[2.0, 1.0]]))
    given = np.array([[1.0, 0.0], [2.0, 1.0], [3.0, 1.0], [1.0, 0.0]])
    assert rows.new_of(x.tobytes() for x in given).tolist() == [[1.0, 0.0], [3.0, 1.0]]
    assert rows.new_of([]).shape == (0, 2)


def test_last_row_of_a_large_finite_space_is_found():
    """Draws alone meet it with a probability of a fifth, and with this seed they do not."""
    space = SearchSpace({"n": Integer(1, 90_000)})
    rows = fresh(space)
    rows.remember(np.delete(np.arange(1.0, 90_001.0), 777)[:, None])
    assert rows.filled_up(Population.empty(), 5, np.random.default_rng(5)).get("X").tolist() == [[778.0]]

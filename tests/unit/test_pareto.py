import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from evo_moo.pareto import LARGEST, Box, drawn_in, frame, hypervolume, hypervolume_history, pareto_rows, reference_point

TIED = st.one_of(st.integers(-3, 3).map(float), st.floats(-3, 3, width=16))
"""Few different values, so that ties and duplicates are common."""


def points(n_obj, elements=TIED):
    shapes = st.tuples(st.integers(1, 15), n_obj)
    return shapes.flatmap(lambda shape: npst.arrays(float, shape, elements=elements))


def dominates(a, b):
    return (a <= b).all() and (a < b).any()


@given(points(st.integers(1, 4)), st.data())
def test_the_front_is_what_no_row_of_least_violation_dominates(F, data):
    violation = data.draw(npst.arrays(float, len(F), elements=st.sampled_from([0.0, 0.5, 2.0])))
    candidates = [i for i in range(len(F)) if violation[i] == violation.min()]
    expected = {i for i in candidates if not any(dominates(F[j], F[i]) for j in candidates)}
    rows = pareto_rows(F, violation)
    assert sorted(rows) == sorted(expected)
    assert (np.diff(F[rows, 0]) >= 0).all()


def test_equal_rows_are_all_kept_and_none_is_no_front():
    F = np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0], [2.0, 2.0]])
    assert pareto_rows(F, np.zeros(4)).tolist() == [0, 2, 1]
    assert pareto_rows(np.empty((0, 2)), np.empty(0)).tolist() == []


def test_unevaluated_row_is_no_better_than_the_feasible():
    F = np.array([[np.inf, np.inf], [3.0, 3.0], [0.0, 0.0]])
    assert pareto_rows(F, np.array([5.0, 0.0, 0.1])).tolist() == [1]


def swept_area(F, ref):
    """Sum rectangles from left to right, each as high as the best point so far."""
    area, lowest = 0.0, ref[1]
    for x, y in sorted(map(tuple, F)):
        if x < ref[0] and y < lowest:
            area += (ref[0] - x) * (lowest - y)
            lowest = y
    return area


@given(points(st.just(2)), st.tuples(st.floats(-3, 4, width=16), st.floats(-3, 4, width=16)))
def test_the_hypervolume_in_two_dimensions_is_the_swept_area(F, ref):
    assert hypervolume(F, ref) == pytest.approx(swept_area(F, ref), rel=1e-9, abs=1e-12)


@given(points(st.integers(1, 3), elements=st.integers(0, 4).map(float)))
def test_the_hypervolume_of_whole_points_counts_unit_cubes(F):
    cubes = np.stack(np.meshgrid(*[np.arange(5.0)] * F.shape[1]), axis=-1).reshape(-1, F.shape[1])
    dominated = (F[None] <= cubes[:, None]).all(axis=2).any(axis=1)
    assert hypervolume(F, [5.0] * F.shape[1]) == pytest.approx(dominated.sum())


def test_points_beyond_the_reference_point_count_nothing():
    assert hypervolume(np.array([[1.0, 1.0], [-100.0, 2.0]]), [2.0, 2.0]) == 1.0
    assert hypervolume(np.array([[3.0, 0.0]]), [2.0, 2.0]) == 0.0
    assert hypervolume(np.empty((0, 2)), [2.0, 2.0]) == 0.0


@given(points(st.integers(2, 4)))
def test_the_reference_point_is_worse_than_every_point(F):
    assert (reference_point(F) > F).all()


def test_reference_point_lies_a_tenth_beyond_the_worst():
    np.testing.assert_allclose(reference_point(np.array([[0.0, 5.0], [10.0, 5.0]])), [11.0, 5.5])


@given(points(st.integers(2, 3)), st.integers(2, 20))
def test_the_history_grows_to_the_hypervolume_of_all_points(F, n_points):
    box = Box.around(F)
    counts, volumes, sizes = hypervolume_history(F, box, n_points)
    assert (np.diff(counts) > 0).all() and counts[-1] == len(F) and len(counts) <= n_points
    whole = np.prod(box.ref - box.best)
    np.testing.assert_allclose(volumes, [hypervolume(F[:count], box.ref) / whole for count in counts], rtol=1e-9)
    assert (np.diff(volumes) >= -1e-9 * volumes.max()).all()
    fronts = [F[:count][pareto_rows(F[:count], np.zeros(count))] for count in counts]
    assert sizes.tolist() == [len(np.unique(front, axis=0)) for front in fronts]


def test_history_of_many_objectives_is_near_the_hypervolume():
    F = np.random.default_rng(0).random((30, 6))
    box = Box.around(F)
    history = hypervolume_history(F, box, 8)
    assert len(history.counts) == 2 and history.counts[-1] == 30
    exact = hypervolume(F, box.ref) / np.prod(box.ref - box.best)
    np.testing.assert_allclose(history.volumes[-1], exact, rtol=0.02)


@given(points(st.integers(2, 6)), st.sampled_from([0.25, 2.0, 64.0]), st.integers(-50, 50))
def test_the_share_of_a_box_knows_no_units(F, scale, shift):
    box, moved = Box.around(F), F * scale + shift
    if (np.ptp(F, axis=0) > 0).all():
        assert 0 < box.share(F) <= 1 + 1e-9
        assert Box.around(moved).share(moved) == pytest.approx(box.share(F))
    assert box.share(F[:0]) == 0.0
    joint = Box.joint([box, Box(box.best - 1, box.ref + 2)])
    np.testing.assert_array_equal(joint, [box.best - 1, box.ref + 2])


@given(st.lists(st.floats(0.1, 100), min_size=1), st.lists(st.floats(-1, 1000)), st.booleans(), st.booleans())
@example([0.1, 0.10000000000000002], [], False, False)
@example([1.0, 1.0000000000000002], [], False, True)
def test_frame_holds_the_front_and_more_room_on_the_worse_side(front, others, is_max, is_log):
    on = np.array(front)
    low, high = frame(on, np.array(others), is_max=is_max, is_log=is_log)
    assert low < on.min() and high > on.max()
    gaps = (np.log(on.min() / low), np.log(high / on.max())) if is_log else (on.min() - low, high - on.max())
    assert gaps[0] > gaps[1] if is_max else gaps[1] > gaps[0]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=8))
def test_drawn_in_values_keep_their_order_and_can_be_multiplied(values):
    array = np.array(values)
    drawn = drawn_in(array)
    assert np.isfinite(drawn**4).all()
    small = np.abs(array) <= LARGEST
    assert (drawn[small] == array[small]).all()
    order = np.argsort(array, kind="stable")
    assert (np.diff(drawn[order]) >= 0).all()
    for a, b in itertools.pairwise(order):
        assert drawn[b] > drawn[a] or array[b] / 2 - array[a] / 2 <= 1e-10 * max(abs(array[a]), abs(array[b]))


def test_frame_of_the_largest_numbers_is_computed():
    low, high = frame(np.array([1e307, 2e307]), np.array([1.2e308, 1.7e308]), is_max=False, is_log=False)
    assert low == pytest.approx(9e306) and high == pytest.approx(4.5e307)

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evo_moo.analysis.batch_summary import RunRow, common_hypervolumes, group_row, read_table
from evo_moo.cli.batch import print_table
from evo_moo.errors import RunFolderError

POINTS = arrays(float, st.tuples(st.integers(0, 6), st.just(2)), elements=st.integers(0, 20).map(float))


def test_the_common_box_by_hand():
    whole, part = np.array([[0.0, 10.0], [2.0, 0.0]]), np.array([[2.0, 0.0]])
    # Normalised, the points are (0, 1) and (1, 0), below the reference point (1.1, 1.1).
    assert common_hypervolumes([whole, part]) == pytest.approx([(0.11 + 0.11 - 0.01) / 1.21, 0.11 / 1.21])


def test_no_feasible_point_is_no_hypervolume():
    assert common_hypervolumes([np.empty((0, 2)), np.empty((0, 2))]) == [0.0, 0.0]
    assert common_hypervolumes([np.empty((0, 2)), np.array([[3.0, 4.0]])]) == pytest.approx([0.0, 1.0])


@given(st.lists(POINTS, min_size=1, max_size=4))
def test_hypervolumes_are_shares_and_the_union_has_the_largest(fronts):
    volumes = common_hypervolumes([*fronts, np.vstack(fronts)])
    assert all(0 <= volume <= volumes[-1] + 1e-12 for volume in volumes) and volumes[-1] <= 1 + 1e-12
    if len(joint := joint_front(np.vstack(fronts))):
        span = np.where(np.ptp(joint, axis=0) > 0, np.ptp(joint, axis=0), 1)
        assert volumes[:-1] == pytest.approx([area((F - joint.min(axis=0)) / span) / 1.21 for F in fronts])


def area(F):
    """The area that two objectives dominate below (1.1, 1.1), summed in strips from left to right."""
    total, low = 0.0, 1.1
    for x, y in sorted(F.tolist()):
        total, low = total + max(1.1 - x, 0) * max(low - y, 0), min(low, y)
    return total


@given(st.lists(POINTS, min_size=1, max_size=4), st.sampled_from([0.25, 2.0, 64.0]), st.integers(-50, 50))
def test_units_do_not_matter(fronts, scale, shift):
    points = np.vstack(fronts)
    if len(points) and (np.ptp(points, axis=0) > 0).all():
        moved = [F * scale + shift for F in fronts]
        spans = [np.ptp(joint_front(F), axis=0) for F in (points, np.vstack(moved))]
        if all((span > 0).all() for span in spans):
            assert common_hypervolumes(moved) == pytest.approx(common_hypervolumes(fronts))


def joint_front(F):
    return np.array([p for p in F if not any((q <= p).all() and (q < p).any() for q in F)])


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(RunFolderError, match="must be a batch's folder"):
        read_table(tmp_path)
    (tmp_path / "torn.toml").write_text("[problem")
    with pytest.raises(RunFolderError, match="must be TOML"):
        read_table(tmp_path)


def test_a_group_of_mixed_budgets_shows_their_range(tmp_path, monkeypatch, capsys):
    rows = [RunRow("a,seed=1", "a", "finished", 24), RunRow("a,seed=2", "a", "finished", 30), RunRow("a", "a", "new")]
    groups = [group_row(rows), group_row(rows[:1])]
    monkeypatch.setattr("evo_moo.analysis.batch_summary.read_table", lambda folder: (groups, rows))
    print_table(tmp_path, as_json=False)
    shown = capsys.readouterr().out
    assert "a: 24 to 30 evaluations per run" in shown and shown.count("evaluations per run") == 1

from types import SimpleNamespace

import numpy as np
import pytest

import evo_moo
from evo_moo.analysis.batch_summary import RunRow, common_boxes, group_row, read_table
from evo_moo.cli.batch import print_table
from evo_moo.errors import RunFolderError
from evo_moo.pareto import Box


def front_in(*boxes):
    return SimpleNamespace(views=[SimpleNamespace(box=box and Box(*map(np.array, box))) for box in boxes])


def test_the_common_box_holds_the_boxes_of_all_runs():
    boxes = [([0.0, 5.0], [2.0, 9.0]), None, ([1.0, 4.0], [3.0, 8.0])]
    ((best, ref),) = common_boxes(map(front_in, boxes))
    assert best.tolist() == [0.0, 4.0] and ref.tolist() == [3.0, 9.0]
    assert common_boxes([front_in(None)]) == [None]


def test_contexts_have_common_boxes_of_their_own():
    one, other = ([0.0, 5.0], [2.0, 9.0]), ([1.0, 4.0], [3.0, 8.0])
    first, second, third = common_boxes([front_in(one, one, None), front_in(other, None, None)])
    assert (first.best.tolist(), first.ref.tolist()) == ([0.0, 4.0], [3.0, 9.0])
    assert (second.best.tolist(), third) == ([0.0, 5.0], None)


def test_hypervolume_of_a_single_run_is_the_one_it_shows(tmp_path):
    (tmp_path / "a.toml").write_text('[problem]\nuse = "pymoo:bnh"\n[search]\n')
    result = evo_moo.search("pymoo:bnh", pop_size=8, termination=("n_evals", 24), workers=1, run_dir=tmp_path / "a")
    _, (row,) = read_table(tmp_path)
    assert row.hypervolume == result.hypervolume() > 0


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

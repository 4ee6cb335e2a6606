import os

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pandas")

from evo_moo.errors import ProblemError  # noqa: E402
from evo_moo.toolkit.conditioned.networks import ConditionedMLP  # noqa: E402
from evo_moo.toolkit.conditioned.tables import read_table  # noqa: E402

DATA = os.environ.get("EVO_MOO_DATA")
SIZES = {"adult": (48842, 88), "compas": (6172, 19), "compas_leak": (6172, 20), "credit": (30000, 90)}


@pytest.mark.skipif(not DATA, reason="EVO_MOO_DATA names no folder of data files")
@pytest.mark.parametrize("name", SIZES)
def test_tables_have_the_rows_and_columns_of_the_publication(name):
    table = read_table(name)
    assert table.X.shape == SIZES[name] and len(table.columns) == SIZES[name][1]
    assert np.isfinite(table.X).all() and set(table.y) == set(table.group) == {0, 1}
    assert not {"sex", "gender", "SEX"} & {column.partition("_")[0] for column in table.columns}
    if name == "adult":
        network = ConditionedMLP(table.X.shape[1], 2)
        assert sum(parameter.numel() for parameter in network.parameters()) == 7011


def test_the_demonstration_needs_no_file():
    table = read_table("demo")
    assert table.X.shape == (442, 9) and "sex" not in table.columns
    assert 0.4 < table.y.mean() < 0.6 and 0.4 < table.group.mean() < 0.6


def test_parts_are_disjoint_and_scaled_by_the_training_rows():
    table = read_table("demo")
    parts = table.parts()
    assert [len(part.y) for part in parts.values()] == [308, 45, 89]
    np.testing.assert_allclose(parts["train"].X.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(parts["train"].X.std(0, correction=0), 1, rtol=1e-4)
    assert abs(parts["test"].X.mean(0)).max() > 0.01
    everything = torch.cat([part.X for part in table.parts("all").values()])
    np.testing.assert_allclose(everything.mean(0), 0, atol=1e-5)
    assert len(everything.unique(dim=0)) == 442


def test_small_parts_may_be_alike_in_labels_and_groups():
    parts = read_table("demo").parts(stratified=True)
    assert [len(part.y) for part in parts.values()] == [221, 110, 111]
    shares = [(part.y * part.group).float().mean().item() for part in parts.values()]
    assert max(shares) - min(shares) < 0.02


def test_missing_files_and_columns_are_named(monkeypatch, tmp_path):
    monkeypatch.delenv("EVO_MOO_DATA", raising=False)
    with pytest.raises(ProblemError, match="`data` = 'credit' must have its file, but none is named; set `path`"):
        read_table("credit")
    file = tmp_path / "adult.csv"
    file.write_text("age,workclass\n1,Private\n")
    with pytest.raises(ProblemError, match="must be the table 'adult', but lacks the column"):
        read_table("adult", str(file))

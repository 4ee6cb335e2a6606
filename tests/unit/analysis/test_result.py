"""What a result is in a notebook."""

import re
import sys

import pytest

import evo_moo


class Nearly(evo_moo.SearchProblem):
    """Values that four digits do not tell apart; some evaluations fail."""

    variables = {
        "x": evo_moo.Real(0, 1),
        "kind": evo_moo.Choice([None, "<a>"]),
        "b": evo_moo.Integer(1, 9, when={"kind": "<a>"}),
    }
    objectives = {"loss": "min", "speed": "max"}

    def evaluate(self, config):
        if config["x"] > 0.9:
            raise ArithmeticError("too large")
        return {"loss": 1 + config["x"] / 1e6, "speed": 1e6 + config["x"]}


@pytest.fixture(scope="module")
def result():
    start = [{"x": x / 10, "kind": "<a>" if x % 2 else None} | ({"b": 3} if x % 2 else {}) for x in range(11)]
    return evo_moo.search(Nearly(), start=start, pop_size=11, termination=("n_evals", 11), workers=1, surrogate="none")


def test_a_result_says_how_many_failed(result):
    words = "front of 10 among 11 evaluations, 1 of them failed; min loss, max speed"
    assert repr(result) == f"<Result: {words}>"
    assert f"<p>{words}</p>" in result._repr_html_()


def test_a_notebook_shows_the_front_as_a_table_of_different_rows(result):
    shown = result._repr_html_()
    rows = [re.findall("<t[hd]>(.*?)</t[hd]>", row) for row in re.findall("<tr>(.*?)</tr>", shown)]
    assert rows[0] == ["id", "loss", "speed", "x", "kind", "b"]
    assert rows[1:3] == [
        ["1", "1", "1000000", "0", "none", ""],
        ["2", "1.0000001", "1000000.1", "0.1", "&lt;a&gt;", "3"],
    ]
    assert all(len({row[k] for row in rows[1:]}) == 10 for k in (1, 2, 3))


def test_a_table_of_pandas_has_the_front_or_every_evaluation(result):
    front, table = result.to_dataframe(front=True), result.to_dataframe()
    assert front["metrics.loss"].tolist() == [m["loss"] for m in result.metrics]
    assert table["id"].tolist() == list(range(1, 12)) and table["on_front"].sum() == 10
    assert table.loc[10, ["status", "feasible"]].tolist() == ["failed", False]
    assert table["reason"][10].startswith("ArithmeticError: too large") and table["metrics.loss"].isna().sum() == 1
    assert table["config.kind"].tolist() == ["none", "<a>"] * 5 + ["none"]
    assert table["config.b"].isna().tolist() == [True, False] * 5 + [True]


def test_a_missing_pandas_is_named(result, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(evo_moo.UsageError, match=r"`to_dataframe` must have pandas, but .*; pip install pandas"):
        result.to_dataframe()


def test_figures_show_as_pictures(result):
    assert result.plot()._repr_png_().startswith(b"\x89PNG")

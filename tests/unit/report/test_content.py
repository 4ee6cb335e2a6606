"""A run as columns and as a timeline."""

import itertools
import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import evo_moo
from evo_moo.analysis import timeline
from evo_moo.analysis.run_record import RunRecord
from evo_moo.report import columns as report_columns
from evo_moo.report.columns import ROLES, significant, table_of
from evo_moo.report.content import read_report
from evo_moo.report.page import number
from tests.unit.long_runs import long_run

GOLDEN = Path(__file__).parents[2] / "golden"


@given(st.lists(st.none() | st.floats(allow_nan=False)))
def test_six_digits_are_kept_and_what_is_none_is_nan(values):
    for value, rounded in zip(values, significant(values), strict=True):
        if value is None:
            assert math.isnan(rounded)
        else:
            assert rounded == pytest.approx(value, rel=5.1e-6, abs=0)


@given(st.floats(1e-15, 1e15), st.sampled_from([-1, 1]))
def test_a_rounded_number_is_written_short(value, sign):
    (rounded,) = significant([sign * value])
    digits = repr(float(rounded)).lstrip("-").split("e")[0].replace(".", "").strip("0")
    assert len(digits) <= (6 if value < 1e6 else 16)


def test_large_run_keeps_its_front_and_a_share_of_the_rest(monkeypatch):
    record = RunRecord.read(GOLDEN / "format_4" / "finished")
    monkeypatch.setattr(report_columns, "MOST_ROWS", len(record.front_ids) + 5)
    table = table_of(record)
    assert table.n_left_out == len(record.evaluations) - len(record.front_ids) - 5
    assert record.front_ids <= set(table.id) and (np.diff(table.id) > 0).all()
    others = [e.id for e in record.evaluations if e.id not in record.front_ids]
    assert {others[0], others[-1]} <= set(table.id)


def test_table_of_many_columns_has_fewer_rows(monkeypatch):
    record = RunRecord.read(GOLDEN / "format_4" / "finished")
    n_columns = len(record.variable_names) + len(record.metric_names)
    monkeypatch.setattr(report_columns, "MOST_CELLS", n_columns * (len(record.front_ids) + 3))
    assert len(table_of(record).id) == len(record.front_ids) + 3
    monkeypatch.setattr(report_columns, "MOST_CELLS", 1)
    assert set(table_of(record).id) == record.front_ids


def test_report_of_a_long_run_is_thinned_alike_each_time(tmp_path, monkeypatch):
    monkeypatch.setattr(report_columns, "MOST_ROWS", 200)
    run = long_run(tmp_path, 1200)
    report = read_report(run, with_importances=False)
    assert len(report.columns.id) == 200 and report.columns.n_left_out == 1000
    front = {e.id for e in report.result.front}
    assert front <= set(report.columns.id)
    assert read_report(run, with_importances=False).columns.id == report.columns.id


def test_repetitions_are_means_with_their_spread():
    table = read_report(GOLDEN / "format_4" / "stopped-refined").columns
    record = RunRecord.read(GOLDEN / "format_4" / "stopped-refined")
    by_id = {e.id: e for e in record.evaluations}
    repeated = {e.continues: e for e in record.evaluations if e.replicate and e.status == "ok"}
    assert repeated
    loss = table.metric("loss")
    rows = {int(key): i for i, key in enumerate(table.id)}
    for first, second in repeated.items():
        values = [by_id[first].metrics["loss"], second.metrics["loss"]]
        assert loss.values[rows[first]] == pytest.approx(np.mean(values), rel=1e-5)
        sd = table.sd["loss"][str(rows[first])]
        assert sd == pytest.approx(np.std(values, ddof=1), rel=1e-2)
        assert ROLES[table.role[rows[second.id]]] == "repetition"


def test_true_front_and_units_are_in_the_report(tmp_path):
    class Known(evo_moo.SearchProblem):
        variables = {"x": evo_moo.Integer(0, 10)}
        objectives = {"a": "min", "b": "max"}
        metrics = {"a": evo_moo.Metric(unit="ms")}

        def evaluate(self, config):
            return {"a": config["x"], "b": config["x"]}

        def _calc_pareto_front(self):
            return np.array([[x, -x] for x in range(11)])

    evo_moo.search(Known(), "grid", termination=("n_evals", 11), workers=1, run_dir=tmp_path / "r")
    report = read_report(tmp_path / "r")
    assert [objective.words for objective in report.objectives] == ["a (ms), less is better", "b, more is better"]
    history = report.history
    assert history.box == {"a": (0.0, pytest.approx(11.0)), "b": (10.0, pytest.approx(-1.0))}
    assert history.box_of == "the first generation's box"
    # Eleven steps of a staircase below the reference point, in a box of 11 by 11.
    assert history.volume[-1] == pytest.approx(history.true) == pytest.approx(66 / 121, rel=1e-5)
    assert report.facts["Hypervolume"] == "0.5455 of the first generation's box"


def test_equal_events_at_one_point_are_one_entry(monkeypatch):
    asked = [SimpleNamespace(id=i, asked_at=float(i), continues=None) for i in range(1, 11)]
    reused = [(5.5, "profile reused", {"evaluation": i, "measured_at": 1.0}) for i in range(3)]
    chosen = (2.5, "surrogate", {"metric": "a", "n": 2, "chosen": "gp", "scores": {"gp": {"rank_correlation": 0.5}}})
    told = timeline.timeline([*reused, chosen, (11.0, "finished", {"n_asked": 10, "reason": "enough"})], asked)
    assert [(entry.n, entry.lane) for entry in told.entries] == [
        (2, "model choices"),
        (5, "reuse"),
        (10, "state"),
    ]
    texts = [entry.text for entry in told.entries]
    assert texts[0] == "surrogate: a: gp chosen of 2 evaluations, rank correlation 0.50 in cross-validation"
    assert texts[1:] == ["profile reused (3 times)", "finished: enough"]
    monkeypatch.setattr(timeline, "MOST_EVENTS", 2)
    assert timeline.timeline([*reused, chosen, (11.0, "stopped", {})], asked).n_left_out == 1


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.97488, "0.9749"),
        (5668.0, "5,668"),
        (23752.4, "23,752"),
        (1.2e9, "1.2e+09"),
        (5.7789e-05, "5.779e-05"),
        (None, ""),
    ],
)
def test_numbers_are_written_as_people_read_them(value, words):
    assert number(value) == words


class Wide(evo_moo.SearchProblem):
    """Three objectives; most evaluations lie far off the front in one of them."""

    variables = {"i": evo_moo.Integer(0, 39)}
    objectives = {"a": "min", "b": "min", "c": "max"}

    def evaluate(self, config):
        i = config["i"]
        if i < 10:
            return {"a": float(i), "b": 9.0 - i, "c": float(i // 2)}
        return {"a": 10.0 + i % 3, "b": 10.0 + 100 * (i % 4 == 0), "c": -1.0 - 1000 * (i % 5 == 0)}


def test_evaluations_outside_of_a_pair_are_counted(tmp_path):
    evo_moo.search(Wide(), "grid", termination=("n_evals", 40), grid_points=40, workers=1, run_dir=tmp_path / "r")
    report = read_report(tmp_path / "r", with_importances=False)
    rows = [e.metrics for e in report.result.evaluations]
    by_hand = [
        sum(any(not report.frame[name][0] <= row[name] <= report.frame[name][1] for name in pair) for row in rows)
        for pair in itertools.combinations("abc", 2)
    ]
    assert report.outside == by_hand and max(by_hand) > 0
    assert json.loads(report.to_json())["outside"] == by_hand


def test_equal_points_of_a_front_are_named_in_the_legend():
    class Twice(evo_moo.SearchProblem):
        variables = {"i": evo_moo.Integer(0, 5)}
        objectives = {"a": "min", "b": "min"}

        def evaluate(self, config):
            return {"a": float(config["i"] // 2), "b": 3.0 - config["i"] // 2}

    result = evo_moo.search(Twice(), "grid", termination=("n_evals", 6), grid_points=6, workers=1)
    words = [text.get_text() for text in result.plot().axes[0].get_legend().get_texts()]
    assert words[0] == "Pareto front: 6 at 3 points"

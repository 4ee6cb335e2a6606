from pathlib import Path

import pytest

from evo_moo.errors import EvoMooError
from evo_moo.job.start import asked_first, complete_start, is_told, read_known, told
from evo_moo.problem.points import Point
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.space.search_space import SearchSpace
from evo_moo.space.variables import Boolean, Choice, Integer, Real


class Mixed(SearchProblem):
    variables = {
        "x": Real(0, 1),
        "kind": Choice(["a", "b", "=c", 3, None]),
        "n": Integer(1, 9, when={"kind": ["b", "a"]}),
        "on": Boolean(),
    }
    objectives = {"f": "min", "g": "max"}

    def evaluate(self, config):
        return {"f": config["x"], "g": 1}


PROBLEM = Mixed()
GOALS = PROBLEM.goals
CONFIGURATION = {"x": 0.5, "kind": "a", "n": 2, "on": True}
ENTRY = {"configuration": CONFIGURATION, "metrics": {"f": 1, "g": 2}}


def known(tmp_path: Path, text: str):
    (tmp_path / "t.csv").write_text(text)
    return read_known(tmp_path / "t.csv", PROBLEM, GOALS)


def test_an_entry_with_metrics_is_told_and_others_are_asked():
    start = [CONFIGURATION, ENTRY]
    assert asked_first(start, PROBLEM.space) == [CONFIGURATION]
    assert told(start, PROBLEM.space, GOALS) == [(CONFIGURATION, {"f": 1, "g": 2})]
    named_so = SearchSpace({"configuration": Real(0, 1), "metrics": Real(0, 1)})
    assert not is_told({"configuration": 0.5, "metrics": 0.5}, named_so)


def test_a_configuration_that_is_told_twice_has_the_means():
    again = {**ENTRY, "metrics": {"f": 3, "g": 2, "more": 1}}
    assert told([ENTRY, again], PROBLEM.space, GOALS) == [(CONFIGURATION, {"f": 2, "g": 2})]


def test_points_of_a_training_are_told_together():
    space, joint = SearchSpace({"x": Real(0, 1)}), SearchSpace({"x": Real(0, 1), "kind": Choice(["a", "b"])})
    rows = [(0.5, "a", 1), (0.25, "a", 2), (0.5, "b", 3), (0.5, "b", 5)]
    start = [{"configuration": {"x": x, "kind": kind}, "metrics": {"f": f, "g": 0}} for x, kind, f in rows]
    first, second = told(start, space, GOALS, joint)
    assert first == ({"x": 0.5}, [Point({"kind": "a"}, {"f": 1, "g": 0}), Point({"kind": "b"}, {"f": 4, "g": 0})])
    assert second == ({"x": 0.25}, [Point({"kind": "a"}, {"f": 2, "g": 0})])
    with pytest.raises(EvoMooError, match="`kind`: must be given"):
        told([{"configuration": {"x": 0.5}, "metrics": {"f": 1, "g": 0}}], space, GOALS, joint)


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ({**ENTRY, "metrics": {"f": 1}}, "metrics must hold a number for every goal, but lack g"),
        ({**ENTRY, "metrics": {"f": 1, "g": float("nan")}}, "metrics must hold a number for every goal"),
        ({**ENTRY, "metrics": None}, "an evaluation must return a dict of metrics, but it returned NoneType"),
        ({**ENTRY, "configuration": {"x": 2}}, "`x`: must lie between 0 and 1, but is 2"),
        ({"x": 2}, "`x`: must lie between 0 and 1, but is 2"),
        ({"y": 2}, "`y`: unknown variable; known are x, kind, n, on"),
        ({"n": 2, "kind": 3}, "`n`: exists only when kind in [b, a], but is given as 2"),
    ],
)
def test_faults_of_a_start_name_the_entry(entry, fault):
    whole, (found,) = complete_start([ENTRY, entry], PROBLEM.space, GOALS, 1)
    assert whole == [ENTRY] and found.startswith(f"[1]: {fault}")


def test_a_partly_given_configuration_is_completed_by_the_seed():
    given = [{"x": 0.25}, {"n": 3}, {}]
    whole, faults = complete_start(given, PROBLEM.space, GOALS, 1)
    assert faults == [] and whole == complete_start(given, PROBLEM.space, GOALS, 1)[0]
    PROBLEM.space.encode(whole)
    assert whole[0]["x"] == 0.25 and whole[1]["n"] == 3 and whole[1]["kind"] in ("a", "b")
    assert whole != complete_start(given, PROBLEM.space, GOALS, 2)[0]
    assert complete_start(whole, PROBLEM.space, GOALS, 2)[0] == whole


def test_a_table_is_read_by_the_kinds_of_its_variables(tmp_path):
    text = (
        "x,kind,n,on,f,g,when\n0.5,a,2.0,True,1,2,monday\n.25,'=c,,false,1e-3,2,\n1,3,,true,1,2,\n1,none,,false,1,2,\n"
    )
    entries, faults = known(tmp_path, text)
    assert faults == []
    assert [entry["configuration"] for entry in entries] == [
        CONFIGURATION,
        {"x": 0.25, "kind": "=c", "on": False},
        {"x": 1, "kind": 3, "on": True},
        {"x": 1, "kind": None, "on": False},
    ]
    assert entries[1]["metrics"] == {"f": 0.001, "g": 2}


def test_an_export_is_read_where_it_ended_well(tmp_path):
    header = "id,status,config.x,config.kind,config.n,config.on,metrics.f,metrics.g,seed\n"
    entries, faults = known(tmp_path, f"{header}1,ok,0.5,a,2,true,1,2,7\n2,failed,0.1,a,2,true,,,7\n")
    assert faults == [] and entries == [ENTRY]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "x,kind,n,f\n",
            "a column for each variable and goal, but lacks `on`, `g`; it has x, kind, n, f",
        ),
        ("x,kinds,n,on,f,g\n", "must be named like its variable or metric, but `kinds` is nearly so"),
        ("x,kind,n,on,f,g\n", "must have a row that ended well, but has none"),
        ("x,kind,n,on,f,g\n0.5,a,2,true,1,\n", "line 2: metrics must hold a number for every goal, but lack g"),
        ("x,kind,n,on,f,g\n0.5,a,2.5,true,1,2\n", "line 2: `n` must be a whole number (an int), but is 2.5"),
        ("x,kind,n,on,f,g\n0.5,a,2,maybe,1,2\n", "line 2: `on` must be True or False, but is 'maybe'"),
        ("x,kind,n,on,f,g\n0.5,a,2,true,low,2\n", "line 2: `f` must be a number, but is 'low'"),
        ("x,kind,n,on,f,g\n0.5,a,,true,1,2\n", "line 2: `n`: must be given, but is missing"),
    ],
)
def test_faults_of_a_table_name_column_or_line(tmp_path, text, fault):
    _, faults = known(tmp_path, text)
    assert len(faults) == 1 and fault in faults[0] and faults[0].startswith("`search.known`: ")


def test_a_table_that_cannot_be_read_is_a_fault(tmp_path):
    _, (fault,) = read_known(tmp_path / "none.csv", PROBLEM, GOALS)
    assert "must be a CSV file that can be read, but: " in fault


def test_a_told_configuration_outside_the_space_is_refused():
    with pytest.raises(EvoMooError):
        told([{**ENTRY, "configuration": {"x": 3}}], PROBLEM.space, GOALS)

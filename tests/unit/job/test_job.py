import copy
import datetime
import math
import os
import re
import tomllib
from pathlib import Path

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from evo_moo.errors import JobError
from evo_moo.job.budget import seconds
from evo_moo.job.check import check_job
from evo_moo.job.file import override, read_job_file, settings
from evo_moo.problem.options import Text
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.space.variables import Real

FULL = """
[problem]
use = "pymoo:bnh"
options = {}
[search]
algorithm = "nsga3"
pop_size = 24
seed = 7
mode = "generational"
[budget]
n_evals = 100
n_gen = 10
time = "2 h"
[objectives]
f2 = "max"
f1 = "min"
[constraints]
f1 = { at_most = 20, at_least = 1.5 }
[evaluation]
workers = 2
pool = "loky"
timeout = "1.5 min"
retries = 0
"""
MINIMAL = {"problem": {"use": "pymoo:zdt1"}, "budget": {"n_evals": 10}}


class Mine(SearchProblem):
    variables = {"x": Real(0, 1)}
    objectives = {"f": "min"}
    constraints = {"g": {"at_most": 3}}

    def __init__(self, shift=0):
        self.shift = shift

    def evaluate(self, config):
        return {"f": self.shift, "g": 0}


class Typed(Mine):
    def __init__(self, n_samples: int = 3, noise: bool | None = True, rate: float | None = None):
        self.given = n_samples, noise, rate


def faults_of(data):
    with pytest.raises(JobError) as raised:
        check_job(data)
    assert str(raised.value) == "\n".join(raised.value.faults)
    return list(raised.value.faults)


def key_of(fault):
    return re.match(r"`([^`]*)`", fault)[1]


def test_a_full_job_is_read_and_survives_toml():
    job, problem, source = check_job(tomllib.loads(FULL))
    assert (job.search.algorithm, job.search.pop_size, job.search.seed) == ("nsga3", 24, 7)
    assert (job.budget.n_evals, job.budget.n_gen, job.budget.time) == (100, 10, 7200.0)
    assert (job.evaluation.workers, job.evaluation.timeout, job.evaluation.retries) == (2, 90.0, 0)
    assert [(o.metric, o.direction) for o in job.goals(problem).objectives] == [("f2", "max"), ("f1", "min")]
    assert len(job.goals(problem).limits) == 2
    again, _, same_source = check_job(tomllib.loads(tomli_w.dumps(job.to_toml())))
    assert again == job and same_source == source


def test_omitted_keys_have_defaults():
    job, problem, _ = check_job(MINIMAL)
    assert (job.search.algorithm, job.search.pop_size, job.search.seed) == ("nsga2", None, 1)
    assert (job.evaluation.workers, job.evaluation.timeout) == (os.cpu_count(), None)
    assert job.goals(problem) == problem.goals
    assert check_job(tomllib.loads(tomli_w.dumps(job.to_toml())))[0] == job


def test_a_jobs_own_goals_replace_those_of_the_problem():
    data = MINIMAL | {"objectives": {"g": "max"}, "constraints": {}}
    job, problem, _ = check_job(data | {"problem": {"use": "an object"}}, Mine())
    assert [o.metric for o in job.goals(problem).objectives] == ["g"]
    assert job.goals(problem).limits == ()


def test_an_object_is_the_problem_where_one_is_given():
    _, problem, source = check_job(MINIMAL | {"problem": {"use": "an object"}}, Mine(4))
    assert problem.shift == 4 and source.build().shift == 4


def test_every_fault_is_listed_at_once_with_its_key():
    faults = faults_of(
        {
            "problem": {"use": "pymoo:zdt1", "option": {}},
            "search": {"algorithm": "nsga4", "pop_size": 2, "seed": -1, "popsize": 9},
            "budget": {"n_evals": 1.5, "n_gen": 0, "time": "soon"},
            "objectives": {"f3": "min", "f1": "up"},
            "constraints": {"f1": {"below": 3}},
            "evaluation": {"workers": "4", "retries": -1, "timeout": 0, "profile_cache": 1},
            "serch": {},
        }
    )
    assert sorted(map(key_of, faults)) == [
        "budget.n_evals",
        "budget.n_gen",
        "budget.time",
        "constraints.f1.below",
        "evaluation.profile_cache",
        "evaluation.retries",
        "evaluation.timeout",
        "evaluation.workers",
        "objectives.f1",
        "objectives.f3",
        "problem.option",
        "search.algorithm",
        "search.pop_size",
        "search.popsize",
        "search.seed",
        "serch",
    ]


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"search": {"pop_size": 2}}, "`search.pop_size` must be at least 4, but is 2"),
        ({"search": {"pop_size": True}}, "`search.pop_size` must be a whole number, but is True"),
        ({"search": {"pop_size": "20"}}, "`search.pop_size` must be a whole number, but is '20'"),
        ({"search": {"seed": 2**32}}, "`search.seed` must be below 4294967296, but is 4294967296"),
        (
            {"search": {"algorithm": "nsga4"}},
            "`search.algorithm` must be 'nsga2', 'nsga3', 'weighted-sum', 'tchebycheff', 'random', "
            "'sobol', 'grid', 'unsga3', 'agemoea2', 'smsemoa', 'spea2', 'ctaea' or 'moead', but is 'nsga4'",
        ),
        ({"search": {"popsize": 9}}, "`search.popsize` is no key of a job; did you mean `pop_size`? known here: "),
        ({"search": 3}, "`search` must be a table, but is 3"),
        ({"grid": {}}, "`grid` is no key of a job; `evo-moo batch` takes it; known here: problem, search"),
        ({"serch": {}}, "`serch` is no key of a job; did you mean `search`? known here: problem, search"),
        ({"evaluation": {"profile_cache": "no"}}, "`evaluation.profile_cache` must be true or false, but is 'no'"),
        ({"evaluation": {"workers": 2000}}, "`evaluation.workers` must be at most 1024, but is 2000"),
        ({"evaluation": {"timeout": "soon"}}, "`evaluation.timeout` must be a duration above 0, in seconds or as in"),
        ({"budget": {}}, "`budget` must set n_evals, n_gen, time or stop_when, but sets none; try --n-evals 100"),
        ({"budget": 5}, "`budget` must be a table, but is 5"),
        ({"objectives": {}}, "`objectives`: name at least one metric"),
        ({"objectives": {"f11": "min"}}, "`objectives.f11`: the problem has no metric `f11`; did you mean `f1`?"),
        ({"objectives": 3}, "`objectives` must be a table, but is 3"),
        ({"constraints": {"f1": 20}}, "`constraints.f1` must be a limit such as {at_most = 20}, but is 20"),
        ({"problem": {"use": 3}}, "`problem.use` must be text, but is 3"),
        ({"problem": {}}, "`problem.use` must be given, but is missing"),
        ({"problem": "pymoo:zdt1"}, "`problem` must be a table, but is 'pymoo:zdt1'"),
        ({"problem": {"use": "pymoo:zdt1", "options": 3}}, "`problem.options` must be a table, but is 3"),
        ({"problem": {"use": "digits_cn"}}, "`problem.use`: `digits_cn` names no problem; did you mean `digits_cnn`?"),
    ],
)
def test_a_fault_says_key_rule_and_value(changed, fault):
    (found,) = faults_of(MINIMAL | changed)
    assert found.startswith(fault)


def test_earlier_runs_must_be_a_list_of_folders():
    assert faults_of(MINIMAL | {"search": {"from": "a"}}) == ["`search.from` must be a list, but is 'a'"]
    assert faults_of(MINIMAL | {"search": {"from": [3]}}) == ["`search.from.0` must be text, but is 3"]
    assert "did you mean `from`?" in faults_of(MINIMAL | {"search": {"form": []}})[0]


def test_an_empty_job_says_what_it_needs():
    assert sorted(map(key_of, faults_of({}))) == ["budget", "problem"]


def test_a_budget_without_any_limit_is_refused():
    assert [key_of(fault) for fault in faults_of(MINIMAL | {"budget": {"n_evals": None}})] == ["budget"]


def test_wrong_options_are_faults_beside_all_others():
    options = {"n_samples": "many", "noise": Text("yes"), "depth": Text("3")}
    data = {"problem": {"use": f"{__file__}:Typed", "options": options}, "search": {"seed": -1}}
    assert faults_of(data) == [
        "`search.seed` must be at least 0, but is -1",
        "`problem.options.n_samples` must be int, but is 'many'",
        "`problem.options.depth` is no option of Typed; its options: `n_samples`, `noise`, `rate`",
        "`budget` must set n_evals, n_gen, time or stop_when, but sets none; try --n-evals 100",
    ]


class Wrong(Mine):
    variables = {"x": Real(1, 0)}
    constraints = {"g": {"most": 3}}
    architecture = ["y"]

    def profile(self, config, more):
        return {}

    def evaluate(self, config, speed):
        return {}


def test_all_faults_of_a_problem_and_its_job_are_listed():
    data = {
        "problem": {"use": f"{__file__}:Wrong"},
        "search": {"seed": -1, "start": [{"y": 1}]},
        "objectives": {"loss": "min"},
        "evaluation": {"workers": 0, "pool": "serial", "memory_mb": 5},
        "nonsense": {},
    }
    with pytest.raises(JobError) as raised:
        check_job(data, more=lambda job: [f"`budget.deadline` of {job.evaluation.pool}"])
    faults = raised.value.faults
    assert [key_of(fault) for fault in faults if not fault.startswith("`problem.use`")] == [
        "search.seed",
        "evaluation.workers",
        "nonsense",
        "objectives.loss",
        "evaluation.memory_mb",
        "budget",
        "budget.deadline",
    ]
    of_problem = [fault.partition(":Wrong`: ")[2] for fault in faults if fault.startswith("`problem.use`")]
    assert len(of_problem) == 5
    for words in (
        "`x`: low must be below high",
        "`constraints.g.most`",
        "`architecture`",
        "asks for speed",
        "for more",
    ):
        assert any(words in fault for fault in of_problem)


def test_faults_of_a_start_are_listed_with_those_of_others():
    data = MINIMAL | {"search": {"seed": -1, "start": [{"y": 1}]}, "evaluation": {"workers": 0}}
    assert [key_of(fault) for fault in faults_of(data)] == ["search.seed", "evaluation.workers", "search.start[0]"]


def test_texts_of_options_reach_the_job_as_values():
    texts = {"noise": Text("no"), "n_samples": Text("7"), "rate": Text("None")}
    job, problem, source = check_job(MINIMAL | {"problem": {"use": f"{__file__}:Typed", "options": texts}})
    assert job.problem.options == source.options == {"noise": False, "n_samples": 7}
    assert problem.given == (7, False, None)


def test_a_none_that_would_become_the_default_is_refused():
    section = {"use": f"{__file__}:Typed", "options": {"noise": None}}
    (fault,) = faults_of(MINIMAL | {"problem": section})
    assert fault.startswith("`problem.options.noise` must be a value that TOML has a word for, but is None")


def test_an_option_that_toml_cannot_hold_is_refused():
    with pytest.raises(JobError, match="must hold values that TOML knows"):
        check_job(MINIMAL | {"problem": {"use": "an object", "options": {"data": None}}}, Mine())


@pytest.mark.parametrize(
    ("value", "number"),
    [("90 s", 90), ("90s", 90), (" 10 min ", 600), ("5m", 300), ("1.5 h", 5400), ("2 d", 172800), (0.5, 0.5), (3, 3)],
)
def test_a_duration_is_read_in_seconds(value, number):
    assert seconds(value) == number


UNITS_S = {"s": 1, "sec": 1, "min": 60, "m": 60, "h": 3600, "d": 86400}


@given(st.floats(1e-3, 1e6), st.sampled_from(list(UNITS_S.items())), st.sampled_from(["", " ", "  "]))
def test_a_number_and_a_unit_are_multiplied(number, unit, gap):
    assert seconds(f"{number:f}{gap}{unit[0]}") == pytest.approx(float(f"{number:f}") * unit[1])


@given(st.text(alphabet="0123456789. smhdin-+e_٣", max_size=8))
def test_any_text_is_a_duration_above_0_or_refused_with_the_rule(text):
    unit = next((unit for unit in ("min", "s", "m", "h", "d") if text.strip().endswith(unit)), "")
    number = text.strip().removesuffix(unit).rstrip()
    expected = float(number) * UNITS_S[unit] if unit and set(number) <= set("0123456789.") and is_number(number) else 0
    if expected:
        assert seconds(text) == expected
    else:
        with pytest.raises(ValueError, match="must be a duration above 0"):
            seconds(text)


def is_number(text):
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


@pytest.mark.parametrize("value", ["", "s", "90", "1.5.2 s", "-1 s", "0 s", "1e3 s", "2 weeks", "9" * 400 + " s"])
@pytest.mark.parametrize("wrap", [str, lambda text: [text]])
def test_other_text_is_no_duration(value, wrap):
    with pytest.raises(ValueError, match="must be a duration above 0, in seconds or as in '90 s', '10 min' or '2 h'"):
        seconds(wrap(value))


@pytest.mark.parametrize("value", [0, -1, True, None, math.nan, math.inf])
def test_other_values_are_no_duration(value):
    with pytest.raises(ValueError, match="must be a duration above 0"):
        seconds(value)


@pytest.mark.parametrize("value", [". s", pytest.param(10**400, id="1e400")])
def test_text_that_float_refuses_is_no_duration(value):
    with pytest.raises(ValueError, match="must be a duration above 0"):
        seconds(value)


def test_assignments_change_a_job():
    given = {
        "search": {"seed": 1},
        "constraints": {"f1": {"at_most": 1}},
        "problem": {"variables": {"a.b": {"real": 0}}},
    }
    assignments = [
        "problem.variables.a.b.real=[0, 1]",
        "problem.variables.c.d=boolean",
        "search.pop_size=24",
        "search.seed = 5",
        "search.algorithm=nsga3",
        "budget.time=2 h",
        'objectives.f1="max"',
        "constraints.f1.at_least=0.5",
        "problem.options.deep.n=[1, 2]",
    ]
    changed, faults = override(data := copy.deepcopy(given), settings(assignments))
    assert changed == {
        "search": {"seed": 5, "pop_size": 24, "algorithm": "nsga3"},
        "budget": {"time": "2 h"},
        "objectives": {"f1": "max"},
        "constraints": {"f1": {"at_most": 1, "at_least": 0.5}},
        "problem": {
            "variables": {"a.b": {"real": [0, 1]}, "c": {"d": "boolean"}},
            "options": {"deep": {"n": Text("[1, 2]")}},
        },
    }
    assert faults == [] and data == given


def test_changes_and_faults_of_a_job_are_checked_together():
    changes = {"budget.stop_when.tol": 1, "search.seed": 7, "search.pop_size": 2}
    with pytest.raises(JobError) as raised:
        check_job(MINIMAL | {"budget": {"stop_when": "ftol"}, "search": {"seed": -1}}, changes=changes)
    assert raised.value.faults == (
        "`budget.stop_when.tol` must be a key of a table, but what is before it is no table",
        "`search.pop_size` must be at least 4, but is 2",
    )
    assert check_job(MINIMAL, changes={"search.seed": 7})[0].search.seed == 7


def test_every_assignment_without_section_or_value_is_listed():
    with pytest.raises(JobError) as raised:
        settings(["seed=3", "search.seed", "search.pop_size=4"])
    assert [fault[-len("'search.seed'") :].split()[-1] for fault in raised.value.faults] == [
        "'seed=3'",
        "'search.seed'",
    ]


def test_a_problems_path_is_relative_to_the_job_file(tmp_path):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "mine.py").write_text(
        "from evo_moo import Real, SearchProblem\n"
        "class Mine(SearchProblem):\n"
        "    variables, objectives = {'x': Real(0, 1)}, {'f': 'min'}\n"
        "    def evaluate(self, config): return {'f': config['x']}\n"
    )
    path = tmp_path / "jobs" / "job.toml"
    path.write_text('problem.use = "../mine.py:Mine"\nbudget.n_evals = 4\n')
    data = read_job_file(path)
    assert data["problem"]["use"] == f"{tmp_path.resolve() / 'mine.py'}:Mine"
    _, problem, source = check_job(data)
    assert problem.space.names == source.build().space.names == ("x",)


def test_paths_of_earlier_runs_are_relative_to_the_job_file(tmp_path, monkeypatch):
    (tmp_path / "job.toml").write_text('search.from = ["a", "/b"]\n')
    assert read_job_file(tmp_path / "job.toml") == {"search": {"from": [str(tmp_path / "a"), "/b"]}}
    monkeypatch.chdir(tmp_path)
    job, _, _ = check_job(MINIMAL | {"search": {"from": ["a", "/b"]}})
    assert job.to_toml()["search"]["from"] == [str(tmp_path / "a"), "/b"]
    assert "from" not in check_job(MINIMAL)[0].to_toml()["search"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "must be a job file, but cannot be read: No such file"),
        (b"a = ", "must be TOML"),
        (b"\xff", "must be TOML"),
    ],
)
def test_a_file_that_is_no_job_is_refused_by_name(tmp_path, content, message):
    path = tmp_path / "job.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(JobError, match=rf"`{re.escape(str(path))}` {message}"):
        read_job_file(path)


def test_a_deadline_is_a_moment_whatever_its_form():
    utc = datetime.datetime(2999, 12, 1, 7, tzinfo=datetime.UTC).timestamp()
    for text in ("2999-12-01T08:00:00+01:00", '"2999-12-01T08:00:00+01:00"', '"2999-12-01 07:00Z"'):
        data = tomllib.loads(f"deadline = {text}\nn_evals = 3")
        job, _, _ = check_job({"problem": {"use": "pymoo:bnh"}, "budget": data})
        assert job.budget.limits().deadline == utc
        assert check_job(job.to_toml())[0] == job
    local = datetime.datetime(2999, 12, 1, 7)
    job, _, _ = check_job({"problem": {"use": "pymoo:bnh"}, "budget": {"deadline": local, "n_evals": 3}})
    assert job.budget.limits().deadline == local.timestamp()


@pytest.mark.parametrize("value", ["tomorrow", "08:00", "2999-12-01", 5, True, datetime.date(2999, 12, 1)])
def test_a_deadline_must_be_a_date_with_a_time(value):
    (fault,) = faults_of({"problem": {"use": "pymoo:bnh"}, "budget": {"deadline": value, "n_evals": 3}})
    assert fault.startswith("`budget.deadline` must be a date with a time, as in 2026-12-01T08:00:00")


def test_a_deadline_alone_ends_no_search():
    (fault,) = faults_of({"problem": {"use": "pymoo:bnh"}, "budget": {"deadline": "2999-12-01T08:00:00"}})
    assert fault.startswith("`budget` must set n_evals, n_gen, time or stop_when")


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[3] / "problems").glob("*.toml")), ids=lambda p: p.stem)
def test_the_job_files_of_the_ready_problems_are_valid(path):
    job, problem, _ = check_job(read_job_file(path))
    assert job.budget.n_evals and job.goals(problem).objectives

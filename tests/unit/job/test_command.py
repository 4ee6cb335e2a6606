import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from evo_moo.errors import JobError
from evo_moo.job.check import check_job
from evo_moo.job.file import read_job_file
from evo_moo.space.variables import Integer, Real

JOB = """
[problem]
command = ["bash", "run.sh", "--lr", "{lr}", "--flag", "{flag}", "--n", "{n}"]
[problem.variables]
lr = { real = [1e-4, 1e-1], log = true }
flag = "boolean"
n = { integer = [1, 4], when = { flag = true } }
[problem.metrics]
time_s = { unit = "s", timed = true }
[objectives]
b = { direction = "max", goal = 3 }
a = "min"
[constraints]
time_s = { at_most = 20 }
[budget]
n_evals = 5
"""


def read(folder: Path, text: str = JOB) -> dict[str, Any]:
    (folder / "run.sh").write_text("")
    (folder / "job.toml").write_text(text)
    return read_job_file(folder / "job.toml")


def faults_of(data: dict[str, Any], **more: Any) -> list[str]:
    with pytest.raises(JobError) as error:
        check_job(data, **more)
    return list(error.value.faults)


def test_job_of_a_command_is_the_same_when_it_is_read_again(tmp_path: Path) -> None:
    job, problem, source = check_job(read(tmp_path))
    assert list(problem.variables) == ["lr", "flag", "n"] and list(problem.objectives) == ["b", "a"]
    assert problem.constraints == {"time_s": {"at_most": 20}} and problem.metrics["time_s"].timed
    assert source.reference == "command" and job.problem.use == "command" and job.objectives is None
    again, same, _ = check_job(tomllib.loads(tomli_w.dumps(job.to_toml())), base=Path("/"))
    assert again == job
    assert list(same.variables) == list(problem.variables) and same.goals == problem.goals == job.goals(problem)


SPACE = """
[problem]
command = ["bash", "run.sh", "{config}"]
[problem.variables]
net.n = { integer = [1, 4] }
net.first = { integer = [1, "net.n"] }
net.width = { integer = [16, 64], step = 16 }
decay = { real = [1e-6, 1e-2], log = true, zero = true }
rate = { real = [0, 0.5], step = 0.1, when = [{ net.n = [2, 3] }, { decay = 0, net.width = 16 }] }
[objectives]
a = "min"
[budget]
n_evals = 5
"""


def test_every_kind_of_number_is_read_from_tables(tmp_path: Path) -> None:
    job, problem, _ = check_job(read(tmp_path, SPACE))
    assert problem.variables == {
        "net.n": Integer(1, 4),
        "net.first": Integer(1, "net.n"),
        "net.width": Integer(16, 64, step=16),
        "decay": Real(1e-6, 1e-2, log=True, zero=True),
        "rate": Real(0, 0.5, step=0.1, when=[{"net.n": [2, 3]}, {"decay": 0, "net.width": 16}]),
    }
    again, same, _ = check_job(tomllib.loads(tomli_w.dumps(job.to_toml())), base=Path("/"))
    assert again == job and same.variables == problem.variables
    wrong = SPACE.replace('[1, "net.n"]', '[2, "net.m"]').replace("step = 16 }", "step = 15 }", 1)
    assert faults_of(read(tmp_path, wrong)) == [
        "`problem.variables.net.first`: high must be a number or another variable of the space, but names 'net.m'; "
        "declare or rename it",
        "`problem.variables.net.width`: high must be some steps of 15 above 16, but is 64; take 61 or 76",
    ]


def test_paths_are_relative_to_the_job_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    _, problem, _ = check_job(read(tmp_path))
    assert problem.call({"lr": 0.1, "flag": False}, Path("w")).cwd == tmp_path
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "run.sh").write_text("")
    data = read(tmp_path, JOB.replace("[problem]", '[problem]\ndirectory = "sub"', 1))
    assert check_job(data)[1].call({"lr": 0.1, "flag": False}, Path("w")).cwd == tmp_path / "sub"


def test_keys_of_a_command_can_be_set(tmp_path: Path) -> None:
    changes = {"problem.variables.lr": {"real": [0.5, 1]}, "problem.options.epoch": "step", "objectives.c": "min"}
    _, problem, _ = check_job(read(tmp_path), changes=changes)
    assert problem.variables["lr"].low == 0.5 and problem.epoch == "step"
    assert list(problem.objectives) == ["b", "a", "c"]


def test_faults_have_the_keys_of_the_job(tmp_path: Path) -> None:
    text = JOB.replace('"{lr}"', '"{lrr}"').replace("log = true", "logs = true").replace("timed", "times")
    text = text.replace('"min"', '"low"').replace("[problem]", "[problem]\ncomand = 1", 1).replace("[1, 4]", "[4, 1]")
    faults = faults_of(read(tmp_path, text))
    keys = [fault.partition("`")[2].partition("`")[0] for fault in faults]
    expected = ["problem.comand", "problem.variables.lr", "problem.metrics.time_s", "problem.command"]
    assert keys == [*expected, "problem.variables.n", "objectives.a"]
    assert "did you mean `command`?" in faults[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"problem": {}}, "`problem.use` must be given, but is missing; name a problem, or give a `command`"),
        (
            {"problem": {"command": ["true"], "use": "synthetic"}},
            "`problem.command` must not stand beside `use`, as it is of a `command`; drop one of them",
        ),
        ({"problem": {"command": ["true", "{x}"]}}, "`problem.variables` must be given, but is missing"),
        ({"problem": {"command": "true {x}", "variables": {"x": "boolean"}}}, "`problem.command` must be a list"),
        ({"objectives": None}, "`objectives`: name at least one metric"),
        ({"objectives": "a"}, "`objectives` must be"),
        ({"constraints": {"a": 3}}, "`constraints.a` must be a limit"),
        (
            {"refinement": {"rungs": [1, 2]}},
            "`refinement` must go with a problem that can be evaluated at less than full",
        ),
    ],
)
def test_wrong_sections_state_rule_and_key(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    data = {key: value for key, value in {**read(tmp_path), **change}.items() if value is not None}
    assert any(words in fault for fault in faults_of(data)), faults_of(data)

from pathlib import Path
from typing import Any

import pytest

from evo_moo import Choice, CommandProblem, Fidelity
from evo_moo.errors import ProblemError


def problem(folder: Path, **changes: Any) -> CommandProblem:
    arguments = {
        "command": ["bash", "run.sh", "{lr}", "{n}"],
        "variables": {"lr": {"real": [0.1, 1]}, "n": {"integer": [1, 3]}},
        "objectives": {"loss": "min"},
        "directory": folder,
    }
    return CommandProblem(**arguments | changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"command": "bash run.sh 'a b' {lr}"},
            "`command` must be a list of arguments, since no shell reads it, but is",
        ),
        ({"command": "bash run.sh 'a b' {lr}"}, 'write ["bash", "run.sh", "a b", "{lr}"]'),
        ({"command": []}, "`command` must be a list that begins with a program, but is []"),
        ({"command": ["bash", 3]}, "`command` must hold texts, or lists of texts that go together, but holds 3"),
        ({"command": ["bash", "run.sh", "{lrr}", "{n}"]}, "`command`: {lrr} names no variable; did you mean {lr}?"),
        ({"command": ["bash", "run.sh", "{lr}", "{n:1}"]}, "a brace of its own is written {{ or }}"),
        ({"command": ["bash", "run.sh", "{lr}", "{n"]}, "`command`: a brace of its own is written {{"),
        ({"command": ["bash", "run.sh", "{lr}"]}, "`variables.n` must be named by the command, but is not"),
        ({"command": ["no-such", "{lr}", "{n}"]}, "`command` must begin with a program that is in the PATH"),
        (
            {"command": ["./run.sh", "{lr}", "{n}"]},
            "but './run.sh' is neither; let it be executable, or name what runs",
        ),
        ({"command": ["run.sh", "{lr}", "{n}"]}, "but 'run.sh' is neither; write ./run.sh"),
        ({"command": ["pythom", "{lr}", "{n}"]}, "but 'pythom' is neither"),
        ({"command": ["bash", "none.sh", "{lr}", "{n}"]}, "`command`: the script 'none.sh' must be a file"),
        ({"command": ["bash", "run.sh", "{lr}", "{n}"], "cwd": "{workspace}"}, "write {directory}/ before it"),
        ({"command": ["bash", "run.sh", "{lr}", "{n}", "{weights}"]}, "{weights} must go with a fidelity"),
        ({"fidelity": Fidelity("epochs", 1, 3)}, "`fidelity` must be named by the command, as {fidelity}"),
        ({"fidelity": {"epochs": [3, 1]}}, "`fidelity` must be a name with the least and the full length"),
        ({"metrics_file": "m.json"}, 'write "{workspace}/m.json"'),
        ({"config": {"lr": "{lr}"}}, "`config` must be named by the command"),
        ({"config": 3}, "`config` must be a table"),
        (
            {"command": ["bash", "run.sh", "{config}"], "variables": {"o": "boolean", "o.lr": "boolean"}},
            "but `o.lr` lies below another variable; give `config`, or rename one",
        ),
        ({"environment": {"A=B": "1"}}, "`environment` must have names without ="),
        ({"environment": {"A": [1]}}, "`environment.A` must be a text or a number"),
        ({"environment": {"A": "{x}"}}, "`environment.A`: {x} names no variable"),
        ({"files": ["*.none"]}, "`files` must name files, but '*.none' matches none"),
        ({"files": "run.sh"}, "`files` must be a list"),
        ({"cwd": "sub"}, "`cwd` must be a folder"),
        ({"directory": "/no/such"}, "`directory` must be a folder, but there is none at '/no/such'"),
        ({"variables": {"lr": {"reel": [1, 2]}}}, "`variables.lr` must be { real ="),
        ({"variables": {"lr": {"real": [2, 1]}, "n": "boolean"}}, "`variables.lr`: low must be below high"),
        ({"variables": {"seed": "boolean"}}, "`variables.seed` must have another name"),
        ({"variables": {}}, "`variables` must be a table of names to variables"),
        ({"variables": {"lr": Choice(["a\0", "b"]), "n": "boolean"}}, "`variables.lr` must have no zero bytes"),
        ({"objectives": {}}, "`objectives`: name at least one metric"),
        ({"objectives": {"loss": "low"}}, "`objectives.loss` must be 'min' or 'max', but is 'low'"),
        ({"metrics": {"loss": {"units": "s"}}}, "`metrics.loss` takes no `units`; did you mean `unit`?"),
        ({"metrics": {"loss": {"noisy": "yes"}}}, "`metrics.loss.noisy` must be true or false, but is 'yes'"),
        ({"metrics": {"loss": "s"}}, "`metrics.loss` must be a table"),
        ({"epoch": 3}, "`epoch` must be a text"),
    ],
)
def test_each_fault_states_its_key_and_the_way_out(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("")
    problem(tmp_path).check()
    with pytest.raises(ProblemError) as fault:
        problem(tmp_path, **changes).check()
    assert words in str(fault.value)
    assert "CommandProblem" not in str(fault.value)


def test_all_faults_are_listed_at_once(tmp_path: Path) -> None:
    wrong = problem(
        tmp_path,
        command=["pythn", "none.py", "{lrr}", "{n"],
        variables={"lr": {"real": [0, 1], "logs": True}, "n": {"integer": [3, 1]}},
        objectives={"loss": "low"},
        metrics={"loss": {"units": "s"}},
        files=["*.none"],
    )
    with pytest.raises(ProblemError) as faults:
        wrong.check()
    keys = [line.partition("`")[2].partition("`")[0] for line in str(faults.value).splitlines()]
    expected = ["variables.lr", "metrics.loss", "command", "command", "command", "files", "variables.n"]
    assert keys == [*expected, "objectives.loss"]

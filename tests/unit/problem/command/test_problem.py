import inspect
import json
import os
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import evo_moo
from evo_moo import Boolean, Choice, CommandProblem, Integer, Metric, Real
from evo_moo.errors import MetricError, UsageError
from evo_moo.evaluation.problem_version import problem_parts
from evo_moo.object_code import changed_parts
from evo_moo.plugins import ProblemSource
from evo_moo.problem.command.problem import calls_of
from evo_moo.problem.learning_curve import Report
from evo_moo.problem.weights import Weights

SHOW = """
import json, os, sys
files = {a: open(a).read() for a in sys.argv[1:] if os.path.isfile(a)}
print(json.dumps({"args": sys.argv[1:], "cwd": os.getcwd(), "env": os.environ.get("OPT"), "files": files, "loss": 1}))
"""


def shown(folder: Path, command: list[Any], values: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What the program sees."""
    (folder / "show.py").write_text(SHOW)
    variables = {
        "lr": Real(1e-6, 1),
        "n": Integer(1, 4),
        "opt": Choice(["adam", None], when={"n": [2, 3]}),
        "flag": Boolean(),
    }
    given = {"variables": variables, "objectives": {"loss": "min"}, "directory": folder, **more}
    problem = CommandProblem(["{python}", "show.py", *command], **given)
    problem.check()
    return problem.evaluate(values, workspace=folder / "w", seed=7)


ALL = ["{lr}", "--n={n}", "--opt", "{opt}", "--flag", "{flag}"]


def test_command_sees_values_folders_and_environment(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    config = {"lr": 1e-05, "n": 1, "flag": False}
    command = [*ALL, "{seed}", "{workspace}", "{directory}", "{replicate}"]
    seen = shown(tmp_path, command, config, environment={"OPT": "n is {n}"})
    assert seen["args"] == ["1e-05", "--n=1", "7", str(tmp_path / "w"), str(tmp_path), "0"]
    assert (seen["cwd"], seen["env"]) == (str(tmp_path), "n is 1")
    config = {"lr": 1e-05, "n": 2, "opt": "adam", "flag": True}
    assert shown(tmp_path, ALL, config)["args"] == ["1e-05", "--n=2", "--opt", "adam", "--flag"]
    config["opt"] = None
    assert shown(tmp_path, ALL, config)["args"] == ["1e-05", "--n=2", "--flag"]


def test_environment_of_an_inactive_variable_is_unset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPT", "of the user")
    config = {"lr": 0.5, "n": 1, "flag": False}
    assert shown(tmp_path, ALL, config)["env"] == "of the user"
    assert shown(tmp_path, ALL, config, environment={"OPT": "{opt}"})["env"] is None


def test_configuration_file_holds_the_values_or_what_is_said(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    config = {"lr": 1e-05, "n": 1, "flag": False}
    (content,) = shown(tmp_path, ["{config}"], config)["files"].values()
    assert json.loads(content) == config
    dotted = {"optim.lr": 0.5, "optim.sgd.nesterov": True, "n": 1}
    variables = {"optim": {"lr": Real(0, 1), "sgd": {"nesterov": "boolean"}}, "n": Integer(1, 2)}
    seen = shown(tmp_path, ["{config}", "{optim.lr}"], dotted, variables=variables)
    assert seen["args"][1] == "0.5"
    (content,) = seen["files"].values()
    assert json.loads(content) == {"optim": {"lr": 0.5, "sgd": {"nesterov": True}}, "n": 1}
    table = {"optim": {"lr": "{lr}", "name": "{opt}"}, "layers": "{n}", "aug": "{flag}", "seed": "{seed}", "fixed": [1]}
    seen = shown(tmp_path, ["--c={config.toml}", "{config.toml}"], config, config=table)
    (content,) = seen["files"].values()
    assert tomllib.loads(content) == {"optim": {"lr": 1e-05}, "layers": 1, "aug": False, "seed": 7, "fixed": [1]}


def of_script(folder: Path, script: str, **more: Any) -> CommandProblem:
    (folder / "run.sh").write_text(script)
    command = ["bash", "run.sh", "{x}", *more.pop("command", [])]
    given = {"objectives": {"loss": "min"}, "metrics": {"size": Metric()}, "directory": folder, **more}
    problem = CommandProblem(command, {"x": Real(0, 1)}, **given)
    problem.check()
    return problem


def test_metrics_are_the_last_object_or_those_of_a_file(tmp_path: Path) -> None:
    problem = of_script(tmp_path, """echo '{"loss": 1}'; echo '{"loss": 2, "epoch": 3, "note": "x"}'; echo bye""")
    assert problem.evaluate({"x": 0.5}) == {"loss": 2, "note": "x"}
    script = """echo '{"loss": 1}'; printf '{ "loss": 3,\n"size": 4 }' > "$2"/m.json"""
    problem = of_script(tmp_path, script, command=["{workspace}"], metrics_file="{workspace}/m.json")
    assert problem.evaluate({"x": 0.5}) == {"loss": 3, "size": 4}


def test_metrics_of_an_earlier_attempt_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text('{"loss": 1}')
    problem = of_script(tmp_path, "true", command=["{workspace}"], metrics_file="{workspace}/m.json")
    with pytest.raises(
        MetricError, match=r"must write its metrics as a JSON object to .*m.json', but it cannot be read"
    ):
        problem.evaluate({"x": 0.5}, workspace=tmp_path)


def test_output_without_metrics_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MetricError, match=r'such as \{"loss": 0.9\}, but it printed nothing'):
        of_script(tmp_path, "true").evaluate({"x": 0.5})
    with pytest.raises(MetricError, match="but its last line is 'loss = 3'"):
        of_script(tmp_path, "echo loss = 3").evaluate({"x": 0.5})


EPOCHS = """
for e in 0 1 1 2; do echo "{\\"epoch\\": $e, \\"loss\\": $e.5, \\"other\\": 1}"; done
echo '{"epoch": "x", "loss": 9}'; echo '{"step": 3, "loss": 7}'; echo '{"loss": 0.25, "size": 1}'
"""


@pytest.mark.parametrize(("key", "epochs"), [("epoch", [1, 2]), ("step", [3]), ("", [])])
def test_objects_with_an_epoch_are_the_learning_curve(key: str, epochs: list[int], tmp_path: Path) -> None:
    report = Report()
    metrics = of_script(tmp_path, EPOCHS, epoch=key).evaluate({"x": 0.5}, report=report)
    assert metrics == {"loss": 0.25, "size": 1}
    curve = report.curve()
    assert (curve.epochs if curve else []) == epochs
    assert curve is None or set(curve.metrics) == {"loss"}


def test_weights_go_from_the_shorter_training_to_the_longer(tmp_path: Path) -> None:
    script = """cat "$3"/* 2>/dev/null; echo $2 >> "$3"/log; echo "{\\"loss\\": $(wc -l < "$3"/log)}" """
    more = {"command": ["{fidelity}", "{weights}"], "fidelity": {"epochs": [1, 9]}}
    problem = of_script(tmp_path, script, **more)
    assert problem.continues and problem.fidelity == evo_moo.Fidelity("epochs", 1, 9)
    first, second = tmp_path / "1", tmp_path / "2"
    for _ in range(2):  # again, as after a kill
        assert problem.evaluate({"x": 0.5}, fidelity=1, weights=Weights(None, first)) == {"loss": 1}
        assert problem.evaluate({"x": 0.5}, fidelity=3, weights=Weights(first, second)) == {"loss": 2}
    assert (second / "log").read_text() == "1\n3\n" and (first / "log").read_text() == "1\n"
    last = problem.evaluate({"x": 0.5}, weights=Weights(second, None), workspace=tmp_path / "w")
    assert last == {"loss": 3} and not (tmp_path / "w" / "weights").exists()
    assert problem.evaluate({"x": 0.5}, fidelity=3, weights=Weights(tmp_path / "gone", second)) == {"loss": 1}


@pytest.mark.parametrize(
    ("command", "is_seeded", "keywords"),
    [
        ([], False, ["report"]),
        (["{seed}"], True, ["report", "seed"]),
        (["{workspace}"], False, ["report", "workspace"]),
    ],
)
def test_asks_for_what_the_command_names(
    command: list[str], is_seeded: bool, keywords: list[str], tmp_path: Path
) -> None:
    problem = of_script(tmp_path, "", command=command)
    assert problem.is_seeded is is_seeded and problem.reports and not problem.continues
    assert list(inspect.signature(problem.evaluated_function).parameters) == ["config", *keywords]


def test_calls_are_shown_without_a_run(tmp_path: Path) -> None:
    problem = of_script(tmp_path, "exit 1", command=["{config}", "it's"], environment={"A_B": "x {x}"})
    calls = calls_of(problem, 2)
    first, second = (call.in_words() for call in calls)
    assert first != second
    lines = first.splitlines()
    x = calls[0].arguments[2]
    assert lines[0] == f"cd {tmp_path}" and f"export A_B='x {x}'" in lines
    assert lines[-1] == f"""bash run.sh {x} WORKSPACE/config.json 'it'"'"'s'"""
    assert json.loads(first[first.index("{\n") : first.index("\nEND")]) == {"x": float(x)}
    with pytest.raises(UsageError, match="must go with a problem that runs a command"):
        calls_of(evo_moo.load_problem("synthetic"), 1)


def test_objects_change_with_their_script(tmp_path: Path) -> None:
    """As what a run records of an object, by which it sees on resume that it has changed."""

    def parts() -> dict[str, str]:
        problem = of_script(tmp_path, script)
        return problem_parts(problem, ProblemSource.of_object(problem))

    script = "echo 1"
    before = parts()
    assert changed_parts(before, parts()) == []
    script = "echo 2"
    assert changed_parts(before, parts()) == ["`run.sh` has changed"]


def test_this_interpreter_has_a_name(tmp_path: Path) -> None:
    problem = CommandProblem(["{python}", "-c", "print(1)", "{x}"], {"x": Real(0, 1)}, {"loss": "min"})
    call = problem.call({"x": 0.5}, tmp_path)
    assert call.arguments == [sys.executable, "-c", "print(1)", "0.5"]
    assert call.environment.items() >= {**os.environ, "PYTHONUNBUFFERED": "1"}.items()

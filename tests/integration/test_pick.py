"""The command that chooses a model: answers, exit codes, and one clear message for wrong input."""

import json
import sys
from pathlib import Path

import pytest

import evo_moo
from evo_moo.analysis.choice import pick
from evo_moo.analysis.result import Result
from evo_moo.cli.main import main


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pick") / "r"
    evo_moo.search("pymoo:bnh", pop_size=10, termination=("n_evals", 60), surrogate="none", run_dir=path)
    return path


@pytest.fixture
def command(run_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def run(*arguments: str) -> tuple[int, str, list[str]]:
        monkeypatch.setattr(sys, "argv", ["evo-moo", "pick", str(run_dir), *arguments])
        code = 0
        try:
            main()
        except SystemExit as error:
            code = error.code
        said = capsys.readouterr()
        return code, said.out, said.err.splitlines()

    return run


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ([], {}),
        (["--limit", "f1 <= 40", "--limit", "g1<=-0.2"], {"limits": {"f1": {"at_most": 40}, "g1": {"at_most": -0.2}}}),
        (
            ["--weights", "f1=2,f2=1", "--method", "weighted-sum"],
            {"weights": {"f1": 2, "f2": 1}, "method": "weighted-sum"},
        ),
        (["--order", "f2, f1", "--tolerance", "f2=5"], {"order": ["f2", "f1"], "tolerances": {"f2": 5}}),
        (["--aim", "f1=20,f2=20"], {"aim": {"f1": 20, "f2": 20}}),
        (["--knee"], {"knee": True}),
    ],
)
def test_the_command_says_what_the_function_says(command, run_dir, arguments, rule):
    decision = pick(Result.read(run_dir), **rule)
    code, out, _ = command(*arguments, "--json")
    assert code == 0 and json.loads(out) == json.loads(json.dumps(decision.to_json()))
    code, out, _ = command(*arguments)
    assert code == 0 and f"Evaluation {decision.chosen.id}: x1=" in out
    assert "given up" in out and f"runner-up {decision.runner_up.id}" in out and decision.rule in out


def test_an_impossible_limit_says_how_far_it_is_off(command):
    code, out, err = command("--limit", "f1 <= -3")
    assert (code, out, len(err)) == (1, "", 1)
    assert "`f1 <= -3` is kept by none of 60" in err[0] and "the nearest is evaluation" in err[0]


@pytest.mark.parametrize(
    ("arguments", "faults"),
    [
        (
            ["--limit", "f1 < 3", "--weights", "f1", "--aim", "=2,f1=x"],
            ["`--limit` must be NAME <= NUMBER", "`--weights` must be NAME=VALUE", "`--aim` must be NAME=VALUE"],
        ),
        (
            ["--limit", "f3 <= 3", "--weights", "f9=1"],
            ["`weights` must name objectives, f1, f2", "`limits.f3`: the problem"],
        ),
        (["--knee", "--order", "f1"], ["there must be one rule"]),
        (["--method", "best"], ["`method` must be one of"]),
        (["--sweep", "--knee"], ["`--sweep` must go with --limit alone"]),
        (["--limit", "f1 <= nan"], ["`limits.f1.at_most` must be a finite number"]),
    ],
)
def test_wrong_input_lists_its_faults(command, arguments, faults):
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert [next(line for line in err if f"evo-moo: {fault}" in line) for fault in faults]


def test_the_sweep_names_weights_and_draws(command, run_dir):
    code, out, err = command("--sweep", "--json")
    reached = [each for each in json.loads(out) if each["weights"]]
    assert code == 0 and err == [f"{run_dir / 'sweep.png'} is drawn"] and len(reached) >= 2
    clear = max(reached, key=lambda each: each["lead"])
    weights = ",".join(f"{name}={value}" for name, value in clear["weights"].items())
    assert json.loads(command("--weights", weights, "--method", "weighted-sum", "--json")[1])["id"] == clear["id"]
    assert f"A weighted sum reaches {len(reached)} of" in command("--sweep")[1]


def test_a_damaged_or_missing_run_is_one_message(command, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "argv", ["evo-moo", "pick", str(tmp_path / "none")])
    with pytest.raises(SystemExit) as error:
        main()
    assert error.value.code == 1 and "no run.sqlite" in capsys.readouterr().err

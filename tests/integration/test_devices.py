"""A device that no search has seen, by the command line: from ten latencies to a front, a pick and what to measure."""

import csv
import json
import shutil
import sys
from pathlib import Path

import pytest
from scipy.stats import spearmanr

import evo_moo
from evo_moo.cli.main import main

PROBLEM = """
from evo_moo import Choice, Integer, SearchProblem

OPS = {"skip": 0.0, "small": 1.0, "large": 3.0}


class Cells(SearchProblem):
    variables = {"depth": Integer(1, 4), "op": Choice(list(OPS)), "width": Integer(1, 8)}
    objectives = {"error": "min", "latency_ms": "min"}

    def compute(self, config):
        return {"flops": config["depth"] * config["width"] * OPS[config["op"]] + 1}

    def profile(self, config):
        return {"latency_ms": 2 * self.compute(config)["flops"] + config["depth"]}

    def evaluate(self, config):
        return {"error": 1 / (1 + self.compute(config)["flops"]) + 0.01 / config["width"]}
"""


def on_phone(row: dict[str, str]) -> float:
    """Say how long a network takes on a phone: its calls cost more than its operations."""
    flops = float(row["depth"]) * float(row["width"]) * {"skip": 0.0, "small": 1.0, "large": 3.0}[row["op"]] + 1
    return 1 + flops + 5 * float(row["depth"])


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("devices")
    (folder / "cells.py").write_text(PROBLEM)
    evo_moo.search(
        f"{folder / 'cells.py'}:Cells",
        pop_size=10,
        termination=("n_evals", 40),
        surrogate="none",
        workers=1,
        run_dir=folder / "runs" / "r",
    )
    return folder


@pytest.fixture
def command(searched: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(searched)
    shutil.rmtree("devices", ignore_errors=True)

    def run(*arguments: str) -> tuple[int, str, list[str]]:
        monkeypatch.setattr(sys, "argv", ["evo-moo", "device", *arguments])
        code = 0
        try:
            main()
        except SystemExit as error:
            code = error.code
        said = capsys.readouterr()
        return code, said.out, said.err.splitlines()

    return run


def fill(path: Path) -> None:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(row | {"latency_ms": on_phone(row)} for row in rows)


def add_phone(command, *more: str) -> str:
    assert command("references", "cells.py:Cells")[0] == 0
    fill(Path("references.csv"))
    code, out, err = command("add", "phone", "--problem", "cells.py:Cells", "--csv", "references.csv", *more)
    assert code == 0, err
    return out


def front(command, *arguments: str) -> dict:
    code, out, err = command("front", "runs/r", "phone", *arguments, "--json")
    assert code == 0, err
    return json.loads(out)


def test_a_phone_added_by_a_table_shows_the_front_of_a_run(command):
    assert "Device phone: 10 reference networks" in add_phone(command)
    assert Path("devices/Cells/phone.csv").is_file()
    shown = front(command)
    members = shown["front"] + shown["others"]
    assert len(members) > 10 and shown["left_out"] == ["latency_ms"]
    truth = [on_phone({k: str(v) for k, v in m["configuration"].items()}) for m in members]
    assert spearmanr([m["latency_ms"] for m in members], truth).statistic > 0.85
    latencies = [m["latency_ms"] for m in shown["front"]]
    errors = [m["error"] for m in shown["front"]]
    assert latencies == sorted(latencies) and errors == sorted(errors, reverse=True)
    code, out, _ = command("front", "runs/r", "phone")
    assert code == 0 and "Front on phone" in out and "±" in out and "Left out, as measured elsewhere: latency_ms" in out


def test_networks_in_doubt_are_written_and_taken_filled_in(command):
    add_phone(command)
    shown = front(command, "--verify", "3")
    assert shown["verified"] == 0
    if not shown["worth_measuring"]:
        pytest.skip("nothing is in doubt")
    path = Path(shown["to_fill"])
    assert path == Path("devices/Cells/phone.to_measure.csv") and len(path.read_text().splitlines()) <= 4
    code, _, err = command("front", "runs/r", "phone", "--measured", str(path))
    assert code == 2 and "`latency_ms` must be a positive number, but is empty; fill it in" in err[-1]
    fill(path)
    ids = set(shown["worth_measuring"])
    shown = front(command, "--measured", str(path))
    measured = {m["id"] for m in shown["front"] + shown["others"] if m["by"] == "measured"}
    assert ids <= measured and not ids & set(shown["worth_measuring"])


def test_this_machine_is_measured_and_verified_at_once(command):
    code, out, err = command("add", "here", "--problem", "cells.py:Cells", "--json")
    assert code == 0, err
    added = json.loads(out)
    assert min(added["features"]) == 0 and max(added["features"]) == 1
    code, out, err = command("front", "runs/r", "here", "--verify", "4", "--json")
    assert code == 0, err
    shown = json.loads(out)
    assert shown["to_fill"] is None
    code, out, _ = command("list", "--json")
    assert json.loads(out) == [{"problem": "Cells", "device": "here"}]


def test_a_pick_keeps_a_deadline_or_says_how_far_off_it_is(command):
    add_phone(command)
    limit = front(command)["front"][-1]["latency_ms"]
    picked = front(command, "--under", f"{limit}", "--safe", "2")["picked"]
    assert picked["latency_ms"] + 2 * picked["std_ms"] <= limit
    code, _, err = command("front", "runs/r", "phone", "--under", "0.1")
    assert code == 1 and "mean + 1 std must be at most 0.1 ms, but of the fastest, evaluation" in err[-1]


def test_each_wrong_input_is_one_clear_message(command):
    code, _, err = command("front", "runs/r", "watch")
    assert (
        code == 2 and "a device must be one of those of `Cells`, none, but is 'watch'; `evo-moo device add" in err[-1]
    )
    add_phone(command)
    code, _, err = command("front", "runs/r", "phone", "--problem", "gone.py:Cells")
    assert code == 2 and "gone.py" in err[-1]
    code, _, err = command("add", "a/b", "--problem", "cells.py:Cells", "--csv", "references.csv")
    assert code == 2 and "a device must be named by letters, digits" in err[-1]
    lines = Path("references.csv").read_text().splitlines()
    Path("nine.csv").write_text("\n".join(lines[:-1]))
    code, _, err = command("add", "tablet", "--problem", "cells.py:Cells", "--csv", "nine.csv")
    assert code == 2 and "`nine.csv` must have all 10 reference networks, but lacks reference_10" in err[-1]
    code, _, err = command("add", "x", "--problem", "cells.py:Cells", "--csv", "nine.csv", "--runtime", "torch")
    assert code == 2 and "`--csv` must go without --runtime" in err[-1]
    assert not Path("devices/Cells/tablet.csv").exists()


def test_contexts_of_a_run_are_known_devices(command):
    options = {"devices": ["made_up_cpu", "made_up_gpu"]}
    search = {"pop_size": 10, "termination": ("n_evals", 20), "surrogate": "none", "workers": 1}
    shutil.rmtree("runs/c", ignore_errors=True)
    evo_moo.search("nasbench201", options=options, run_dir="runs/c", **search)
    assert command("references", "nasbench201")[0] == 0
    rows = list(csv.DictReader(Path("references.csv").read_text().splitlines()))
    problem = evo_moo.load_problem("nasbench201", options)
    latencies = []
    for row in rows:
        metrics = problem.call_compute({name: row[name] for name in problem.variables}).metrics
        latencies.append(3 * metrics["latency_ms@made_up_cpu"] + metrics["latency_ms@made_up_gpu"])
    lines = Path("references.csv").read_text().splitlines()
    filled = [lines[0], *(f"{line}{ms}" for line, ms in zip(lines[1:], latencies, strict=True))]
    Path("references.csv").write_text("\n".join(filled))
    assert command("add", "new", "--problem", "nasbench201", "--csv", "references.csv")[0] == 0
    code, out, err = command("front", "runs/c", "new", "--json")
    assert code == 0, err
    shown = json.loads(out)
    assert shown["left_out"] == ["latency_ms@made_up_cpu", "latency_ms@made_up_gpu"]
    for member in shown["front"]:
        metrics = problem.call_compute(member["configuration"]).metrics
        truth = 3 * metrics["latency_ms@made_up_cpu"] + metrics["latency_ms@made_up_gpu"]
        assert member["latency_ms"] == pytest.approx(truth, rel=1e-3)
    code, _, err = command("front", "runs/c", "made_up_gpu")
    assert code == 2 and "made_up_gpu is a context that it searched; `evo-moo show runs/c --context" in err[-1]

import json
import re

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from typer.testing import CliRunner  # noqa: E402

import evo_moo  # noqa: E402
from evo_moo.cli.latency import report_latency  # noqa: E402
from evo_moo.cli.main import app  # noqa: E402
from evo_moo.errors import EvoMooError, ProblemError, SpaceError  # noqa: E402
from evo_moo.plugins import load_problem  # noqa: E402
from evo_moo.toolkit.latency import Effort  # noqa: E402

QUICK = {"repeats": 1, "effort": Effort(warmup_s=0.01, min_blocks=6, max_blocks=6)}

FILE = """
import torch
from evo_moo import Integer, SearchProblem

class Plain(SearchProblem):
    variables = {"width": Integer(1, 64)}
    objectives = {"width": "min"}

    def evaluate(self, config):
        return {"width": config["width"]}

class Networks(Plain):
    def __init__(self, depth=1):
        self.depth = depth

    def network(self, config):
        layers = [torch.nn.Linear(config["width"], config["width"]) for _ in range(self.depth)]
        return torch.nn.Sequential(*layers), torch.zeros(2, config["width"])

class Needs(Networks):
    def __init__(self, needed):
        self.depth = needed

class Torn(Networks):
    def network(self, config):
        return torch.nn.Linear(3, 3), torch.zeros(2, 4)
"""


@pytest.fixture(autouse=True)
def reference(tmp_path, monkeypatch):
    monkeypatch.setenv("EVO_MOO_SLOT_DIR", str(tmp_path))
    monkeypatch.setenv("EVO_MOO_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("evo_moo.toolkit.reference_workload.CALIBRATION_S", 0.01)
    (tmp_path / "networks.py").write_text(FILE)
    return f"{tmp_path / 'networks.py'}:Networks"


@pytest.mark.slow
def test_the_distribution_and_its_trust_are_shown(reference):
    command = [
        "latency",
        reference,
        "--option",
        "depth=2",
        "--config",
        '{"width": 7}',
        "--batch-size",
        "4",
        "--repeats",
        "2",
    ]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "width=7" in result.output
    for words in ("1 corrected", "2 corrected", "raw", "p95", "IQR", "95 % interval", "█", "outside"):
        assert words in result.output
    assert re.search(r"The 2 medians lie within \d+\.\d% of each other \(raw: \d+\.\d%\)", result.output)


def test_the_seed_decides_what_is_measured(reference, capsys):
    shown = []
    for seed in (1, 1, 2):
        report_latency(reference, {}, seed=seed, **QUICK)
        shown.append(capsys.readouterr().out.splitlines()[0])
    assert shown[0] == shown[1] != shown[2]


@pytest.mark.slow
def test_a_configuration_of_a_run(reference, tmp_path, capsys):
    run_dir = tmp_path / "run"
    result = evo_moo.search(reference, termination=("n_evals", 4), pop_size=4, seed=1, run_dir=run_dir)
    third = result.evaluations[2]
    report_latency(reference, {}, run_dir=run_dir, config_id=third.id, **QUICK)
    assert capsys.readouterr().out.startswith(f"width={third.configuration['width']}\n")
    with pytest.raises(SpaceError, match=r"`--config-id` must be the number of an evaluation in .*, but is 99"):
        report_latency(reference, {}, run_dir=run_dir, config_id=99)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"config": "{width: 3}"}, "`--config` must be JSON"),
        ({"config": "3"}, "a configuration must map names to values, but is 3"),
        ({"config": json.dumps({"width": 65})}, "width"),
        ({"config_id": 1}, "by `--run` and `--config-id` together"),
    ],
)
def test_a_wrong_configuration_is_refused(reference, given, message):
    with pytest.raises(SpaceError, match=re.escape(message)):
        report_latency(reference, {}, **given)


def test_a_problem_must_show_its_network(reference):
    with pytest.raises(ProblemError, match=r"must define `network\(self, config\)`"):
        report_latency(reference.replace("Networks", "Plain"), {})


def test_the_definition_says_whether_a_network_is_shown(reference):
    shown = CliRunner().invoke(app, ["problems", reference]).stdout.replace("\n", "")
    assert f"Shows its network: evo-moo latency {reference}" in shown
    plain = CliRunner().invoke(app, ["problems", reference.replace("Networks", "Plain")])
    assert plain.exit_code == 0 and "Shows its network" not in plain.stdout


def test_a_network_takes_a_configuration_only(reference):
    problem = load_problem(reference)
    type(problem).network = lambda self, config, size: None
    with pytest.raises(ProblemError, match="`network` of `Networks` may ask for nothing more, but it asks for size"):
        problem.check()


def test_problem_that_cannot_be_deployed_is_one_message(reference):
    with pytest.raises(ProblemError, match="cannot be measured so: `runtime` must be one of"):
        report_latency(reference, {}, runtime="abacus")


def test_a_histogram_of_equal_times_is_drawn(capsys):
    from rich.console import Console

    from evo_moo.cli.latency import print_histogram
    from evo_moo.toolkit.latency import Latency

    print_histogram(Console(width=80), [Latency((1.0,) * 9, (1.0,) * 9, 1.0, 1, 1.0)])
    assert np.sum([int(n) for n in re.findall(r"█ (\d+)", capsys.readouterr().out)]) == 9


def test_a_run_gives_its_options_where_none_are_given(reference, tmp_path, capsys):
    run_dir = tmp_path / "run"
    options = {"termination": ("n_evals", 4), "pop_size": 4, "run_dir": run_dir, "workers": 1}
    evo_moo.search(f"{tmp_path / 'networks.py'}:Needs", options={"needed": 2}, **options)
    report_latency(reference.replace("Networks", "Needs"), {}, run_dir=run_dir, config_id=2, **QUICK)
    with pytest.raises(EvoMooError, match="needed"):
        report_latency(reference.replace("Networks", "Needs"), {})
    report_latency(reference, {}, run_dir=run_dir, config_id=2, **QUICK)  # another problem: not its options


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--seed", "-4"], "Invalid value for '--seed'"),
        (["--batch-size", "999999999999999"], "`batch_size` must be at most"),
        (["--threads", "100000"], "`threads` must be at most"),
        (["--option", "a"], "`--option` must be NAME=VALUE, as in epochs=2, but is 'a'"),
        (["--option", "=b"], "`--option` must be NAME=VALUE, as in epochs=2, but is '=b'"),
    ],
)
def test_a_wrong_number_is_one_message(reference, given, message):
    result = CliRunner().invoke(app, ["latency", reference, *given])
    assert message in result.output + str(result.exception)
    assert isinstance(result.exception, SystemExit | EvoMooError)


def test_a_network_that_torch_cannot_run_is_one_message(reference):
    with pytest.raises(ProblemError, match=r"must have a network that runs as asked, but: .*; a smaller batch may fit"):
        report_latency(reference.replace("Networks", "Torn"), {}, **QUICK)

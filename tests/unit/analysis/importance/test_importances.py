import contextlib
import dataclasses
import json
import shutil
import sqlite3

import numpy as np
import pytest
from typer.testing import CliRunner

import evo_moo
from evo_moo.analysis.importance.importances import importance_columns, importances, learnt_in_words, pair_columns
from evo_moo.analysis.run_table import RunTable
from evo_moo.analysis.validated_models import validated
from evo_moo.cli.main import app
from evo_moo.errors import MetricError, RunFolderError, UsageError
from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metric
from evo_moo.space.search_space import SearchSpace
from evo_moo.space.variables import Choice, Integer, Real

UNIT = SearchSpace({f"x{i}": Real(0, 1) for i in range(8)})


def archive_of(space, X, y, seed=1):
    order = np.argsort(y)
    rank = np.empty(len(y))
    rank[order] = np.arange(len(y))
    goals, ids = Goals.declared({"y": "min"}, {}), {i + 1: i for i in range(len(y))}
    return RunTable(space, goals, {"y": Metric()}, X, {"y": np.asarray(y, dtype=float)}, rank, ids, {}, seed)


def told_of(space, X, y, **options):
    told = importances(archive_of(space, X, y), **options)["metrics"]["y"]
    return told, {row["variable"]: row for row in told["variables"]}


def linear(X, seed=5):
    noise = np.random.default_rng(seed).normal(size=len(X))
    return 4 * X[:, 0] + 2 * X[:, 1] + X[:, 2] + 0.3 * noise


def test_active_variables_of_a_linear_function_come_first():
    X = UNIT.sample(100, np.random.default_rng(1), "lhs")
    told, rows = told_of(UNIT, X, linear(X))
    assert [row["variable"] for row in told["variables"][:3]] == ["x0", "x1", "x2"]
    found = [rows[f"x{i}"]["importance"] for i in range(3)]
    assert 0.04 < told["unexplained"] < 0.15  # the noise is 0.05 of the variance
    np.testing.assert_allclose(found, np.array([16, 4, 1]) / 21 * (1 - told["unexplained"]), atol=0.07)
    for name in ("x3", "x4", "x5", "x6", "x7"):
        assert abs(rows[name]["importance"]) < 0.02 and abs(rows[name]["importance"]) < 3 * rows[name]["error"]
        assert rows[name]["main"] < 0.02
    assert rows["x0"]["importance"] > 5 * rows["x0"]["error"] > 0


@pytest.mark.slow
def test_errors_allow_for_what_a_model_shrinks():
    """With as much noise, models show two thirds of an effect; within two standard errors is the truth all the same."""
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        X = UNIT.sample(60, rng, "lhs")
        y = 4 * X[:, 0] + 2 * X[:, 1] + X[:, 2] + rng.normal(size=60)
        _, rows = told_of(UNIT, X, y)
        truth = np.array([16, 4, 1]) / (21 + 12)  # in twelfths, and a variance of 1 for the noise
        found = np.array([rows[f"x{i}"]["importance"] for i in range(3)])
        errors = np.array([rows[f"x{i}"]["error"] for i in range(3)])
        assert found.sum() < truth.sum() and (np.abs(found - truth) < 2 * errors).all()


@pytest.mark.slow
def test_ranking_does_not_depend_on_where_the_search_sampled():
    rng = np.random.default_rng(3)
    X = UNIT.sample(150, rng)
    # As after many generations: what matters most hardly varies any more.
    X[30:, 0] = np.clip(rng.normal(0.1, 0.02, 120), 0, 1)
    X[30:, 1] = np.clip(rng.normal(0.2, 0.1, 120), 0, 1)
    y = linear(X)
    assert np.var(4 * X[30:, 0]) < np.var(X[30:, 2])  # among what was sampled x2 does more
    told, rows = told_of(UNIT, X, y)
    assert [row["variable"] for row in told["variables"][:3]] == ["x0", "x1", "x2"]
    assert max(rows, key=lambda name: rows[name]["main"]) == "x0"


def test_conditional_variable_counts_only_where_it_exists():
    space = SearchSpace(
        {
            "n": Integer(1, 3),
            "w1": Real(4, 64, log=True),
            "w2": Real(4, 64, log=True, when={"n": {"at_least": 2}}),
            "idle": Real(0, 1, when={"n": 3}),
        }
    )
    X = space.sample(150, np.random.default_rng(2), "lhs")
    active = space.active(X)
    y = 3 * X[:, 1] + np.where(active[:, 2], 2 * X[:, 2], 0.0)
    _, rows = told_of(space, X, y)
    # Where w2 exists, n does nothing, and the variances of w1 and w2 are as 9 to 4.
    for measure, off in (("importance", 0.06), ("main", 0.1)):
        assert rows["w2"][measure] == pytest.approx(4 / 13, abs=off)
        assert abs(rows["idle"][measure]) < 0.02
    assert rows["w2"]["exists_in"] == pytest.approx(2 / 3) and rows["idle"]["exists_in"] == pytest.approx(1 / 3)
    assert rows["w2"]["n"] == active[:, 2].sum() and rows["w1"]["exists_in"] == 1
    # n decides about 2 log w2, whose mean square is E(w2): two of nine pairs of values differ in it, twice.
    log = np.linspace(np.log(4), np.log(64), 10001)
    square, mean, one = (4 * log**2).mean(), (2 * log).mean(), log.var()
    whole = 9 * one + 2 / 3 * square - (2 / 3 * mean) ** 2
    assert rows["n"]["importance"] == pytest.approx(2 / 9 * square / whole, abs=0.08)


def test_near_the_front_another_variable_may_matter():
    X = UNIT.sample(100, np.random.default_rng(6), "lhs")
    y = 20 * np.maximum(X[:, 0] - 0.5, 0) + X[:, 1]
    _, everywhere = told_of(UNIT, X, y)
    _, near = told_of(UNIT, X, y, near_front=True)
    assert everywhere["x0"]["importance"] > 2 * everywhere["x1"]["importance"]
    assert near["x1"]["importance"] > 2 * near["x0"]["importance"]
    assert near["x1"]["main"] > near["x0"]["main"]
    assert near["x0"]["n"] < everywhere["x0"]["n"] == 100


def test_a_region_with_too_few_values_of_a_metric_says_so():
    X = UNIT.sample(60, np.random.default_rng(6), "lhs")
    archive = archive_of(UNIT, X, X[:, 0])
    far = np.where(archive.rank >= 25, X[:, 0], np.nan)
    archive = dataclasses.replace(archive, values={**archive.values, "far": far})
    its = importances(archive, ["far"], near_front=True)["metrics"]["far"]
    assert its["n"] < 10 and its["nothing"].endswith("have it, but it takes 10") and its["variables"] == []


def test_metric_without_a_model_has_no_importances():
    X = UNIT.sample(40, np.random.default_rng(1))
    told, _ = told_of(UNIT, X, np.random.default_rng(7).normal(size=40))
    assert told["nothing"] == "no model predicts this metric; importances would be noise" and told["variables"] == []
    assert told_of(UNIT, X, np.full(40, 2.5))[0]["nothing"] == "it is 2.5 in every evaluation"
    assert told_of(UNIT, X[:9], np.arange(9))[0]["nothing"] == "9 evaluated configurations have it, but it takes 10"
    for scale, shift in ((1e308, 0), (1e-300, 0), (1e-3, 1e12)):
        assert told_of(UNIT, X, shift + scale * X[:, 0])[0]["nothing"].endswith("have no usable variance")
    assert importances(archive_of(UNIT, X[:0], np.empty(0)))["metrics"]["y"]["variables"] == []


def test_the_seed_of_the_run_decides():
    X = UNIT.sample(30, np.random.default_rng(1))

    def table(seed):
        validated.cache_clear()
        return importances(archive_of(UNIT, X, linear(X), seed))

    assert table(1) == table(1) != table(2)


def test_columns_hold_a_row_for_each_metric_and_variable():
    X = UNIT.sample(40, np.random.default_rng(1))
    told = importances(archive_of(UNIT, X, linear(X)))
    columns = importance_columns(told)
    assert {len(column) for column in columns.values()} == {8} and set(columns["metric"]) == {"y"}
    pairs = pair_columns(told)
    assert pairs["share"] == [pair["share"] for pair in told["metrics"]["y"]["pairs"]] and len(pairs["one"]) == 15
    assert columns["importance"] == [row["importance"] for row in told["metrics"]["y"]["variables"]]


HOSTILE = "[red]$\\frac{\x1b[31m"


def measured(config):
    if config["kind"] == "fails":
        raise ValueError("as asked")
    return {"b[bold]\x1b[2J": config["x"] + config.get("z", 0.0), HOSTILE: 1 - config["x"], "same": 1.0}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("importance") / "r"
    variables = {
        "x": Real(0, 1),
        "kind": Choice(["plain", HOSTILE, "fails"]),
        "z": Real(0, 1, when={"kind": HOSTILE}),
        "one": Choice(["only"]),
    }
    evo_moo.search(
        measured,
        "random",
        variables=variables,
        objectives={"b[bold]\x1b[2J": "min", HOSTILE: "max"},
        termination=("n_evals", 50),
        workers=1,
        run_dir=path,
    )
    return path


def command(*arguments, code=0):
    result = CliRunner().invoke(app, ["importance", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--near-front",), ("--dependence",), ("--around", 1)])
def test_names_command_neither_the_terminal_nor_the_figures(run, options):
    plot = [] if options[:1] == ("--around",) else ["--plot"]
    shown = command(run, *options, *plot)
    assert "\x1b" not in shown and "[bold]" in shown and "x" in shown
    if plot:
        picture = run / ("dependence.png" if options == ("--dependence",) else "importance.png")
        assert picture.read_bytes().startswith(b"\x89PNG")
    assert json.loads(command(run, *options, "--json"))


def test_failures_are_left_out_and_constants_said(run):
    told = json.loads(command(run, "--json", "--metric", "same", "--metric", HOSTILE))
    assert told["left_out"]["failed"] > 0 and told["metrics"]["same"]["nothing"] == "it is 1 in every evaluation"
    rows = {row["variable"]: row for row in told["metrics"][HOSTILE]["variables"]}
    assert rows["x"]["importance"] == pytest.approx(1, abs=0.3) and abs(rows["one"]["importance"]) < 1e-9
    assert rows["z"]["n"] + told["left_out"]["failed"] < 50


def test_wrong_input_is_one_message(run):
    for options, words in (
        (("--around", "1", "--dependence"), "must be given one at a time"),
        (("--around", "1", "--plot"), "must go without"),
        (("--around", "51"), "from 1 to 50, but is 51"),
        (("--metric", "nonsense"), "but is nonsense"),
    ):
        error = CliRunner().invoke(app, ["importance", str(run), *options]).exception
        assert isinstance(error, UsageError | MetricError) and words in str(error)
    with pytest.raises(MetricError, match=r"`metric` must be one of .*same.*, but is nonsense"):
        importances(run, ["nonsense"])
    with pytest.raises(RunFolderError, match="must be a run folder"):
        importances(run.parent)


@pytest.mark.parametrize(
    "damage",
    [
        """UPDATE meta SET value = '{"rate": {"kind": "nope"}}' WHERE key = 'space'""",
        """UPDATE meta SET value = '{"x\\u001b": {"kind": "real", "low": 0, "high": 1}}' WHERE key = 'space'""",
        """UPDATE meta SET value = '[3]' WHERE key = 'job'""",
        """UPDATE evaluations SET configuration = '{"rate": 99}' WHERE id = 5""",
        """UPDATE evaluations SET metrics = '{"loss": 1}' WHERE id = 5""",
    ],
)
def test_a_damaged_folder_is_one_message(golden, tmp_path, damage):
    shutil.copytree(golden / "format_4" / "finished", tmp_path / "r")
    with contextlib.closing(sqlite3.connect(tmp_path / "r" / "run.sqlite")) as ledger, ledger:
        ledger.execute(damage)
    with pytest.raises(RunFolderError, match="must hold a sound ledger"):
        importances(tmp_path / "r")


@pytest.fixture
def golden(request):
    return request.config.rootpath / "tests" / "golden"


def test_words_say_what_share_was_learnt():
    assert learnt_in_words({"n_learnt": 7, "n_known": 7}) == ""
    words = "learnt from 1,000 of 98,765 configurations, drawn at random"
    assert learnt_in_words({"n_learnt": 1000, "n_known": 98_765}) == words

"""One search for several devices, by the command line: each reader shows the front of each, or asks which."""

import csv
import io
import json
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evo_moo
from evo_moo.analysis.choice import pick
from evo_moo.errors import MetricError, NoChoiceError, UsageError
from evo_moo.report.content import read_report
from evo_moo.storage.ledger import Ledger
from tests.integration.running import USER_FILE, front_of, ledger_of
from tests.integration.running import evo_moo as command

DEVICES = USER_FILE.with_name("devices.py")
NAMES = ("server", "phone", "chip")
WHICH = "`context` must be one of server, phone, chip, each with its own front, but is missing"
UNKNOWN = "a context must be one of server, phone, chip, but is 'tablet'"
NONE_THERE = "a context must go with a search that has contexts, but this has none: 'phone'"


def job(folder: Path, name: str = "job", kind: str = "Hard", **sections: str) -> Path:
    path = folder / f"{name}.toml"
    told = sections.pop("search", "")
    more = "".join(f"[{section}]\n{lines}\n" for section, lines in sections.items())
    path.write_text(
        f'[problem]\nuse = "{DEVICES}:{kind}"\n[search]\npop_size = 12\nseed = 2\n{told}\n[budget]\nn_evals = 60\n'
        f'[surrogate]\nmodel = "none"\n[evaluation]\nworkers = 1\n{more}'
    )
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with limits that nothing keeps on the chip, and one without contexts."""
    path = tmp_path_factory.mktemp("contexts")
    command("run", job(path), "--run-dir", "hard", cwd=path, draws=True)
    evo_moo.search("pymoo:bnh", pop_size=8, termination=("n_evals", 16), workers=1, run_dir=path / "plain")
    return path


@pytest.fixture(scope="module")
def result(folder: Path) -> evo_moo.Result:
    return evo_moo.Result.read(folder / "hard")


def said(folder: Path, *arguments: Any, code: int = 2) -> str:
    return command(*arguments, cwd=folder, code=code).stderr


def test_show_has_a_table_for_each_context(folder: Path, result: evo_moo.Result) -> None:
    shown = command("show", "hard", cwd=folder).stdout
    for name in ("server", "phone"):
        assert f"Pareto front in {name}: {len(result.within(name).front)} of 60 evaluations" in shown
    assert (
        f"Nothing of 60 evaluations keeps the limits in chip; the nearest: {len(result.within('chip').front)}" in shown
    )
    assert f"Hypervolume: {result.hypervolume():.4g} of the first generation's boxes of 3 contexts, on average" in shown
    several = sum(len(names) > 1 for names in result.serves.values())
    assert f"{len(result.front)} evaluations on the fronts, {several} of them on several" in shown and several
    phone = command("show", "hard", "--context", "phone", cwd=folder).stdout
    assert "in server" not in phone and "@chip" not in phone and "also on" in phone
    assert all(re.search(rf"│ +{e.id} │", phone) for e in result.within("phone").front)


def test_json_and_csv_have_all_contexts(folder: Path, result: evo_moo.Result) -> None:
    data = json.loads(command("show", "hard", "--json", cwd=folder).stdout)
    assert list(data["contexts"]) == list(NAMES) and data["hypervolume"] == pytest.approx(result.hypervolume())
    assert [data["contexts"][name]["feasible"] for name in NAMES] == [True, True, False]
    assert {member["id"]: tuple(member["contexts"]) for member in data["front"]} == {
        e.id: result.serves[e.id] for e in result.front
    }
    phone = json.loads(command("show", "hard", "--context", "phone", "--json", cwd=folder).stdout)
    assert phone == data["contexts"]["phone"] and phone["context"] == "phone"
    assert [member["id"] for member in phone["front"]] == [e.id for e in result.within("phone").front]
    rows = list(csv.DictReader(io.StringIO(command("show", "hard", "--csv", cwd=folder).stdout)))
    assert [row["contexts"] for row in rows] == [", ".join(result.serves[e.id]) for e in result.front]
    with (folder / "hard" / "front.csv").open() as file:
        assert list(csv.DictReader(file)) == rows


def test_every_reader_says_on_which_fronts_an_evaluation_is(folder: Path, result: evo_moo.Result) -> None:
    key, names = next((key, names) for key, names in result.serves.items() if len(names) == 2)
    story = command("show", "hard", "--id", key, cwd=folder).stdout
    assert f"on those of {', '.join(names)}" in story and f"kept in {', '.join(names)}" in story
    table = command("list", ".", cwd=folder).stdout
    assert f"{result.hypervolume():.4g}" in table and "latency_ms@chip" not in table
    assert f"<td>{', '.join(names)}</td>" in result._repr_html_()
    exported = list(
        csv.DictReader(io.StringIO(command("export", "hard", "--to", "csv", "--output", "-", cwd=folder).stdout))
    )
    assert exported[int(key) - 1]["contexts"] == ", ".join(names)
    phone = command(
        "export", "hard", "--to", "csv", "--output", "-", "--front", "--context", "phone", cwd=folder
    ).stdout
    assert {int(row["id"]) for row in csv.DictReader(io.StringIO(phone))} == {
        e.id for e in result.within("phone").front
    }
    expected = json.loads(command("show", "hard", "--expected", "--json", cwd=folder).stdout)["front"]
    assert {m["id"]: tuple(m["contexts"]) for m in expected} == {e.id: result.serves[e.id] for e in result.front}


def test_pick_chooses_from_the_front_of_a_context(folder: Path, result: evo_moo.Result) -> None:
    given = "pick", "hard", "--context", "phone", "--limit", "latency_ms <= 10", "--weights", "error=1"
    data = json.loads(command(*given, "--json", cwd=folder).stdout)
    assert data["context"] == "phone" and data["rule"] == "latency_ms@phone <= 10; the best error"
    kept = [e for e in result.within("phone").front if e.metrics["latency_ms@phone"] <= 10]
    assert data["id"] == min(kept, key=lambda e: e.metrics["error"]).id
    assert "the front of what keeps the limits in phone" in command(*given, cwd=folder).stdout
    assert result.best_under("error", latency_ms=10, context="phone").id == data["id"]
    recorded = pick(result, context="phone", limits={"latency_ms@phone": {"at_most": 10}}, weights={"error": 1})
    assert recorded.chosen.id == data["id"]
    sweep = json.loads(command("pick", "hard", "--context", "phone", "--sweep", "--json", cwd=folder).stdout)
    assert {member["id"] for member in sweep} == {e.id for e in result.within("phone").front}
    with pytest.raises(NoChoiceError, match=r"`energy_mj@chip <= 12` is kept by none of 60"):
        pick(result, context="chip")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("pick", "hard"), WHICH),
        (("pick", "hard", "--context", "tablet"), UNKNOWN),
        (("pick", "plain", "--context", "phone"), NONE_THERE),
        (("show", "hard", "--context", "tablet"), UNKNOWN),
        (("show", "plain", "--context", "phone", "--csv"), NONE_THERE),
        (("show", "hard", "--context", "phone", "--id", "3"), "`--context` must go with a front"),
        (("importance", "hard", "--context", "tablet"), UNKNOWN),
        (("export", "hard", "--to", "csv", "--context", "tablet"), UNKNOWN),
        (("pick", "hard", "--context", "phone", "--order", "latency"), "`order` must name objectives"),
    ],
)
def test_a_wrong_context_is_one_clear_message(folder: Path, arguments: tuple[str, ...], words: str) -> None:
    (line,) = said(folder, *arguments).splitlines()
    assert line.startswith(f"evo-moo: {words}")


def test_python_refuses_a_wrong_context_alike(folder: Path, result: evo_moo.Result) -> None:
    plain = evo_moo.Result.read(folder / "plain")
    with pytest.raises(UsageError, match=WHICH):
        result.best_under(latency_ms=10)
    with pytest.raises(MetricError, match=NONE_THERE):
        plain.best_under(f1=10, context="phone")
    with pytest.raises(MetricError, match=UNKNOWN):
        result.best_under(latency_ms=10, context="tablet")


def test_the_report_has_the_front_of_each_context(folder: Path, result: evo_moo.Result) -> None:
    report = read_report(folder / "hard", with_importances=False)
    data = json.loads(report.to_json())
    for name in NAMES:
        within, part = result.within(name), data["contexts"][name]
        front = [data["columns"]["id"][i] for i, role in enumerate(part["role"]) if data["roles"][role] == "front"]
        assert sorted(front) == sorted(e.id for e in within.front)
        assert [o["name"] for o in part["objectives"]] == ["error", f"latency_ms@{name}"]
        assert part["feasible"] == within.feasible
        if within.feasible:
            assert part["history"]["volume"][-1] == pytest.approx(within.hypervolume(), rel=1e-5)
    best = {o["name"]: o["best"] for o in data["objectives"]}
    assert best["latency_ms@phone"] == min(e.metrics["latency_ms@phone"] for e in result.within("phone").front)
    assert best["latency_ms@chip"] is None
    words = f"{len(result.within('server').front)} in server, {len(result.within('phone').front)} in phone"
    assert data["facts"]["Contexts"].startswith(f"{words}, none keeps the limits in chip")
    page = (folder / "hard" / "report.html").read_text(encoding="utf-8")
    assert '<select id="context"><option>server</option><option>phone</option><option>chip</option></select>' in page
    assert page.count('class="front-table"') == 3 and "No evaluation keeps every limit in chip." in page
    assert (folder / "hard" / "front.png").stat().st_size > 0


@pytest.mark.slow
def test_the_report_draws_a_figure_for_each_context(folder: Path, tmp_path: Path) -> None:
    command("report", "hard", "--output", tmp_path / "r.html", "--figures", tmp_path / "f", cwd=folder)
    drawn = {path.name for path in (tmp_path / "f").glob("*.svg")}
    assert {f"front-{name}.svg" for name in NAMES} | {"progress-phone.svg", "parallel-chip.svg"} <= drawn


@pytest.mark.slow
def test_importances_are_those_of_a_context(folder: Path) -> None:
    given = "importance", "hard", "--context", "phone", "--metric", "latency_ms", "--json"
    assert list(json.loads(command(*given, cwd=folder).stdout)["metrics"]) == ["latency_ms@phone"]
    near = json.loads(command("importance", "hard", "--near-front", "--json", cwd=folder).stdout)
    assert len(near["metrics"]) == 4


def test_told_metrics_may_have_a_value_for_each_context(tmp_path: Path) -> None:
    told = (
        "start = [{ configuration = { width = 4, depth = 4, kernel = 1 }, metrics = { error = 0.01, latency_ms = "
        "{ server = 1.5, phone = 2, chip = 3 } } }, { configuration = { width = 5, depth = 4, kernel = 1 }, "
        'metrics = { error = 0.02, latency_ms = 1.25 } }]\nknown = ["known.csv"]'
    )
    columns = "width,depth,kernel,error,latency_ms@server,latency_ms@phone,latency_ms@chip"
    (tmp_path / "known.csv").write_text(f"{columns}\n6,6,1,0.03,1,9,9\n")
    command("run", job(tmp_path, kind="Devices", search=told), "--run-dir", "r", "--n-evals", "12", cwd=tmp_path)
    result = evo_moo.Result.read(tmp_path / "r")
    metrics = [e.metrics for e in result.evaluations if e.is_told]
    assert [m["latency_ms@phone"] for m in metrics] == [2, 1.25, 9] and metrics[0]["latency_ms@chip"] == 3
    assert result.n_told == 3 and result.serves[1] == NAMES and result.serves[3] == ("server",)
    lacking = told.replace("phone = 2, ", "").replace("chip = 3", "tablet = 3")
    words = said(tmp_path, "run", job(tmp_path, "wrong", kind="Devices", search=lacking), "--run-dir", "w")
    assert "metric `latency_ms` must be by server, phone, chip, but has 'tablet'" in words
    missing = told.replace("phone = 2, ", "")
    words = said(tmp_path, "run", job(tmp_path, "wrong", kind="Devices", search=missing), "--run-dir", "w")
    assert "metrics must hold a number for every goal, but lack latency_ms@phone" in words


def test_damage_to_a_population_of_a_context_is_seen(tmp_path: Path) -> None:
    command("run", job(tmp_path), "--run-dir", "r", "--n-evals", "24", cwd=tmp_path)
    assert "damaged" not in command("doctor", "r", cwd=tmp_path).stdout
    with closing(Ledger(tmp_path / "r" / "run.sqlite")) as ledger:
        state = json.loads(ledger.checkpoint() or "")
        state["algorithm"]["others"][0]["optimum"] = [999]
        with ledger.transaction():
            ledger.record_checkpoint(json.dumps(state))
    assert "999" in command("doctor", "r", cwd=tmp_path, code=1).stdout


def test_the_hypervolume_ends_a_search_by_its_mean_over_contexts(tmp_path: Path) -> None:
    stop = "[budget.stop_when]\nrule = 'hypervolume stalls'\ntol = 0.02\nperiod = 3\n"
    path = job(tmp_path, kind="Devices")
    path.write_text(path.read_text().replace("n_evals = 60", "n_evals = 600") + stop)
    command("run", path, "--run-dir", "r", cwd=tmp_path)
    log = (tmp_path / "r" / "log.txt").read_text()
    assert "hypervolume stalls: it grew by" in log
    volumes = [float(v) for v in re.findall(r"generation \d+: .* hypervolume (\S+) of", log)]
    stalled = [i for i in range(3, len(volumes)) if volumes[i] - volumes[i - 3] <= 0.02 * volumes[i]]
    assert stalled[0] == len(volumes) - 1


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two groups of three seeds each."""
    path = tmp_path_factory.mktemp("batch")
    for algorithm in ("nsga2", "random"):
        for seed in (1, 2, 3):
            run, termination = path / f"{algorithm},seed={seed}", ("n_evals", 36)
            problem, more = f"{DEVICES}:Devices", {"pop_size": 12, "seed": seed, "workers": 1, "surrogate": "none"}
            evo_moo.search(problem, algorithm, termination=termination, run_dir=run, **more)
            (path / f"{run.name}.toml").write_text((run / "job.toml").read_text())
    return path


def test_runs_are_compared_by_the_mean_and_in_each_context(batch: Path) -> None:
    data = json.loads(command("compare", ".", "--json", cwd=batch).stdout)
    assert list(data["samples"]) == ["hypervolume", *(f"hypervolume@{name}" for name in NAMES)]
    for name in data["samples"]["hypervolume"]:
        values = {metric: by_name[name]["values"] for metric, by_name in data["samples"].items()}
        each = [values[f"hypervolume@{context}"] for context in NAMES]
        assert values["hypervolume"] == pytest.approx(np.mean(each, axis=0).tolist())
    assert {test["metric"] for test in data["comparisons"]} == set(data["samples"])
    shown = json.loads(command("batch", "--show", ".", "--json", cwd=batch).stdout)
    means = {row["name"]: row["hypervolume"] for row in shown["runs"]}
    compared = [value for sample in data["samples"]["hypervolume"].values() for value in sample["values"]]
    assert sorted(means.values()) == pytest.approx(sorted(compared))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("workers", "mode", "surrogate"),
    [
        (1, "generational", "none"),
        (2, "generational", "none"),
        (2, "generational", "auto"),
        (1, "steady-state", "none"),
        (1, "steady-state", "gp"),
    ],
)
def test_a_killed_search_ends_like_one_left_in_peace(tmp_path: Path, workers: int, mode: str, surrogate: str) -> None:
    n_evals = 60 if surrogate == "none" else 30
    for name, turns in (("peace", ""), ("war", "9 8 10")):
        (tmp_path / f"{name}.txt").write_text(turns)
        (tmp_path / f"{name}.toml").write_text(
            f'[problem]\nuse = "{DEVICES}:KillsItsRun"\noptions = {{ turns = "{tmp_path / name}.txt" }}\n[search]\n'
            f'pop_size = 12\nseed = 3\nmode = "{mode}"\n[budget]\nn_evals = {n_evals}\n[surrogate]\n'
            f'model = "{surrogate}"\n[evaluation]\nworkers = {workers}\n'
        )
    command("run", "peace.toml", "--run-dir", "peace", cwd=tmp_path)
    kills = 0
    while (tmp_path / "war.txt").read_text():
        command("run", "war.toml", "--run-dir", "war", cwd=tmp_path, code=-9)
        kills += 1
    command("run", "war.toml", "--run-dir", "war", cwd=tmp_path)
    assert kills == 3
    assert ledger_of(tmp_path / "war") == ledger_of(tmp_path / "peace")
    assert front_of(tmp_path / "war") == front_of(tmp_path / "peace")
    peace, war = (evo_moo.Result.read(tmp_path / name) for name in ("peace", "war"))
    assert war.hypervolume() == peace.hypervolume() > 0 and war.serves == peace.serves
    for name in ("server", "phone"):
        assert np.array_equal(war.within(name).box, peace.within(name).box)
    lines = [
        re.findall(r"generation \d.*?average", (tmp_path / run / "log.txt").read_text()) for run in ("peace", "war")
    ]
    assert set(lines[0]) == set(lines[1])

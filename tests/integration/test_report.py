"""The report of a run: what the page shows, that it works in a browser, and that no text of a run is more than text."""

import contextlib
import json
import re
import shutil
import sqlite3
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import evo_moo
from evo_moo.cli.main import app
from evo_moo.errors import RunFolderError, SearchFailedError, UsageError
from evo_moo.report.page import in_script, write_report_at_end
from evo_moo.report.paper_figures import write_figures
from evo_moo.storage.run_folder import RunFolder
from evo_moo.values import value_text
from tests.integration.browser import look

GOLDEN = Path(__file__).parents[1] / "golden"
NASTY = (
    "</script><img src=x onerror=\"seen.errors.push('ran')\"><b>bold</b> & &lt; 'q' \"Q\" $a$ %{x} {{ 1 }} "
    "\u2028 \u202e é"
)

DEEP = "<i>deep</i> & $x$"


class Net(evo_moo.SearchProblem):
    """Conditional, limited, and with words of all kinds."""

    variables = {
        "rate": evo_moo.Real(1e-4, 1e-1, log=True),
        "n": evo_moo.Integer(1, 6),
        "kind": evo_moo.Choice(["plain", NASTY]),
        "bend": evo_moo.Integer(1, 9, when={"kind": "plain"}),
        "deep": evo_moo.Boolean(),
    }
    objectives = {"quality": {"direction": "max", "goal": 0.5}, "<u>cost</u> $y$": "min"}
    constraints = {"size": {"at_most": 60}}
    metrics = {"<u>cost</u> $y$": evo_moo.Metric(unit="ms", log=True)}

    def evaluate(self, config):
        if config["n"] == 3:
            raise ValueError(NASTY)
        cost = config["n"] * (2 + config.get("bend", 0)) + 100 * config["rate"]
        return {
            "quality": -abs(np.log(config["rate"]) + 6) + config["n"] / 3,
            "<u>cost</u> $y$": cost,
            "size": cost + 1,
        }


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "r"
    evo_moo.search(Net(), pop_size=12, termination=("n_evals", 60), workers=1, surrogate="none", run_dir=path)
    with sqlite3.connect(path / "run.sqlite") as db:  # a name that only a run folder from elsewhere can have
        db.execute("UPDATE evaluations SET configuration = replace(configuration, '\"deep\"', ?)", (json.dumps(DEEP),))
        db.execute("UPDATE meta SET value = replace(value, '\"deep\"', ?)", (json.dumps(DEEP),))
    return path


@pytest.fixture(scope="module")
def page(run: Path) -> Path:
    return evo_moo.write_report(run)


class Tags(HTMLParser):
    """Collects the tags and the texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def data_of(page: Path) -> dict[str, Any]:
    text = page.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


def test_the_page_is_whole_in_itself_and_its_texts_stay_texts(page: Path) -> None:
    parsed = Tags(page.read_text(encoding="utf-8"))
    names = {tag for tag, _ in parsed.tags}
    assert not names & {"img", "i", "u", "link", "iframe", "object", "embed"}
    assert not [attrs for _, attrs in parsed.tags if {"src", "onerror"} & attrs.keys()]
    assert all(attrs["href"].startswith("#") for tag, attrs in parsed.tags if tag == "a")
    assert any(NASTY in text for text in parsed.texts)


def test_the_page_holds_the_run_as_columns(run: Path, page: Path) -> None:
    result, data = evo_moo.Result.read(run), data_of(page)
    columns, roles = data["columns"], data["roles"]
    assert columns["id"] == [e.id for e in result.evaluations]
    front = [i for i, role in zip(columns["id"], columns["role"], strict=True) if roles[role] == "front"]
    assert sorted(front) == sorted(e.id for e in result.front)
    for column in columns["metrics"]:
        expected = [e.metrics.get(column["name"], np.nan) for e in result.evaluations]
        np.testing.assert_allclose([np.nan if v is None else v for v in column["values"]], expected, rtol=1e-5)
    for column in columns["variables"]:
        levels = column.get("levels")
        for value, e in zip(column["values"], result.evaluations, strict=True):
            there = e.configuration.get(column["name"])
            if value is None or there is None:
                assert value is None and there is None
            else:
                assert levels[int(value)] == value_text(there) if levels else value == pytest.approx(there, rel=1e-5)
    n_failed = sum(e.status == "failed" for e in result.evaluations)
    assert n_failed and sum(f["n"] for f in data["failures"] if f["status"] == "failed") == n_failed
    over = [e.id for e in result.evaluations if e.status == "ok" and not e.feasible]
    assert over == [i for i, r in zip(columns["id"], columns["role"], strict=True) if roles[r] == "over a limit"]
    assert data["history"]["size"][-1] == len(np.unique(result.F, axis=0))
    assert data["history"]["volume"][-1] == pytest.approx(result.hypervolume(), rel=1e-5)


HOVER = """
const gd = document.getElementById("front"), box = gd.querySelector(".nsewdrag").getBoundingClientRect();
const k = gd.data.length - 1, t = gd.data[k], row = t.meta.rows[0];
const x = box.left + gd._fullLayout.xaxis.d2p(t.x[0]), y = box.top + gd._fullLayout.yaxis.d2p(t.y[0]);
gd.scrollIntoView(); const now = gd.querySelector(".nsewdrag").getBoundingClientRect(), dy = now.top - box.top;
pointer(gd.querySelector(".nsewdrag"), "mousemove", x, y + dy);
await until(() => !document.getElementById("tip").hidden);
seen.tip = document.getElementById("tip").textContent; seen.id = COLS.id[row];
seen.inside = document.getElementById("tip").querySelectorAll("img, script, i, u").length;
pointer(gd.querySelector(".nsewdrag"), "mouseout", x, y + dy);
"""
BRUSH = """
const par = document.getElementById("parallel"); par.scrollIntoView();
const j = par.data[0].dimensions.findIndex(d => d.label.startsWith("n") && d.label.length === 1);
const bar = par.querySelectorAll(".axis-brush .background")[j] || par.querySelectorAll(".axis-brush rect")[j];
const b = bar.getBoundingClientRect(), mid = b.left + b.width / 2;
for (const kind of ["mouseover", "mousemove"]) pointer(bar, kind, mid, b.top + b.height * .6);
pointer(bar, "mousedown", mid, b.top + b.height * .6);
for (const f of [.65, .8, .95, 1]) pointer(window, "mousemove", mid, b.top + b.height * f);
pointer(window, "mouseup", mid, b.top + b.height);
await until(() => kept !== null);
const range = par.data[0].dimensions[j].constraintrange, n = COLS.variables.find(c => c.name === "n").values;
seen.range = range; seen.kept = [...kept].map(i => n[i]); seen.all = LINES.map(i => n[i]);
seen.faded = document.querySelectorAll("#front-table tr.faded").length;
seen.fadedRight = ROWS.front.filter(i => !kept.has(i)).length;
const g = document.getElementById("front"); seen.selected = g.data[g.data.length - 1].selectedpoints.length;
seen.note = document.getElementById("brush-note").textContent;
document.getElementById("brush-clear").click(); seen.cleared = kept === null;
"""
TEXTS = """
seen.theme = document.documentElement.dataset.theme; seen.background = getComputedStyle(document.body).backgroundColor;
document.getElementById("theme").click(); seen.toggled = getComputedStyle(document.body).backgroundColor;
await drawn();
seen.paper = document.getElementById("front").layout.paper_bgcolor;
seen.axis = document.querySelector("#front .ytitle").textContent;
seen.labels = [...document.querySelectorAll("#parallel .axis-title")].map(e => e.textContent);
seen.ticks = [...document.querySelectorAll("#parallel .axis text")].map(e => e.textContent);
seen.strays = document.querySelectorAll("main img, main i, main u").length;
const sorted = document.querySelectorAll("#front-table thead button")[0]; sorted.click();
seen.ids = [...document.querySelectorAll("#front-table tbody tr")].map(r => Number(r.dataset.id));
"""


@pytest.mark.slow
def test_hover_brush_and_themes_work_in_a_browser(page: Path, tmp_path: Path) -> None:
    seen = look(page, HOVER + BRUSH + TEXTS, tmp_path)
    assert seen["errors"] == []
    assert seen["tip"].startswith(f"Evaluation {seen['id']}, on the front")
    assert "quality, more is better" in seen["tip"] and "<u>cost</u> $y$ (ms), less is better" in seen["tip"]
    assert DEEP in seen["tip"] and seen["inside"] == 0
    low, high = seen["range"]
    assert 0 < len(seen["kept"]) < len(seen["all"])
    assert sorted(seen["kept"]) == sorted(v for v in seen["all"] if low <= v <= high)
    assert seen["faded"] == seen["fadedRight"] and seen["cleared"]
    assert f"{len(seen['kept'])} of {len(seen['all'])} evaluations" in seen["note"]
    assert (seen["theme"], seen["background"], seen["toggled"]) == ("light", "rgb(255, 255, 255)", "rgb(19, 22, 27)")
    assert seen["paper"] == "#13161b" and seen["strays"] == 0
    assert seen["axis"] == "<u>cost</u> $y$ (ms), less is better"
    assert any(label.startswith("<i>deep</i> & $") for label in seen["labels"])
    assert "</script><img…" in seen["ticks"]
    assert seen["ids"] == sorted(seen["ids"])


@pytest.mark.slow
def test_page_suits_failures_one_objective_and_nothing_feasible(tmp_path: Path) -> None:
    def search(name: str, function: Any, **options: Any) -> str:
        variables, path = {"x": evo_moo.Real(0, 1)}, tmp_path / name
        settings = {"termination": ("n_evals", 6), "pop_size": 4, "workers": 1, "run_dir": path}
        settings |= {"surrogate": "none", **options}
        with contextlib.suppress(SearchFailedError):
            evo_moo.search(function, variables=variables, **settings)
        written = evo_moo.write_report(path)
        assert write_figures(path, tmp_path / "figures" / name)
        return written.read_text(encoding="utf-8")

    def broken(config):
        raise ValueError("no way")

    text = search("broken", broken, objectives={"a": "min", "b": "min"})
    assert (
        "There is no front so far: no evaluation has ended well." in text
        and "ValueError: no way" in text
        and 'id="front"' not in text
    )
    text = search("single", lambda config: {"a": config["x"]}, objectives={"a": "max"})
    assert "Best evaluations" in text and "Hypervolume" not in text
    limits = {"a": {"at_least": 9}}
    text = search("off", lambda c: {"a": c["x"], "b": -c["x"]}, objectives={"a": "min", "b": "min"}, constraints=limits)
    assert "No evaluation keeps every limit" in text and "a at least 9" in text


DRAWN = """
seen.drawn = [...document.querySelectorAll(".figure")].map(f => [f.id, f.data.length, f.data[0].type]);
seen.paper = document.getElementById("front").layout.paper_bgcolor;
"""
OTHER_NUMBERS_OF_OBJECTIVES = """
seen.types = [front1d, front2d, frontMany].map(draw => {
  const figure = document.createElement("div"); document.querySelector("main").append(figure); draw(figure);
  return figure.data[0].type;
});
"""


@pytest.mark.slow
def test_three_objectives_and_models_are_drawn_in_the_dark(tmp_path: Path) -> None:
    path, options = tmp_path / "r", {"n_var": 4}
    settings = {"pop_size": 12, "termination": ("n_evals", 16), "workers": 1, "surrogate": "gp", "options": options}
    evo_moo.search("pymoo:dtlz2", run_dir=path, **settings)
    seen = look(evo_moo.write_report(path), DRAWN + OTHER_NUMBERS_OF_OBJECTIVES, tmp_path, dark=True)
    assert seen["errors"] == []
    drawn = {key: kind for key, n, kind in seen["drawn"] if n}
    assert drawn.keys() == {"front", "pairs", "parallel", "progress", "predicted", "choices", "decisions"}
    assert (drawn["front"], drawn["parallel"], drawn["pairs"]) == ("scatter3d", "parcoords", "scatter")
    assert seen["types"] == ["scatter", "scatter", "splom"] and seen["paper"] == "#13161b"


def test_refinement_is_drawn(tmp_path: Path) -> None:
    page = evo_moo.write_report(GOLDEN / "format_4" / "stopped-refined", tmp_path / "page.html")
    rungs = data_of(page)["rungs"]["rungs"]
    assert [rung["fidelity"] for rung in rungs] == sorted(rung["fidelity"] for rung in rungs) and len(rungs) > 1
    seen = look(page, DRAWN, tmp_path)
    assert seen["errors"] == []
    assert {key for key, n, _ in seen["drawn"] if n} == {"front", "parallel", "progress", "climbs", "decisions"}


def test_a_run_that_goes_on_is_reported_and_read_only(tmp_path: Path) -> None:
    run = tmp_path / "r"
    shutil.copytree(GOLDEN / "format_4" / "stopped", run)
    before = (run / "run.sqlite").read_bytes()
    page = evo_moo.write_report(run, tmp_path / "page.html", with_importances=False)
    assert (run / "run.sqlite").read_bytes() == before and not (run / "report.html").exists()
    assert data_of(page)["state"] == "stopped"
    with RunFolder(run) as held:
        with held.ledger.transaction():
            held.ledger.set_meta(state="running")
        assert data_of(evo_moo.write_report(run, tmp_path / "page.html", with_importances=False))["state"] == "running"
    with sqlite3.connect(run / "run.sqlite") as db:
        db.execute("DELETE FROM evaluations")
        db.execute("DELETE FROM generations")
    assert "Nothing has been evaluated yet" in evo_moo.write_report(run, with_importances=False).read_text()


def test_folder_without_a_run_is_one_clear_message(tmp_path: Path) -> None:
    for path, words in ((tmp_path / "none", "must be a run folder"), (tmp_path, "must be a run folder")):
        with pytest.raises(RunFolderError, match=words):
            evo_moo.write_report(path)
    shutil.copytree(GOLDEN / "format_4" / "stopped", tmp_path / "r")
    with pytest.raises(RunFolderError, match="must be writable"):
        evo_moo.write_report(tmp_path / "r", tmp_path / "none" / "page.html", with_importances=False)
    with sqlite3.connect(tmp_path / "r" / "run.sqlite") as db:
        db.execute("DELETE FROM meta WHERE key = 'goals'")
    with pytest.raises(RunFolderError, match="must hold a run that has begun"):
        evo_moo.write_report(tmp_path / "r")


def test_report_that_cannot_be_written_is_a_warning_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "r"
    shutil.copytree(GOLDEN / "format_4" / "finished", run)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="must have the package plotly"):
        evo_moo.write_report(run)
    write_report_at_end(run)
    assert "WARNING report.html is not written: a report must have the package plotly" in (run / "log.txt").read_text()
    assert not (run / "report.html").exists()
    write_report_at_end(tmp_path / "gone")  # a folder that takes no log either: nothing is raised


@pytest.mark.slow
def test_the_command_writes_page_and_figures_with_their_numbers(run: Path, tmp_path: Path) -> None:
    page, figures = tmp_path / "page.html", tmp_path / "figures"
    done = CliRunner().invoke(app, ["report", str(run), "--output", str(page), "--figures", str(figures)])
    assert done.exit_code == 0, done.output
    names = {path.name for path in figures.iterdir()}
    for figure in ("front", "parallel", "progress", "failures", "decisions"):
        assert (figures / f"{figure}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (figures / f"{figure}.svg").read_text(encoding="utf-8")
    assert {"front.csv", "progress.csv", "failures.csv", "decisions.csv", "report.json"} <= names
    told, shown = json.loads((figures / "report.json").read_text(encoding="utf-8")), data_of(page)
    assert told["columns"] == shown["columns"] and told["history"] == shown["history"]


def test_json_in_a_page_ends_no_script() -> None:
    text = in_script(json.dumps({"a": NASTY}, ensure_ascii=False))
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == {"a": NASTY}

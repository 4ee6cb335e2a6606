"""A search on a machine that is busy and then quiet, by measurements that a script gives: no clock is read."""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import evo_moo
import evo_moo.evaluation.profile_cache as cache
from evo_moo import Callback, Choice, Fidelity, Integer, Metric, Point, Real, Result, RunStoppedError, SearchProblem
from evo_moo.cli.main import app
from evo_moo.evaluation.machine import note_nominal_ms
from evo_moo.evaluation.slots import note_timings
from evo_moo.problem.measurements import Timing
from evo_moo.report.content import read_report
from evo_moo.report.page import front_table
from evo_moo.run.doctor import examine

TRUTH_MS = {width: 1.0 + width / 4 for width in range(1, 9)}
NOMINAL_MS = 2.0
COUNTED: Counter[int] = Counter()
"""Number of measurements by width, of the last problem that was made."""


class Scripted(SearchProblem):
    """Whose measurements, counted from 1, are off by up to 40 % while the machine is busy, and right afterwards.

    Attributes:
        is_busy: Whether a measurement of this number is disturbed.
        nominal_ms: The reference's nominal time as a measurement of this number knows it.
    """

    variables = {"width": Integer(1, 8), "lr": Real(0, 1)}
    architecture = ["width"]
    objectives = {"error": "min", "latency_ms": "min"}
    metrics = {"latency_ms": Metric("ms", timed=True, cheap=True)}
    fidelity = Fidelity("epochs", 1, 4)

    def __init__(
        self,
        is_busy: Callable[[int], bool] = lambda n: False,
        nominal_ms: Callable[[int], float] = lambda n: NOMINAL_MS,
    ) -> None:
        self.is_busy, self.nominal_ms = is_busy, nominal_ms
        COUNTED.clear()

    def profile(self, config: dict[str, Any]) -> dict[str, float]:
        width = config["width"]
        COUNTED[width] += 1
        n = COUNTED.total()
        off = np.random.default_rng(n).uniform(0.8, 1.4) if self.is_busy(n) else 1.0
        value = TRUTH_MS[width] * off * self.nominal_ms(n) / NOMINAL_MS
        note_timings(
            Timing(value, 0.98 * value, 1.02 * value, "reference", self.nominal_ms(n), 1), is_sound=not self.is_busy(n)
        )
        return {"latency_ms": value}

    def evaluate(self, config: dict[str, Any], *, fidelity: int) -> dict[str, float]:
        return {"error": (config["lr"] + 1 + 1 / fidelity) / config["width"]}


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVO_MOO_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "KEPT_FROM_S", 0.0)


def search(problem: SearchProblem | str, run_dir: Path | None = None, **more: Any) -> Result:
    settings = {"termination": ("n_evals", 40), "pop_size": 8, "surrogate": "none", "workers": 1, "run_dir": run_dir}
    return evo_moo.search(problem, **(settings | more))


def latencies(result: Result) -> dict[int, set[float]]:
    """The latencies that the evaluations of each width hold."""
    held = defaultdict(set)
    for e in result.evaluations:
        held[e.configuration["width"]].add(e.metrics["latency_ms"])
    return held


LADDER = {"rungs": [1, 4], "eta": 2}
WAYS = [
    pytest.param({}, id="generational"),
    pytest.param({"mode": "steady-state"}, id="steady-state"),
    pytest.param({"refinement": LADDER}, id="refinement"),
    pytest.param({"refinement": LADDER, "mode": "steady-state"}, id="refinement, steady-state"),
    pytest.param({"algorithm": "nsga3"}, id="nsga3"),
    pytest.param({"algorithm": "random"}, id="random"),
    pytest.param({"surrogate": "rf", "termination": ("n_evals", 14)}, id="models", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("way", WAYS)
def test_quiet_run_measures_each_architecture_once(way: dict[str, Any]) -> None:
    result = search(Scripted(), **way)
    assert set(COUNTED.values()) == {1}
    assert latencies(result) == {width: {TRUTH_MS[width]} for width in COUNTED}
    assert not result.doubts and result.doubts_in_words() == ""


@pytest.mark.parametrize("way", WAYS)
def test_front_is_sound_where_the_machine_grew_quiet(way: dict[str, Any]) -> None:
    """Whatever was measured before, each architecture has one latency, and those of the front are the true ones."""
    result = search(Scripted(lambda n: n <= 12), **way)
    held = latencies(result)
    assert {len(values) for values in held.values()} == {1}
    for e in result.front:
        assert e.metrics["latency_ms"] == TRUTH_MS[e.configuration["width"]] and e.id not in result.doubts


def test_members_of_the_front_are_measured_before_the_run_ends() -> None:
    busy = Scripted(lambda n: True)
    result = search(busy)
    members = {e.configuration["width"] for e in result.front}
    assert {e.id for e in result.front} <= result.doubts.keys()
    assert all(COUNTED[width] >= 1 + 3 for width in members) and max(COUNTED.values()) <= 1 + 3 + 3
    quiet_at_last = Scripted(lambda n: n <= 23)
    result = search(quiet_at_last)
    assert not {e.id for e in result.front} & result.doubts.keys()


@pytest.mark.slow
def test_repetitions_on_a_busy_machine_make_the_value_better() -> None:
    once, often = (
        np.array(
            [
                abs(next(iter(values)) / TRUTH_MS[width] - 1)
                for seed in range(1, 7)
                for width, values in latencies(search(Scripted(lambda n: True), seed=seed, **more)).items()
            ]
        )
        for more in ({"termination": ("n_evals", 8)}, {"termination": ("n_evals", 60)})
    )
    assert np.sqrt(np.mean(often**2)) < np.sqrt(np.mean(once**2))


def test_all_values_follow_a_nominal_time_that_fell() -> None:
    """Calibrated twice too slow at first: in the end all is in one scale, without a measurement more."""
    held = latencies(search(Scripted(nominal_ms=lambda n: NOMINAL_MS if n <= 3 else NOMINAL_MS / 2)))
    assert set(COUNTED.values()) == {1} and len(held) > 3
    assert all(values == {TRUTH_MS[width] / 2} for width, values in held.items())


class StopAfter(Callback):
    def __init__(self, n: int) -> None:
        self.left = n

    def on_evaluation(self, evaluation: Any, run: Any) -> bool:
        self.left -= not run.is_replay
        return self.left <= 0


@pytest.mark.parametrize("way", WAYS)
def test_stopped_run_goes_on_with_what_was_measured(way: dict[str, Any], tmp_path: Path) -> None:
    """Stopped again and again while values are revised: each asks for what it would have, and nothing is lost."""
    for _ in range(40):
        try:
            result = search(Scripted(lambda n: n <= 2), tmp_path / "run", callbacks=[StopAfter(5)], **way)
            break
        except RunStoppedError:
            continue
    assert {len(values) for values in latencies(result).values()} == {1}
    assert {e.status for e in result.evaluations} <= {"ok", "partial"}
    again = Result.read(tmp_path / "run")
    assert latencies(again) == latencies(result) and again.doubts == result.doubts
    longer = search(Scripted(), tmp_path / "run", **(way | {"termination": ("n_evals", 53)}))
    assert len(longer.evaluations) > len(result.evaluations)
    assert {len(values) for values in latencies(longer).values()} == {1}


def test_doubts_are_marked_and_a_resume_settles_them(tmp_path: Path) -> None:
    run = tmp_path / "run"
    result = search(Scripted(lambda n: True), run)
    marked = CliRunner().invoke(app, ["show", str(run)])
    assert "?" in marked.output and "In doubt (?): the machine was busy at every measurement of" in " ".join(
        marked.output.split()
    )
    assert "low.latency_ms" in (run / "front.csv").read_text()
    report = read_report(run, with_importances=False)
    headings, rows = front_table(report)
    assert all("? (" in row[headings.index("latency_ms")] for row in rows)
    assert "In doubt" in report.facts
    assert any(entry.text.startswith("measured again: of evaluations ") for entry in report.timeline.entries)
    low, high = result.doubts[result.front[0].id]["latency_ms"]
    assert low < result.front[0].metrics["latency_ms"] < high
    settled = evo_moo.resume(run, Scripted())
    assert not {e.id for e in settled.front} & settled.doubts.keys()
    assert len(settled.evaluations) == len(result.evaluations)
    assert "In doubt" not in CliRunner().invoke(app, ["show", str(run)]).output
    with sqlite3.connect(run / "run.sqlite") as db:
        kinds = Counter(kind for (kind,) in db.execute("SELECT kind FROM events"))
    assert kinds["measured"] > 0 < kinds["measured again"]


FILE = """
import itertools
import os
from evo_moo import Integer, Metric, Real, SearchProblem
from evo_moo.evaluation.machine import nominal_ms_of
from evo_moo.evaluation.slots import note_timings
from evo_moo.problem.measurements import Timing

NUMBER = itertools.count()

class Measured(SearchProblem):
    variables = {"width": Integer(1, 8), "lr": Real(0, 1)}
    architecture = ["width"]
    objectives = {"error": "min", "latency_ms": "min"}
    metrics = {"latency_ms": Metric("ms", timed=True, cheap=True)}

    def profile(self, config):
        is_sound = "BUSY" not in os.environ or (os.environ["BUSY"] == "at times" and next(NUMBER) % 2 > 0)
        nominal_ms = nominal_ms_of("reference") or 2.0
        value = config["width"] * (1.5 if is_sound else 1.6) * nominal_ms / 2
        note_timings(Timing(value, value, value, "reference", nominal_ms, 1), is_sound=is_sound)
        return {"latency_ms": value}

    def evaluate(self, config):
        return {"error": (config["lr"] + 1) / config["width"]}
"""


@pytest.mark.parametrize("is_busy", [True, False])
def test_later_run_takes_over_no_value_in_doubt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_busy: bool) -> None:
    (tmp_path / "measured.py").write_text(FILE)
    problem = f"{tmp_path / 'measured.py'}:Measured"
    if is_busy:
        monkeypatch.setenv("BUSY", "1")
    earlier = search(problem, tmp_path / "earlier")
    assert bool(earlier.doubts) == is_busy
    later = search(problem, tmp_path / "later", from_runs=[tmp_path / "earlier"])
    assert any(e.reason.startswith("taken from") for e in later.evaluations) != is_busy


def test_later_run_rescales_what_it_takes_over(tmp_path: Path) -> None:
    (tmp_path / "measured.py").write_text(FILE)
    problem = f"{tmp_path / 'measured.py'}:Measured"
    search(problem, tmp_path / "earlier")
    note_nominal_ms("reference", NOMINAL_MS / 2, keep=True)
    later = search(problem, tmp_path / "later", from_runs=[tmp_path / "earlier"], termination=("n_evals", 8))
    taken = [e for e in later.evaluations if e.reason.startswith("taken from")]
    assert taken and all(e.metrics["latency_ms"] == 0.75 * e.configuration["width"] for e in taken)


@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, {"mode": "steady-state"}], ids=["generational", "steady-state"])
def test_workers_share_one_latency_per_architecture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    monkeypatch.setenv("BUSY", "at times")
    (tmp_path / "measured.py").write_text(FILE)
    result = search(f"{tmp_path / 'measured.py'}:Measured", workers=2, **more)
    assert {len(values) for values in latencies(result).values()} == {1}
    assert all(e.metrics["latency_ms"] == 1.5 * e.configuration["width"] for e in result.front)
    assert not {e.id for e in result.front} & result.doubts.keys()


def test_limit_in_doubt_does_not_spare_a_training() -> None:
    """What may keep the limit is trained; what is far above it is not."""
    limit = {"latency_ms": {"at_most": 2.0}}
    statuses = defaultdict(set)
    for e in search(Scripted(lambda n: True), constraints=limit, seed=3).evaluations:
        is_far = e.metrics["latency_ms"] > 2.0 * 1.6
        statuses[is_far].add(e.status)
    assert statuses.get(True, {"infeasible"}) == {"infeasible"} and "ok" in statuses[False]
    sound = search(Scripted(), constraints=limit)
    assert all((e.status == "infeasible") == (e.metrics["latency_ms"] > 2.0) for e in sound.evaluations)


class Offering(Scripted):
    """Offers two points of each training, of one latency."""

    post_training = {"k": Choice(["a", "b"])}
    fidelity = None

    def evaluate(self, config: dict[str, Any]) -> list[Point]:
        errors = {"a": config["lr"] + 1, "b": config["lr"] + 2}
        return [Point({"k": k}, {"error": error / config["width"]}) for k, error in errors.items()]


class OfferingApart(Offering):
    """Measures each point by itself."""

    architecture = ["width", "k"]


@pytest.mark.parametrize("problem", [Offering, OfferingApart])
def test_points_settle_on_one_latency_of_an_architecture(tmp_path: Path, problem: type[Offering]) -> None:
    result = search(problem(is_busy=lambda n: n <= 20), tmp_path / "r")
    by_architecture = defaultdict(set)
    for e in result.evaluations:
        by_architecture[e.configuration["width"], e.configuration["k"]].add(e.metrics["latency_ms"])
    assert {len(values) for values in by_architecture.values()} == {1}
    assert result.doubts and not result.doubts_in_words()
    assert all(finding.sound for finding in examine(tmp_path / "r"))
    before = [(e.id, e.metrics) for e in result.evaluations]
    evo_moo.resume(tmp_path / "r", problem=problem())
    assert [(e.id, e.metrics) for e in Result.read(tmp_path / "r").evaluations] == before

"""A served model is watched by its log: alarms reach people and programs, and the next search is ready."""

import http.server
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evo_moo.deployment.model_folder import CARD, write_manifest
from tests.integration.running import evo_moo
from tests.unit.deployment.test_model_folder import HOSTILE, card
from tests.unit.deployment.watch.test_watch import rows, write


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a model that promises an accuracy of 0.9, and a log in which it has 0.7 from the middle on."""
    model = tmp_path / "model"
    model.mkdir()
    promises = {"accuracy": {"value": 0.9, "low": 0.88, "high": 0.92, "direction": "max"}}
    made = card(outputs="score", promises=promises, serving={}, classes=["no", HOSTILE])
    (model / CARD).write_text(made.model_dump_json())
    write_manifest(model)
    write(tmp_path / "log.jsonl", rows(1200, 1, wrong_late=0.5))
    return tmp_path


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.server.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.code)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[Any]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Hook)
    server.bodies, server.code = [], 204
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def alarms(text: str) -> list[dict]:
    return [each for line in text.splitlines() if (each := json.loads(line))["kind"] == "alarm"]


def test_an_alarm_is_a_line_a_code_a_message_and_a_page(place: Path, hook: Any) -> None:
    url = f"http://127.0.0.1:{hook.server_address[1]}/"
    common = ("watch", "model", "--log", "log.jsonl", "--state", "state.json")
    done = evo_moo(*common, "--webhook", url, "--report", "page.html", cwd=place, code=3)
    raised = alarms(done.stdout)
    assert "accuracy" in {each["what"] for each in raised}
    assert hook.bodies == raised
    page = (place / "page.html").read_text()
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert page.count('class="alarm"') >= len(raised)
    again = evo_moo(*common, "--json", cwd=place)
    assert alarms(again.stdout) == []
    assert json.loads(again.stdout.splitlines()[-1])["rows"] == 1200


def test_a_webhook_that_fails_costs_nothing(place: Path, hook: Any) -> None:
    hook.code = 500
    url = f"http://127.0.0.1:{hook.server_address[1]}/"
    done = evo_moo("watch", "model", "--log", "log.jsonl", "--webhook", url, cwd=place, code=3)
    assert len(alarms(done.stdout)) == len(hook.bodies) == done.stderr.count("`--webhook` must take alarms")


def test_an_alarm_writes_the_job_of_the_next_search(place: Path) -> None:
    few = ("--n-evals", "8", "--workers", "1", "--set", "search.pop_size=4")
    evo_moo("run", "pymoo:zdt1", *few, "--run-dir", "old", cwd=place)
    then = ("--then", "research", "--run", "old", "--option", "n_var=5")
    evo_moo("watch", "model", "--log", "log.jsonl", *then, cwd=place, code=3)
    job = (place / "research.toml").read_text()
    again = evo_moo("watch", "model", "--log", "log.jsonl", *then, "--report", "no/page.html", cwd=place, code=3)
    assert "no/page.html` must be writable" in again.stderr
    assert (place / "research.toml").read_text() == job
    done = evo_moo("run", "research.toml", "--run-dir", "new", cwd=place)
    assert "Pareto front" in done.stdout
    text = (place / "new" / "job.toml").read_text()
    assert "n_var = 5" in text
    assert str(place / "old") in text


def test_wrong_arguments_are_one_message_each(place: Path) -> None:
    for arguments, words in [
        (("--then", "dance"), "`--then` must be research"),
        (("--then", "research"), "`--run RUN` must go together"),
        (("--webhook", "file:///etc/passwd"), "`--webhook` must be an address"),
        (("--window", "soon"), "`--window` must be a duration"),
        (("--limit", "f1 >= 1"), "`--limit` must be on one of accuracy"),
        (("--reference", "no.npz"), "must be an .npz file"),
    ]:
        done = evo_moo("watch", "model", "--log", "log.jsonl", *arguments, cwd=place, code=2)
        assert words in done.stderr


def test_a_changed_model_is_not_watched(place: Path) -> None:
    (place / "model" / "run.py").write_text("raise SystemExit('no')")
    done = evo_moo("watch", "model", "--log", "log.jsonl", cwd=place, code=2)
    assert "run.py` must be listed" in done.stderr


@pytest.mark.slow
def test_a_killed_watch_goes_on_and_counts_each_row_once(place: Path) -> None:
    write(place / "log.jsonl", rows(16_000, 2, wrong_late=0.3))
    command = [sys.executable, "-m", "evo_moo", "watch", "model", "--log", "log.jsonl"]
    whole = subprocess.run([*command, "--state", "whole.json"], cwd=place, capture_output=True, text=True)
    process = subprocess.Popen(
        [*command, "--state", "state.json"], cwd=place, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    while not (place / "state.json").exists() and process.poll() is None:
        pass
    process.send_signal(signal.SIGKILL)
    before = process.communicate()[0]
    rest = subprocess.run([*command, "--state", "state.json"], cwd=place, capture_output=True, text=True)
    told = {json.dumps(each, sort_keys=True) for each in alarms(before + rest.stdout)}
    assert told == {json.dumps(each, sort_keys=True) for each in alarms(whole.stdout)} != set()
    states = [json.loads((place / name).read_text()) for name in ("state.json", "whole.json")]
    assert states[0]["place"] == states[1]["place"]
    assert states[0]["windows"] == states[1]["windows"]

"""Built models answer over HTTP; what is wrong is refused in words, and a stop loses nothing."""

import io
import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier

from evo_moo.deployment.card import Input, ModelCard, Promise, Search, Training
from evo_moo.deployment.export import write_model
from evo_moo.deployment.model_folder import CARD, write_manifest
from evo_moo.problem import TrainedModel
from tests.integration.running import evo_moo

for needed in ("skops", "skl2onnx", "uvicorn", "starlette", "prometheus_client"):
    pytest.importorskip(needed)
SHAPED = {"input": {"shape": [8, 8], "dtype": "float32"}}
JSON = {"Content-Type": "application/json"}
X, Y = load_digits(return_X_y=True)
X = X.astype("float32")


@dataclass
class Serving:
    """A process that serves, and how it is reached."""

    process: "subprocess.Popen[str]"
    port: int
    log: Path

    def ask(
        self, method: str, path: str, body: bytes | str | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if "json" in answer.headers["Content-Type"] else text.decode()


def write_forest(folder: Path, n_trees: int) -> None:
    """Write the folder of a trained forest, as building it from a run does."""
    folder.mkdir()
    forest = RandomForestClassifier(n_trees, max_depth=8, random_state=0).fit(X[::2], Y[::2])
    trained = TrainedModel(forest, X[:16], "probabilities")
    assert write_model(trained, folder) == {}
    share = forest.score(X[1::2], Y[1::2])
    promise = Promise(value=share, low=share, high=share, direction="max", of="test data")
    card = ModelCard(
        name=f"forest, evaluation {n_trees}",
        built_at="2026-11-30 12:00 UTC",
        evo_moo="1",
        configuration={"n_trees": n_trees},
        input=Input(shape=(64,), dtype="float32"),
        outputs="probabilities",
        promises={"accuracy": promise},
        serving={"onnxruntime": {}},
        tolerance=1e-3,
        search=Search(run="run", problem="forest", n_evaluations=2, objectives={"accuracy": "max"}),
        training=Training(seed=0),
        machine={},
        reproduce="",
    )
    (folder / CARD).write_text(card.model_dump_json())
    write_manifest(folder)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two models, a small and a large forest."""
    path = tmp_path_factory.mktemp("served")
    write_forest(path / "small", 1)
    write_forest(path / "large", 400)  # so much slower that no busy machine hides it
    return path


def started(place: Path, *options: str) -> Serving:
    command = [sys.executable, "-m", "evo_moo", "serve", "small", "large", "--port", "0", *options]
    process = subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = list[str]()
    for line in process.stdout or []:
        said.append(line)
        if line.startswith("Serving on "):
            return Serving(process, int(line.rpartition(":")[2]), place / "log.jsonl")
    raise AssertionError("".join(said) + process.communicate()[1])


@pytest.fixture(scope="module")
def serving(place: Path) -> Iterator[Serving]:
    found = started(place, "--limit", "latency_ms <= 60000", "--log", "log.jsonl", "--log-inputs")
    try:
        yield found
    finally:
        found.process.kill()
        found.process.communicate()


@pytest.mark.slow
def test_answers_are_those_of_the_models(serving: Serving) -> None:
    inputs, labels = X[1::2], Y[1::2]
    file = io.BytesIO()
    np.save(file, inputs[:100])
    status, by_npy = serving.ask("POST", "/predict", file.getvalue(), {"Content-Type": "application/x-npy"})
    assert (status, by_npy["model"], by_npy["why"]) == (200, "large", "steady")
    assert np.mean(by_npy["predictions"] == labels[:100]) > 0.85
    body = json.dumps({"inputs": inputs[:2].tolist()})
    asked = JSON | {"X-Request-Id": "mine", "X-Deadline-Ms": "0.001"}
    status, hurried = serving.ask("POST", "/predict", body, asked)
    assert (status, hurried["model"], hurried["ids"]) == (200, "small", ["mine/0", "mine/1"])
    assert hurried["latency_ms"] > hurried["deadline_ms"] == 0.001
    labelled = json.dumps({"labels": [{"id": "mine/0", "label": int(labels[0])}]})
    assert serving.ask("POST", "/labels", labelled, JSON) == (200, {"n_labels": 1})
    rows = [json.loads(line) for line in serving.log.read_text().splitlines()][-3:]
    assert [row["id"] for row in rows] == ["mine/0", "mine/1", "mine/0"]
    assert rows[0].keys() == {"time", "id", "model", "latency_ms", "status", "output", "prediction", "inputs"}
    assert rows[0]["inputs"] == inputs[0].tolist() and rows[0]["prediction"] == hurried["predictions"][0]
    assert rows[0]["model"] == "forest, evaluation 1"  # as its card is named, by which a watch knows it
    assert rows[2]["label"] == labels[0]
    assert serving.ask("GET", "/ready") == (200, {"status": "ready"})
    assert set(serving.ask("GET", "/card")[1]) == {"small", "large"}
    metrics = serving.ask("GET", "/metrics")[1]
    assert 'evo_moo_requests_total{model="small",status="200"} 1.0' in metrics
    assert 'evo_moo_decisions_total{model="large",why="steady"} 1.0' in metrics


@pytest.mark.slow
def test_bad_requests_are_refused_in_words(serving: Serving) -> None:
    rest = b"1" * 5_000_000
    for method, path, body, headers, status in (
        ("GET", "/predict", None, {}, 405),
        ("GET", "/other", None, {}, 404),
        ("POST", "/predict", b"{}", {}, 415),
        ("POST", "/predict", b"{}", JSON | {"Content-Encoding": "gzip"}, 415),
        ("POST", "/predict", b"", JSON, 400),
        ("POST", "/predict", b'{"inputs": [[1, 2]]}', JSON, 422),
        ("POST", "/predict", rest, JSON, 413),
        ("POST", "/predict", json.dumps({"inputs": [[0.0] * 64] * 300}), JSON, 422),
        ("POST", "/predict", json.dumps({"inputs": [[0.0] * 64]}), JSON | {"X-Deadline-Ms": "nan"}, 422),
        ("POST", "/predict", json.dumps({"inputs": [[0.0] * 64]}), JSON | {"X-Request-Id": "a b"}, 422),
        ("POST", "/labels", b'{"labels": [{"id": "a", "label": -1}, {"id": 1}]}', JSON, 422),
        ("GET", "/card", None, {"Host": "evil.example"}, 421),
    ):
        found, said = serving.ask(method, path, body, headers)
        assert found == status, (path, said)
        assert said["errors"] and all(len(words) < 300 for words in said["errors"])
    with socket.create_connection(("127.0.0.1", serving.port), timeout=60) as connection:
        connection.sendall(b"\x16\x03\x01 no HTTP\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
    assert serving.ask("GET", "/health") == (200, {"status": "ok"})


@pytest.mark.slow
def test_a_stop_answers_what_has_come(place: Path) -> None:
    serving = started(place)
    body = json.dumps({"inputs": X[:1].tolist()}).encode()
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    connections = [socket.create_connection(("127.0.0.1", serving.port), timeout=60) for _ in range(8)]
    for connection in connections:
        connection.sendall(f"{head}\r\nExpect: 100-continue\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")  # it is in the hands of the service
    serving.process.send_signal(signal.SIGTERM)
    for connection in connections:
        connection.sendall(body)
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
        connection.close()
    _, faults = serving.process.communicate(timeout=60)
    assert (serving.process.returncode, faults) == (0, "")
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", serving.port), timeout=1)


@pytest.mark.slow
def test_faults_of_all_folders_and_options_are_listed(place: Path) -> None:
    for name, change in (("other", {"classes": list("abcdefghij")}), ("edited", {}), ("shaped", SHAPED)):
        shutil.copytree(place / "small", place / name)
        card = json.loads((place / name / "card.json").read_text()) | change
        (place / name / "card.json").write_text(json.dumps(card))
    for name in ("other", "shaped"):
        write_manifest(place / name)
    (place / "short").write_text("abc")
    done = evo_moo("serve", "small", "other", "edited", "shaped", "nowhere", cwd=place, code=2)
    for words in (
        "have the same classes, but: small",
        "says, (8, 8), but has examples of (64,)",
        "edited/card.json` must have",
        "nowhere` must be the folder",
    ):
        assert words in done.stderr
    wrong = ("--host", "0.0.0.0", "--limit", "size <= 3", "--by-time", "24:00=5")
    done = evo_moo("serve", "small", *wrong, cwd=place, code=2)
    for words in ("but is 0.0.0.0", "but is 'size <= 3'", "but begins with '24:00'"):
        assert words in done.stderr
    done = evo_moo("serve", "small", "--host", "0.0.0.0", "--token-file", "short", cwd=place, code=2)
    assert "must have at least 16 printable" in done.stderr
    assert "but is 'any'" in evo_moo("serve", "small", "--runtime", "any", cwd=place, code=2).stderr

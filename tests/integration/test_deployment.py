"""A member of a front becomes a folder that stands alone: built, proven elsewhere, refused where it was changed."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.integration import command_server

pytest.importorskip("skops")
PIPELINE = """
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from evo_moo import Real, SearchProblem
from evo_moo.problem import TrainedModel

X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)


class Screening(SearchProblem):
    variables = {"C": Real(1e-3, 10, log=True)}
    objectives = {"accuracy": "max", "n_used": "min"}

    def trained(self, config):
        model = LogisticRegression(C=config["C"], l1_ratio=1.0, solver="liblinear", random_state=0)
        return make_pipeline(StandardScaler(), model).fit(X_train, y_train)

    def evaluate(self, config):
        model = self.trained(config)
        return {"accuracy": model.score(X_train, y_train), "n_used": int((model[-1].coef_ != 0).sum())}

    def model(self, config, *, seed):
        model = self.trained(config)
        return TrainedModel(
            model, X_train[:32].astype("float32"), "probabilities", test=(X_test.astype("float32"), y_test),
            metrics=self.evaluate(config), classes=("malignant", "benign"),
        )
"""


def run(*arguments: str, cwd: Path, code: int = 0) -> str:
    done = command_server.run([*arguments], cwd)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model of a pipeline and that of a network."""
    path = tmp_path_factory.mktemp("models")
    (path / "screening.py").write_text(PIPELINE)
    few = ("--n-evals", "6", "--workers", "1", "--set", "search.pop_size=4")
    run("run", "screening.py:Screening", *few, "--run-dir", "pipeline", cwd=path)
    run("build", "pipeline", "--limit", "n_used <= 20", "--out", "screening", "--test-data", "rows.npz", cwd=path)
    few = (*few, "--option", "epochs=1", "--option", "copies=1")
    run("run", "digits_cnn", *few, "--run-dir", "digits", cwd=path)
    run("build", "digits", "--out", "network", "--test-data", "digits.npz", cwd=path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(("model", "data"), [("screening", "rows.npz"), ("network", "digits.npz")])
def test_a_built_model_holds_its_promises(place: Path, model: str, data: str) -> None:
    card = json.loads((place / model / "card.json").read_text())
    assert card["training"]["is_reproduced"] is True
    proof = json.loads(run("verify", model, "--data", data, "--slack", "9", "--json", cwd=place))
    assert proof["holds"] and proof["runtime"] == "onnxruntime"
    assert {"outputs of onnxruntime", "accuracy", "latency_ms", "memory_mb"} <= {
        each["name"] for each in proof["checks"]
    }


@pytest.mark.slow
def test_a_program_of_torch_runs_only_where_it_is_trusted(place: Path) -> None:
    refused = run("verify", "network", "--runtime", "torch", cwd=place, code=2)
    assert "model.pt2` must be trusted" in refused
    run("verify", "network", "--runtime", "torch", "--trust", "--data", "digits.npz", "--slack", "9", cwd=place)


@pytest.mark.slow
def test_a_worse_model_does_not_hold(place: Path, tmp_path: Path) -> None:
    with np.load(place / "rows.npz") as arrays:
        np.savez(tmp_path / "wrong.npz", inputs=arrays["inputs"], labels=1 - arrays["labels"])
    proof = json.loads(
        run("verify", "screening", "--data", str(tmp_path / "wrong.npz"), "--slack", "9", "--json", cwd=place, code=1)
    )
    assert [each["name"] for each in proof["checks"] if each["holds"] is False] == ["accuracy"]


@pytest.mark.slow
def test_a_watch_compares_a_log_with_the_test_data(place: Path, tmp_path: Path) -> None:
    with np.load(place / "rows.npz") as arrays:
        inputs, labels = arrays["inputs"], arrays["labels"]
    for size, code in ((0.0, 0), (2.0, 3)):
        with (tmp_path / "log.jsonl").open("w") as log:
            for i in np.random.default_rng(1).permutation(len(inputs)).tolist():
                given = (inputs[i] + size * inputs.std(axis=0)).round(4).tolist()
                row = {"time": i % 7 + 10, "inputs": given, "prediction": int(labels[i]), "label": int(labels[i])}
                log.write(json.dumps(row) + "\n")
        arguments = ("--log", str(tmp_path / "log.jsonl"), "--reference", "rows.npz", "--json")
        said = run("watch", "screening", *arguments, cwd=place, code=code).splitlines()
        lines = [json.loads(line) for line in said if line.startswith("{")]
        assert {each["what"] for each in lines if each["kind"] == "alarm"} == ({"inputs"} if size else set())
        assert lines[-1]["reference"] == "rows.npz, 143 rows, and then the log"


class _Leaves:
    """Leaves a file where it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


@pytest.mark.slow
def test_a_hostile_folder_runs_no_code(place: Path, tmp_path: Path) -> None:
    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    from evo_moo.deployment.model_folder import write_manifest

    left, copy = tmp_path / "left", shutil.copytree(place / "screening", tmp_path / "copy")
    (copy / "model.onnx").write_bytes(pickle.dumps(_Leaves(left)))
    (copy / "model.pt2").write_bytes(pickle.dumps(_Leaves(left)))
    np.savez(copy / "examples.npz", inputs=np.array([_Leaves(left)], dtype=object), outputs=np.ones(1))
    skops.io.dump(FunctionTransformer(print), copy / "estimator.skops")
    write_manifest(copy)
    assert pickle.loads(pickle.dumps(_Leaves(left))) is None and left.exists()  # it would
    left.unlink()
    known = run("verify", "copy", "--runtime", "scikit-learn", cwd=tmp_path, code=2)
    assert "must hold known types, but has builtins.print" in known
    assert "cannot be loaded" in run("verify", "copy", "--runtime", "onnxruntime", cwd=tmp_path, code=2)
    assert "must be trusted" in run("verify", "copy", "--runtime", "torch", cwd=tmp_path, code=2)
    run("serve", "copy", "--port", "0", cwd=tmp_path, code=2)
    assert not left.exists()


@pytest.mark.slow
def test_wrong_arguments_of_build_are_one_message(place: Path) -> None:
    there = run("build", "pipeline", "--out", "screening", cwd=place, code=2)
    assert "`screening` must be a new folder" in there
    nobody = run("build", "pipeline", "--id", "99", "--out", "other", cwd=place, code=1)
    assert "`member` must be a full evaluation that ended well, but is 99" in nobody
    run(
        "run",
        "synthetic",
        "--n-evals",
        "8",
        "--surrogate",
        "none",
        "--run-dir",
        "synthetic",
        "--workers",
        "1",
        cwd=place,
    )
    nothing = run("build", "synthetic", "--out", "other", cwd=place, code=2)
    assert "must define `model(self, config, *, seed)`" in nothing
    assert not (place / "other").exists()


PROGRAM = """
import json, pathlib, sys
import numpy as np
from skl2onnx import to_onnx
from sklearn.linear_model import LinearRegression

slope, folder = float(sys.argv[1]), pathlib.Path(sys.argv[2])
X = np.arange(8.0, dtype="float32").reshape(-1, 1)
(folder / "model.onnx").write_bytes(to_onnx(LinearRegression().fit(X, slope * X), X[:1]).SerializeToString())
(folder / "notes.txt").write_text("kept as it is")
print(json.dumps({"loss": abs(slope - 0.5), "slope": slope}))
"""
PROGRAM_JOB = """
[problem]
command = ["{python}", "train.py", "{slope}", "{workspace}"]
model_files = ["{workspace}/model.onnx", "{workspace}/notes.txt"]
[problem.variables]
slope = { real = [0.1, 1.0] }
[objectives]
loss = "min"
slope = "min"
[search]
pop_size = 4
[budget]
n_evals = 4
[surrogate]
model = "none"
[evaluation]
workers = 1
"""


@pytest.mark.slow
def test_a_program_leaves_the_files_of_its_model(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(PROGRAM)
    (tmp_path / "job.toml").write_text(PROGRAM_JOB)
    run("run", "job.toml", "--run-dir", "r", cwd=tmp_path)
    run("build", "r", "--order", "loss", "--out", "model", cwd=tmp_path)
    assert (tmp_path / "model" / "notes.txt").read_text() == "kept as it is"
    with np.load(tmp_path / "model" / "examples.npz") as arrays:
        slope = json.loads((tmp_path / "model" / "card.json").read_text())["configuration"]["slope"]
        assert np.allclose(arrays["outputs"], slope * arrays["inputs"], rtol=1e-4)
    run("verify", "model", "--slack", "9", cwd=tmp_path)
    (tmp_path / "train.py").write_text(PROGRAM.replace("notes.txt", "other.txt"))
    lacking = run("build", "r", "--order", "loss", "--out", "other", cwd=tmp_path, code=2)
    assert "`model_files` must be there once the command has ended, but lack" in lacking

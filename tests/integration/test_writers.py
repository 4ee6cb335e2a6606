"""What the writers for TensorBoard and MLflow leave, of runs in peace and of resumed ones."""

import struct
import sys
from pathlib import Path

import numpy as np
import pytest

import evo_moo
from evo_moo.errors import RunStoppedError, UsageError
from evo_moo.report.export import export_run
from evo_moo.report.mlflow_writer import MLflowWriter
from evo_moo.report.tensorboard_writer import TensorBoardWriter
from tests.integration.test_callbacks import N_EVALS, POP_SIZE, Seen, search

N_GEN = N_EVALS // POP_SIZE


def scalars(folder: Path) -> dict[tuple[str, int], float]:
    """Read the scalars of event files: records of a length, a checksum of it, the event and a checksum."""
    from tensorboardX.proto.event_pb2 import Event

    found = {}
    for path in sorted(folder.iterdir()):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            event = Event.FromString(data[at + 12 : at + 12 + length])
            at += 16 + length
            for value in event.summary.value:
                assert (value.tag, event.step) not in found
                found[value.tag, event.step] = value.simple_value
    return found


def test_tensorboard_gets_every_number_of_a_stopped_run_once(tmp_path):
    with pytest.raises(RunStoppedError):
        search(tmp_path / "r", TensorBoardWriter(), Seen(stop_at=8))
    result = search(tmp_path / "r", TensorBoardWriter())
    written = scalars(tmp_path / "r" / "tensorboard")
    for e in result.evaluations:
        for name, value in e.metrics.items():
            assert written["evaluation/" + name, e.id] == pytest.approx(value)
    assert {step for tag, step in written if tag == "time/duration_s"} == set(range(1, N_EVALS + 1))
    assert [written["search/n_evals", g] for g in range(1, N_GEN + 1)] == [POP_SIZE * g for g in range(1, N_GEN + 1)]
    assert written["search/best.loss", N_GEN] == pytest.approx(min(m["loss"] for m in result.metrics))


@pytest.mark.parametrize(("writer", "package"), [(TensorBoardWriter, "tensorboardX"), (MLflowWriter, "mlflow")])
def test_a_missing_package_is_named_by_its_extra(monkeypatch, writer, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=rf"`{writer.__name__}` must have packages .*; pip install .*'{package}"):
        writer()


def test_mlflow_gets_every_evaluation_of_a_stopped_run_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # MLflow keeps artifacts in the present folder
    mlflow = pytest.importorskip("mlflow", reason="mlflow-skinny is not installed")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with pytest.raises(RunStoppedError):
        search(tmp_path / "r", MLflowWriter(uri), Seen(stop_at=8))
    result = search(tmp_path / "r", MLflowWriter(uri))
    client = mlflow.MlflowClient(uri)
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()], max_results=1000)
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = {int(run.data.tags["evo_moo.id"]): run for run in runs if run is not parent}
    assert parent.info.status == "FINISHED" and len(runs) == 1 + N_EVALS
    for e in result.evaluations:
        assert children[e.id].data.metrics == e.metrics
        assert children[e.id].info.status == ("FAILED" if e.status == "failed" else "FINISHED")
    history = client.get_metric_history(parent.info.run_id, "best.loss")
    assert sorted(m.step for m in history) == list(range(1, N_GEN + 1))
    assert {a.path for a in client.list_artifacts(parent.info.run_id)} >= {"job.toml", "front.csv"}
    with pytest.raises(UsageError, match="--force"):
        export_run(tmp_path / "r", "mlflow", uri)
    export_run(tmp_path / "r", "mlflow", uri, force=True)
    assert len(client.search_runs([parent.info.experiment_id], max_results=1000)) == 1 + N_EVALS


def test_a_search_without_a_folder_is_written_where_it_is_said(tmp_path):
    evo_moo.search(
        "pymoo:bnh", pop_size=4, termination=("n_evals", 8), surrogate="none", callbacks=[TensorBoardWriter(tmp_path)]
    )
    assert {step for _, step in scalars(tmp_path)} == set(range(1, 9))


def test_names_that_tensorboard_would_make_one_stay_apart(tmp_path):
    names = ["a+b", "a*b", "duration_s"]
    evo_moo.search(
        lambda config: {name: config["x"] + i for i, name in enumerate(names)},
        pop_size=4,
        termination=("n_evals", 4),
        surrogate="none",
        workers=1,
        variables={"x": evo_moo.Real(0, 1)},
        objectives={"a+b": "min", "duration_s": "max"},
        callbacks=[TensorBoardWriter(tmp_path)],
    )
    written = {}
    for (tag, _), value in scalars(tmp_path).items():
        written.setdefault(tag, []).append(value)
    of_metrics = [values for tag, values in written.items() if tag.startswith("evaluation/")]
    assert len(of_metrics) == len(names) and all(len(values) == 4 for values in of_metrics)
    assert np.ptp([np.sum(values) for values in of_metrics]) == pytest.approx(8)

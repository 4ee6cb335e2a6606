import sys
from types import ModuleType, SimpleNamespace

import evo_moo
from evo_moo.report.export import export_run


class Client:
    """A tracking store that notes how its runs end."""

    ended: dict[str, int]

    def __init__(self, uri):
        type(self).ended = {}
        self.n = 0

    def get_experiment_by_name(self, name):
        return SimpleNamespace(experiment_id="1")

    def search_runs(self, *args, **kwargs):
        return type("Page", (list,), {"token": None})()

    def create_run(self, experiment, start, tags, name):
        return SimpleNamespace(info=SimpleNamespace(run_id=name))

    def log_batch(self, *args):
        pass

    log_artifact = log_batch

    def set_terminated(self, run_id, status, end_time=None):
        self.ended[run_id] = end_time


def test_an_exported_parent_ends_with_the_last_evaluation(tmp_path, monkeypatch):
    evo_moo.search("pymoo:bnh", pop_size=4, termination=("n_evals", 8), workers=1, run_dir=tmp_path / "r")
    mlflow, entities = ModuleType("mlflow"), ModuleType("mlflow.entities")
    mlflow.MlflowClient, mlflow.exceptions = Client, SimpleNamespace(MlflowException=ValueError)
    entities.Metric = entities.Param = entities.RunTag = lambda *values: values
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    export_run(tmp_path / "r", "mlflow", "store")
    parent = Client.ended.pop("r")
    assert parent == max(Client.ended.values())

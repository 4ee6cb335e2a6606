"""A run as MLflow runs: one for the search, and one nested in it for each evaluation.

- They belong to the experiment that is named like the problem.
- The search's run has the job's keys as parameters, the environment as tags, the number of evaluations and of the
  front's members as metrics, and ``job.toml``, ``environment.json``, ``front.csv`` and ``front.png`` as artifacts,
  where they are there.
- An evaluation's run has its configuration as parameters, its metrics, and its facts as tags. It is FINISHED when
  ``ok`` or ``infeasible``, RUNNING when still asked, else FAILED.
- What MLflow refuses in a name becomes ``_``, and a parameter's value ends after 500 characters.
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from evo_moo.errors import JobError, RunFolderError
from evo_moo.evaluation_row import Evaluation
from evo_moo.run_record import RunRecord, missing_extra

if TYPE_CHECKING:
    from mlflow import MlflowClient

ARTIFACTS = ("job.toml", "environment.json", "front.csv", "front.png")
STATUSES = {"ok": "FINISHED", "partial": "FINISHED", "stopped": "FINISHED", "infeasible": "FINISHED"}
RUN_TAG = "evo_moo.run"
LONGEST = 500
"""Characters of a parameter; every version and store of MLflow takes so many."""
MOST = 100
"""Parameters or metrics in one call, as tracking servers limit it."""


def write_mlflow(record: RunRecord, chosen: list[Evaluation], uri: str | None, *, force: bool) -> str:
    """Log a run to an MLflow tracking store.

    Args:
        record: The run.
        chosen: The evaluations to log.
        uri: The tracking URI; None is MLflow's own default.
        force: Whether to replace what an earlier export of the run logged.

    Returns:
        The tracking URI.

    Raises:
        JobError: MLflow is not installed, or the run has been exported there before.
        RunFolderError: The store cannot be written.
    """
    try:
        import mlflow
    except ImportError:
        raise missing_extra("mlflow") from None
    uri = uri or mlflow.get_tracking_uri()
    try:
        with _quiet():
            client = mlflow.MlflowClient(uri)
            experiment, logged = _experiment(client, record, uri, force)
            parent = _log_search(client, experiment, record)
            for e in chosen:
                _log_evaluation(client, experiment, parent, record, e)
            if not record.is_going_on:
                client.set_terminated(parent, _state(record))
            for run_id in logged:
                client.delete_run(run_id)
    except (mlflow.exceptions.MlflowException, OSError) as error:
        if isinstance(error, RunFolderError):
            raise
        raise RunFolderError(f"`{uri}` must be a tracking URI that can be written, but: {error}") from error
    return uri


def _experiment(client: "MlflowClient", record: RunRecord, uri: str, force: bool) -> tuple[str, list[str]]:
    """Find or make the experiment, and the runs in it that an earlier export of this run logged."""
    found = client.get_experiment_by_name(record.problem)
    if found is None:
        return str(client.create_experiment(record.problem)), []
    logged = list(_logged(client, found.experiment_id, record))
    if logged and not force:
        raise JobError(
            [
                f"`{uri}` must not hold run {record.name} yet, but does; name another by --output, "
                "or replace it by --force"
            ]
        )
    return str(found.experiment_id), logged


def _logged(client: "MlflowClient", experiment: str, record: RunRecord) -> Iterator[str]:
    token = None
    while True:
        page = client.search_runs([experiment], f"tags.`{RUN_TAG}` = '{_name(record)}'", page_token=token)
        yield from (run.info.run_id for run in page)
        token = page.token
        if not token:
            return


def _log_search(client: "MlflowClient", experiment: str, record: RunRecord) -> str:
    times = [t for e in record.evaluations for t in (record.asked_at[e.id], _end(e)) if t]
    start_s, end_s = (min(times), max(times)) if times else (0.0, 0.0)
    run_id = str(client.create_run(experiment, int(1000 * start_s), {RUN_TAG: _name(record)}, record.name).info.run_id)
    counts = {"n_evals": len(record.evaluations), "front_size": len(record.front_ids)}
    environment = {f"environment.{k}": v for k, v in record.environment().items() if not isinstance(v, dict)}
    _log(client, run_id, counts, _flat(record.meta.get("job", {})), environment, end_s)
    for name in ARTIFACTS:
        path = record.path / name
        if path.is_file() and not path.is_symlink():  # in a folder of others' a link could lead anywhere
            client.log_artifact(run_id, str(path))
    return run_id


def _log_evaluation(client: "MlflowClient", experiment: str, parent: str, record: RunRecord, e: Evaluation) -> None:
    start_s, end_s = e.started_at or record.asked_at[e.id], _end(e) or record.asked_at[e.id]
    tags = {"mlflow.parentRunId": parent, RUN_TAG: _name(record)}
    run_id = client.create_run(experiment, int(1000 * start_s), tags, f"evaluation {e.id}").info.run_id
    facts = {
        "evo_moo.id": e.id,
        "evo_moo.generation": e.generation,
        "evo_moo.seed": e.seed,
        "evo_moo.status": e.status,
        "evo_moo.reason": e.reason,
        "evo_moo.feasible": e.feasible,
        "evo_moo.on_front": e.id in record.front_ids,
    }
    _log(client, run_id, e.metrics, e.configuration, facts, end_s)
    if e.status != "asked":
        client.set_terminated(run_id, STATUSES.get(e.status, "FAILED"), int(1000 * end_s))


def _log(
    client: "MlflowClient",
    run_id: str,
    metrics: Mapping[str, float],
    parameters: Mapping[str, Any],
    tags: Mapping[str, Any],
    at_s: float,
) -> None:
    """Log in as few calls as MLflow's limits allow."""
    from mlflow.entities import Metric, Param, RunTag

    params = [Param(_key(name), _short(value)) for name, value in parameters.items()]
    values = [Metric(_key(name), float(value), int(1000 * at_s), 0) for name, value in metrics.items()]
    client.log_batch(run_id, values[:MOST], params[:MOST], [RunTag(_key(k), _short(v)) for k, v in tags.items()])
    for i in range(MOST, max(len(params), len(values)), MOST):
        client.log_batch(run_id, values[i : i + MOST], params[i : i + MOST])


def _key(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_\-./: ]", "_", name)


def _short(value: Any) -> str:
    return (value if isinstance(value, str) else json.dumps(value))[:LONGEST]


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Give the values of nested tables by their dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _state(record: RunRecord) -> str:
    return {"finished": "FINISHED", "failed": "FAILED"}.get(str(record.meta.get("state")), "KILLED")


def _end(e: Evaluation) -> float | None:
    return e.started_at + (e.duration_s or 0.0) if e.started_at else None


def _name(record: RunRecord) -> str:
    """Name the run as its tag does, without what a search for tags takes for syntax."""
    return re.sub(r"[^\w\-.]", "_", record.name)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep MLflow from announcing what it sets up."""
    logger = logging.getLogger("mlflow")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)

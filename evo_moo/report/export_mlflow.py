"""A run as MLflow runs: one for the search, and one nested in it for each evaluation.

- They belong to the experiment that is named like the problem.
- The search's run has the job's keys as parameters, the environment as tags, the number of evaluations and of the
  front's members as metrics, and ``job.toml``, ``environment.json``, ``front.csv`` and ``front.png`` as artifacts,
  where they are there.
- An evaluation's run has its configuration as parameters, its metrics, and its facts as tags. It is FINISHED when
  ``ok`` or ``infeasible``, RUNNING when still asked, else FAILED.
- What MLflow refuses in a name becomes ``_``; metrics whose names would then be one end with a checksum. A parameter's
  value ends after 500 characters.
"""

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from evo_moo.analysis.run_record import RunRecord
from evo_moo.errors import RunFolderError, UsageError, missing_extra
from evo_moo.problem.points import key_in_words
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.facts import RunFacts
from evo_moo.text import by_dotted_key, distinct_names
from evo_moo.values import value_text

if TYPE_CHECKING:
    from mlflow import MlflowClient

ARTIFACTS = ("job.toml", "environment.json", "front.csv", "front.png")
STATUSES = {"ok": "FINISHED", "partial": "FINISHED", "stopped": "FINISHED", "infeasible": "FINISHED"}
RUN_TAG, ID_TAG = "evo_moo.run", "evo_moo.id"
FACTS = ("id", "generation", "seed", "status", "reason", "feasible")
REFUSED = r"[^A-Za-z0-9_\-./: ]"
"""Characters that MLflow takes in no name."""
LONGEST = 500
"""Characters of a parameter; every version and store of MLflow takes so many."""
MOST = 100
"""Parameters or metrics in one call, as tracking servers limit it."""


def write_mlflow(record: RunRecord, chosen: Iterable[Evaluation], uri: str | None, *, force: bool) -> str:
    """Log a run to an MLflow tracking store.

    Args:
        record: The run.
        chosen: The evaluations to log.
        uri: The tracking URI; None is MLflow's own default.
        force: Whether to replace what an earlier export of the run logged.

    Returns:
        The tracking URI.

    Raises:
        UsageError: MLflow is not installed, or the run has been exported there before.
        RunFolderError: The store cannot be written.
    """
    try:
        import mlflow
    except ImportError:
        raise missing_extra("mlflow") from None
    uri = uri or mlflow.get_tracking_uri()
    try:
        with quiet():
            client = mlflow.MlflowClient(uri)
            experiment = experiment_of(client, record)
            logged = [run.info.run_id for run in logged_runs(client, experiment, record)]
            if logged and not force:
                rule = f"`{uri}` must not hold run {record.name} yet, but does"
                raise UsageError(f"{rule}; name another by --output, or replace it by --force")
            parent, end_s = _log_search(client, experiment, record)
            for e in chosen:
                on_front: dict[str, Any] = {"on_front": e.id in record.front_ids}
                on_front |= {"contexts": list(record.result.serves[e.id])} if e.id in record.result.serves else {}
                log_evaluation(client, experiment, parent, record, e, on_front)
            if not record.is_going_on:
                client.set_terminated(parent, state_of(record.state), int(1000 * end_s))
            for run_id in logged:
                client.delete_run(run_id)
    except RunFolderError:
        raise
    except (mlflow.exceptions.MlflowException, OSError) as error:
        raise RunFolderError(f"`{uri}` must be a tracking URI that can be written, but: {error}") from error
    return uri


def experiment_of(client: "MlflowClient", run: RunFacts) -> str:
    """Return the id of the experiment of a run's problem, which is made if it does not exist."""
    experiment = client.get_experiment_by_name(run.problem)
    return str(experiment.experiment_id if experiment else client.create_experiment(run.problem))


def logged_runs(client: "MlflowClient", experiment: str, run: RunFacts) -> Iterator[Any]:
    """Return MLflow's runs of a search and of its evaluations."""
    token = None
    while True:
        page = client.search_runs([experiment], f"tags.`{RUN_TAG}` = '{_name(run)}'", page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _log_search(client: "MlflowClient", experiment: str, record: RunRecord) -> tuple[str, float]:
    """Log what is known of the search as a whole; return the id of MLflow's run, and when the search ended."""
    times = [t for e in record.evaluations for t in (e.asked_at, _end(e)) if t]
    start_s, end_s = (min(times), max(times)) if times else (0.0, 0.0)
    run_id = begin_search(client, experiment, record, start_s)
    counts = {"n_evals": record.result.n_evaluations, "front_size": len(record.front_ids)}
    log(client, run_id, counts, {}, {}, end_s)
    log_artifacts(client, run_id, record)
    return run_id, end_s


def begin_search(client: "MlflowClient", experiment: str, run: RunFacts, start_s: float) -> str:
    """Make MLflow's run of a search, with the job and the environment, and return the run's id."""
    run_id = str(client.create_run(experiment, int(1000 * start_s), {RUN_TAG: _name(run)}, run.name).info.run_id)
    environment = {f"environment.{k}": v for k, v in run.environment().items() if not isinstance(v, dict)}
    job = {key: value for key, value in by_dotted_key(run.job).items() if value != {}}
    log(client, run_id, {}, job, environment, start_s)
    return run_id


def log_artifacts(client: "MlflowClient", run_id: str, run: RunFacts) -> None:
    """Log the files of a run folder that are there."""
    for name in ARTIFACTS if run.path else ():
        path = run.path / name  # type: ignore[operator]
        if path.is_file() and not path.is_symlink():  # in a folder of others' a link could lead anywhere
            client.log_artifact(run_id, str(path))


def log_evaluation(
    client: "MlflowClient", experiment: str, parent: str, run: RunFacts, e: Evaluation, on_front: Mapping[str, Any]
) -> None:
    """Log an evaluation, or a point, as a run nested in the search's; ``on_front`` says of what fronts it is."""
    start_s, end_s = e.started_at or e.asked_at, _end(e) or e.asked_at
    tags = {"mlflow.parentRunId": parent, RUN_TAG: _name(run)}
    run_id = client.create_run(experiment, int(1000 * start_s), tags, key_in_words(e.id)).info.run_id
    facts = {f"evo_moo.{name}": getattr(e, name) for name in FACTS}
    facts |= {f"evo_moo.{name}": value for name, value in on_front.items()}
    options = {name: value_text(value) for name, value in e.configuration.items()}
    keys = distinct_names([*run.metrics, *e.metrics], REFUSED)
    log(client, run_id, {keys[name]: value for name, value in e.metrics.items()}, options, facts, end_s)
    if e.status != "asked":
        client.set_terminated(run_id, STATUSES.get(e.status, "FAILED"), int(1000 * end_s))


def log(
    client: "MlflowClient",
    run_id: str,
    metrics: Mapping[str, float],
    parameters: Mapping[str, Any],
    tags: Mapping[str, Any],
    at_s: float,
    step: int = 0,
) -> None:
    """Log in as few calls as MLflow's limits allow."""
    from mlflow.entities import Metric, Param, RunTag

    params = [Param(_key(name), _short(value)) for name, value in parameters.items()]
    values = [Metric(_key(name), float(value), int(1000 * at_s), step) for name, value in metrics.items()]
    client.log_batch(run_id, values[:MOST], params[:MOST], [RunTag(_key(k), _short(v)) for k, v in tags.items()])
    for i in range(MOST, max(len(params), len(values)), MOST):
        client.log_batch(run_id, values[i : i + MOST], params[i : i + MOST])


def _key(name: str) -> str:
    return re.sub(REFUSED, "_", name)


def _short(value: Any) -> str:
    return (value if isinstance(value, str) else json.dumps(value))[:LONGEST]


def state_of(state: str) -> str:
    """Return the state of a search in MLflow's words."""
    return {"finished": "FINISHED", "failed": "FAILED"}.get(state, "KILLED")


def _end(e: Evaluation) -> float | None:
    return e.started_at + (e.duration_s or 0.0) if e.started_at else None


def _name(run: RunFacts) -> str:
    """Name the run as its tag does, without what a search for tags takes for syntax."""
    return re.sub(r"[^\w\-.]", "_", run.name)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep MLflow from announcing what it sets up."""
    logger = logging.getLogger("mlflow")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)

"""A callback that logs a search to MLflow while it runs: ``pip install '.[mlflow]'``.

It writes what ``evo-moo export --to mlflow`` writes of a run that is over (see ``export_mlflow``), as it happens,
and the best values and the hypervolume over generations. Which evaluations are on the front is known
only when the search is over: an export with ``--force`` then adds it.
"""

import time

from evo_moo.errors import missing_extra
from evo_moo.report.export_mlflow import (
    ID_TAG,
    begin_search,
    experiment_of,
    log,
    log_artifacts,
    log_evaluation,
    logged_runs,
    quiet,
    state_of,
)
from evo_moo.report.summary import Summary
from evo_moo.run.callbacks import Callback
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.facts import RunFacts

PATH_TAG, GENERATION_TAG = "evo_moo.path", "evo_moo.generation"


class MLflowWriter(Callback):
    """Logs a search as an MLflow run, and each evaluation, or point of one, as one nested in it.

    A run that goes on is recognised by the path of its folder; what is logged already is not logged twice. A search
    without a folder is always a new one.

    Args:
        uri: The tracking URI; by default MLflow's own.

    Raises:
        UsageError: MLflow is not installed.
    """

    def __init__(self, uri: str | None = None) -> None:
        try:
            import mlflow  # noqa: F401
        except ImportError:
            raise missing_extra("mlflow", "`MLflowWriter`") from None
        self._uri = uri

    def on_begin(self, run: RunFacts) -> None:
        """Continue the MLflow run of the search, or make it."""
        import mlflow

        with quiet():
            self._client = mlflow.MlflowClient(self._uri or mlflow.get_tracking_uri())
            self._experiment = experiment_of(self._client, run)
            known = list(logged_runs(self._client, self._experiment, run)) if run.path else []
            parents = [each for each in known if each.data.tags.get(PATH_TAG) == str(run.path)]
            if parents:
                self._parent = str(parents[0].info.run_id)
                self._generation = int(parents[0].data.tags.get(GENERATION_TAG, 0))
                self._client.update_run(self._parent, "RUNNING")
            else:
                self._parent, self._generation = begin_search(self._client, self._experiment, run, time.time()), 0
                self._client.set_tag(self._parent, PATH_TAG, str(run.path))
            tags = [each.data.tags for each in known]
            nested = [each for each in tags if each.get("mlflow.parentRunId") == self._parent]
            self._logged = {each[ID_TAG] for each in nested if ID_TAG in each}
        self._summary = Summary(run.goals)

    def on_evaluation(self, run: RunFacts, evaluation: Evaluation) -> None:
        """Log an evaluation, or the points that it offers, unless they are logged already."""
        self._summary.see(evaluation)
        for each in evaluation.offers():
            if str(each.id) not in self._logged:
                log_evaluation(self._client, self._experiment, self._parent, run, each, {})

    def on_generation(self, run: RunFacts, generation: int, population: list[Evaluation]) -> None:
        """Log the best values and the hypervolume so far."""
        numbers, at_s = self._summary.numbers(generation, run.boxes), self._summary.at_s
        if generation > self._generation:
            log(self._client, self._parent, numbers, {}, {GENERATION_TAG: generation}, at_s, generation)

    def on_end(self, run: RunFacts, state: str) -> None:
        """Log the files, and how the search ended."""
        log_artifacts(self._client, self._parent, run)
        self._client.set_terminated(self._parent, state_of(state))

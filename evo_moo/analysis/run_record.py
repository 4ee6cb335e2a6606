"""A run as its folder records it, read without running any of its code."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evo_moo.analysis.result import Result
from evo_moo.errors import RunFolderError
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.facts import RunFacts
from evo_moo.storage.folder_lock import holder_of
from evo_moo.storage.reading import reading


@dataclass(frozen=True)
class RunRecord(RunFacts):
    """What a run folder holds, whoever made it and however far it came.

    Attributes:
        path: The run folder, absolute.
        space: Name of a variable to its definition, as ``SearchSpace.to_json`` gives it; where a run did not
            record it, names to empty dicts.
        evaluations: Every evaluation in the order of asking.
        asked_at: Id of an evaluation to the Unix time when it was asked for.
        front_ids: Ids of the Pareto front.
        is_going_on: Whether a process searches on in the folder now.
    """

    path: Path
    space: dict[str, dict[str, Any]]
    evaluations: list[Evaluation]
    asked_at: dict[int, float]
    front_ids: frozenset[int]
    is_going_on: bool

    @classmethod
    def read(cls, run_dir: str | Path) -> "RunRecord":
        """Read a run folder; the run may still go on.

        Raises:
            RunFolderError: It is no run folder, is damaged, or was killed before it recorded its job.
        """
        path = Path(run_dir).absolute()
        with reading(path) as ledger:
            meta = ledger.meta()
            if "goals" not in meta:
                raise RunFolderError(
                    f"`{run_dir}` must hold a run that has begun, but holds none of its facts yet; "
                    "run the job with this folder again"
                )
            asked_at = ledger.asked_times()
            result = Result.of_ledger(ledger, path)
            evaluations = [e for e in result.evaluations if e.id in asked_at]
            names = dict.fromkeys(name for e in evaluations for name in e.configuration)
            if not all(isinstance(e.metrics, dict) for e in evaluations):
                raise ValueError("metrics that are no table")
            if not all(isinstance(value, int | float) for e in evaluations for value in e.metrics.values()):
                raise ValueError("a metric that is no number")
            return cls(
                path,
                meta,
                result.goals,
                result.known_metrics,
                dict(meta.get("space") or {name: {} for name in names}),
                evaluations,
                asked_at,
                frozenset(e.id for e in result.front),
                holder_of(path) is not None,
            )

    def variable_names(self) -> list[str]:
        """Names of all variables: those of the space, and any other that an evaluation has."""
        return list(dict.fromkeys([*self.space, *(name for e in self.evaluations for name in e.configuration)]))

    def metric_names(self) -> list[str]:
        """Names of all metrics: those of the goals, the declared ones, and any other that an evaluation has."""
        return list(
            dict.fromkeys(
                [*self.goals.metric_names, *self.metrics, *(name for e in self.evaluations for name in e.metrics)]
            )
        )

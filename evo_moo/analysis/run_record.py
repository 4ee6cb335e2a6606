"""A run as its folder records it, read without running any of its code."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import orjson

from evo_moo.analysis.result import Result
from evo_moo.errors import RunFolderError
from evo_moo.problem.points import Key
from evo_moo.space.parts import Parts
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.facts import RunFacts
from evo_moo.storage.folder_lock import holder_of
from evo_moo.storage.ledger import Ledger
from evo_moo.storage.reading import reading


@dataclass(frozen=True)
class RunRecord(RunFacts):
    """What a run folder holds, whoever made it and however far it came.

    Attributes:
        path: The run folder, absolute.
        result: The Pareto front, and every evaluation.
        is_going_on: Whether a process searches on in the folder now.
    """

    path: Path
    result: Result
    is_going_on: bool

    @classmethod
    def read(cls, run_dir: str | Path) -> "RunRecord":
        """Read a run folder; the run may still go on.

        Raises:
            RunFolderError: It is no run folder, is damaged, or was killed before it recorded its job.
        """
        with reading(Path(run_dir)) as ledger:
            return cls.of_open(ledger, Path(run_dir))

    @classmethod
    def of_open(cls, ledger: Ledger, run_dir: Path) -> "RunRecord":
        """Read the open ledger of a run folder; errors as for ``read``."""
        facts, path = ledger.facts(), run_dir.absolute()
        if not facts.has_begun:
            raise RunFolderError(
                f"`{run_dir}` must hold a run that has begun, but holds none of its facts yet; "
                "run the job with this folder again"
            )
        result = Result.of_ledger(ledger, path)
        if not all(isinstance(definition, dict) for definition in facts.space.values()):
            raise ValueError("a variable that is no table")
        return cls(path, facts.texts, result, holder_of(path) is not None)

    def within(self, context: str) -> "RunRecord":
        """Return the run as it is in one context: with the goals there, the front, and what keeps the limits.

        Raises:
            MetricError: There is no such context, or there are none.
        """
        result = self.result.within(context)
        texts = {**self.texts, "goals": orjson.dumps(result.goals.to_json()).decode()}
        return RunRecord(self.path, texts, result, self.is_going_on)

    @property
    def evaluations(self) -> Sequence[Evaluation]:
        """Every evaluation in the order of asking; see ``EvaluatedFront``."""
        return self.result.evaluations

    @cached_property
    def front_ids(self) -> frozenset[Key]:
        """Ids of the Pareto front."""
        return frozenset(e.id for e in self.result.front)

    @property
    def variable_names(self) -> list[str]:
        """Names of all variables: those of the space, and any other that an evaluation has."""
        return self._names[0]

    @cached_property
    def variable_parts(self) -> Parts:
        """The variables, those of several columns taken apart."""
        return Parts(self.space)

    @property
    def choice_names(self) -> list[str]:
        """Names of the variables that some point was chosen by after its training."""
        return self._names[3]

    @property
    def metric_names(self) -> list[str]:
        """Names of all metrics: those of the goals, the declared ones, and any other that an evaluation has."""
        return self._names[1]

    @property
    def fact_names(self) -> list[str]:
        """Names of all that evaluations returned beside numbers."""
        return self._names[2]

    @cached_property
    def _names(self) -> tuple[list[str], list[str], list[str], list[str]]:
        variables, choices = dict.fromkeys(self.space), dict[str, None]()
        metrics, facts = dict.fromkeys([*self.goals.metric_names, *self.metrics]), dict[str, None]()
        for e in self.evaluations:
            variables |= dict.fromkeys(e.configuration)
            choices |= dict.fromkeys(e.choices)
            metrics |= dict.fromkeys(e.metrics)
            facts |= dict.fromkeys(e.facts)
        return list(variables), list(metrics), list(facts), [name for name in variables if name in choices]

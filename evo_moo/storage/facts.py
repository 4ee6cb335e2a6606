"""What a ledger says of a run besides its evaluations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import orjson

from evo_moo.errors import RunFolderError
from evo_moo.pareto import Array
from evo_moo.problem.command.files import script_name
from evo_moo.problem.command.words import COMMAND
from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metric
from evo_moo.storage.run_boxes import Boxes, boxes_of_json

State = Literal["new", "running", "stopped", "finished", "failed"]
"""State of a run as it was recorded last: a killed one is left ``running``."""
EventKind = Literal[
    State,
    "migrated",
    "taken over",
    "job changed",
    "code changed",
    "warm start",
    "told",
    "explored",
    "surrogate",
    "refinement",
    "retried",
    "placed",
    "profile reused",
    "measured",
    "measured again",
    "weights dropped",
    "callback failed",
]
"""Kind of a decision or an incident of a run."""


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run besides its evaluations; each fact is parsed when it is first asked for.

    A fact without a default raises ``KeyError`` where the run was killed before it recorded it, and any fact may raise
    ``ValueError``, ``TypeError`` or ``LookupError`` where the ledger is damaged: read it below ``guarded_reads``.

    Attributes:
        path: The run folder, absolute; None where nothing is written.
        texts: Names of facts to their JSON, as in the ledger.
        is_replay: Whether callbacks are called now with what was recorded before.
    """

    path: Path | None
    texts: Mapping[str, str] = field(repr=False)
    is_replay: bool = field(default=False, kw_only=True)

    def _fact(self, name: str, default: Any = None) -> Any:
        return orjson.loads(self.texts[name]) if name in self.texts else default

    @property
    def has_begun(self) -> bool:
        """Whether the run recorded its goals, with which it records all that it begins with."""
        return "goals" in self.texts

    @property
    def is_confirmation(self) -> bool:
        """Whether it repeats evaluations of another run, and so has no job."""
        return "confirmation" in self.texts

    @property
    def is_seeded(self) -> bool:
        """Whether the evaluations of a confirmation depend on their seeds."""
        return bool(self._fact("confirmation")["is_seeded"])

    @cached_property
    def state(self) -> State:
        """The state as it was recorded last."""
        return cast(State, str(self._fact("state", "new")))

    @cached_property
    def job(self) -> Mapping[str, Any]:
        """The job as plain data; empty where there is none."""
        return dict(self._fact("job", {}))

    @cached_property
    def goals(self) -> Goals:
        """Objectives and limits."""
        if not self.texts:
            raise RunFolderError(f"`{self.path}` must be a run that has begun, but has not yet; look again in a moment")
        return Goals.from_json(orjson.loads(self.texts["goals"]))

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """Every metric that the problem declares."""
        return {name: Metric(**declared) for name, declared in orjson.loads(self.texts["metrics"]).items()}

    @cached_property
    def space(self) -> dict[str, dict[str, Any]]:
        """Name of a variable to its definition, as ``SearchSpace.to_json`` gives it."""
        return dict(orjson.loads(self.texts["space"]))

    @property
    def problem_version(self) -> str | None:
        """Digest of the problem's code; None where it is not known, or where parts of the run are of several."""
        return cast(str | None, self._fact("problem_version"))

    @cached_property
    def parts(self) -> dict[str, str]:
        """The code that was evaluated last: names of files, or of parts of an object, to digests or values."""
        return dict(self._fact("parts", {}))

    @property
    def place(self) -> str:
        """The run folder, absolute, when its job was recorded; empty where it is not known."""
        return str(self._fact("place", ""))

    @property
    def front(self) -> Literal["population", "archive"]:
        """Whether the front is the last population's optimum, as pymoo has it, or that of all evaluations."""
        return cast(Literal["population", "archive"], orjson.loads(self.texts["front"]))

    @cached_property
    def true_fronts(self) -> tuple[Array | None, ...]:
        """The exact Pareto front, or that of each context, ``(m, n_obj)`` array, minimised; None where not known."""
        recorded, contexts = self._fact("true_front"), self.goals.contexts
        of_views = [(recorded or {}).get(context.name) for context in contexts] if contexts else [recorded]
        return tuple(np.array(points) if points else None for points in of_views)

    @property
    def elapsed_s(self) -> float:
        """Seconds of searching."""
        return float(self._fact("elapsed_s", 0.0))

    @property
    def given_start(self) -> list[Any] | None:
        """The job's start before configurations of earlier runs were added; None where there were none."""
        return cast(list[Any] | None, self._fact("given_start"))

    @property
    def exploration(self) -> dict[str, Any] | None:
        """What was learnt of the space before the search, and by how many evaluations; None where it was declared."""
        return cast(dict[str, Any] | None, self._fact("exploration"))

    @property
    def boxes(self) -> Boxes:
        """What the run's hypervolumes are shares of: one, or one for each context; None before it is fixed."""
        return self.boxes_of(self.goals)

    def boxes_of(self, goals: Goals) -> Boxes:
        """Return ``boxes`` of a run with these goals."""
        return boxes_of_json(self._fact("hypervolume_box"), goals)

    @cached_property
    def known_outcomes(self) -> list[dict[str, Any]]:
        """Outcomes of earlier runs that need not be evaluated again."""
        return list(self._fact("known_outcomes", []))

    @cached_property
    def earlier_outcomes(self) -> list[dict[str, Any]]:
        """What models learn from earlier runs, as ``evo_moo.surrogate.transfer.EarlierOutcomes`` reads it."""
        return list(self._fact("earlier_outcomes", []))

    @property
    def name(self) -> str:
        """Name of the run: of its folder."""
        return self.path.name if self.path else "search"

    @property
    def problem(self) -> str:
        """How the problem was named, without the folder that it lies in; a command by its script or program."""
        section = self.job.get("problem", {})
        if section.get("use") == COMMAND:
            return script_name(section.get("options", {}).get("command"))
        return str(section.get("use", "unknown")).rpartition("/")[2]

    @property
    def seed(self) -> int:
        """The search's seed; 1 without a job."""
        return int(self.job.get("search", {}).get("seed", 1))

    def environment(self) -> dict[str, Any]:
        """Read ``environment.json``; empty where there is none that can be read."""
        try:
            environment = orjson.loads((self.path or Path()).joinpath("environment.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return environment if self.path and isinstance(environment, dict) else {}


def run_state(recorded: State, is_going_on: bool) -> Literal[State, "killed"]:
    """Return the state of a run now.

    Args:
        recorded: The state that its ledger has.
        is_going_on: Whether a process holds its folder.

    Returns:
        The recorded state; where that says that the run goes on, ``"running"`` or ``"killed"``.
    """
    if recorded in ("running", "new"):
        return "running" if is_going_on else "killed"
    return recorded

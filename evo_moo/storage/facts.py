"""What a ledger says of a run besides its evaluations."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metric
from evo_moo.storage.ledger import Ledger


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run besides its evaluations.

    Attributes:
        path: The run folder, absolute; None where nothing is written.
        meta: Facts on the run, as in the ledger.
        goals: Objectives and limits.
        metrics: Every metric that the problem declares.
        is_replay: Whether callbacks are told now of what was recorded before.
    """

    path: Path | None
    meta: Mapping[str, Any]
    goals: Goals
    metrics: dict[str, Metric]
    is_replay: bool = field(default=False, kw_only=True)

    @classmethod
    def of_ledger(cls, ledger: Ledger, path: Path | None) -> "RunFacts":
        """Read them from an open ledger."""
        meta = ledger.meta()
        known = {name: Metric(**facts) for name, facts in meta["metrics"].items()}
        return cls(path and path.absolute(), meta, Goals.from_json(meta["goals"]), known)

    @property
    def name(self) -> str:
        """Name of the run: of its folder."""
        return self.path.name if self.path else "search"

    @property
    def problem(self) -> str:
        """How the problem was named, without the folder that it lies in."""
        return str(self.meta.get("job", {}).get("problem", {}).get("use", "unknown")).rpartition("/")[2]

    def environment(self) -> dict[str, Any]:
        """Read ``environment.json``; empty where there is none that can be read."""
        return read_environment(self.path) if self.path else {}


def read_environment(path: Path) -> dict[str, Any]:
    """Read a run folder's ``environment.json``; empty where there is none that can be read."""
    try:
        found = json.loads((path / "environment.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}

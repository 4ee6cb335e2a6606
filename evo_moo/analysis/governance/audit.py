"""The audit of a run: who asked for what, by which rules, with which code and data, and what was decided."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evo_moo.analysis.run_record import RunRecord
from evo_moo.storage.log import AuditEntry, read_audit
from evo_moo.text import by_dotted_key, shown


@dataclass(frozen=True)
class Audit:
    """What a run can be asked to account for.

    Attributes:
        run: Name of the run.
        goals: Objectives and limits in words, to why they are so and who answers for them; empty where nobody said.
        trail: Who asked for what, oldest first.
        parts: Code and data by name, to their digests or versions, as they were evaluated last.
        code_changes: How they changed while the run went on.
        origins: Number of configurations by why they were tried.
    """

    run: str
    goals: dict[str, str]
    trail: Sequence[AuditEntry]
    parts: dict[str, str]
    code_changes: Sequence[str]
    origins: dict[str, int]

    @classmethod
    def of(cls, record: RunRecord) -> "Audit":
        """Take it from what a run folder holds."""
        policies = record.job.get("policies") or {}
        words = {o.metric: f"{o.direction} {o.metric}" for o in record.goals.objectives}
        limits = {f"{limit.metric} {limit.relation} {limit.bound:g}": limit.metric for limit in record.goals.limits}
        goals = {text: str(policies.get(name, "")) for name, text in words.items()}
        goals |= {text: str(policies.get(name, "")) for text, name in limits.items()}
        origins: dict[str, int] = {}
        for e in record.evaluations:
            origins[e.origin] = origins.get(e.origin, 0) + 1
        changes, trail = record.result.code_changes, read_audit(record.path)
        return cls(record.name, goals, trail, dict(record.parts), changes, origins)

    @classmethod
    def read(cls, run_dir: str | Path) -> "Audit":
        """Read a run folder; errors as for ``RunRecord.read``."""
        return cls.of(RunRecord.read(run_dir))

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def detail_in_words(detail: Mapping[str, Any]) -> str:
    """Return what decides an entry of the trail, in words."""
    flat = by_dotted_key(dict(detail))
    return "; ".join(f"{name}: {shown(value)}" for name, value in flat.items() if value not in ("", None, [], {}))

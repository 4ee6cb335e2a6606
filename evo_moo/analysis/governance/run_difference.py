"""What differs between two runs: job, goals, space, code and data, machine and packages, front."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evo_moo.analysis.run_record import RunRecord
from evo_moo.text import by_dotted_key
from evo_moo.values import json_key

MISSING = "not there"


@dataclass(frozen=True)
class RunDifference:
    """What differs between two runs; of each difference the value in the first and in the second.

    Attributes:
        runs: Names of the two.
        job: Dotted keys of the job.
        goals: Objectives and limits.
        space: Variables.
        parts: Code and data.
        environment: Machine, interpreter, packages.
        front: Numbers of evaluations and of members, the best value of each objective, and members in common.
    """

    runs: tuple[str, str]
    job: dict[str, tuple[Any, Any]]
    goals: dict[str, tuple[Any, Any]]
    space: dict[str, tuple[Any, Any]]
    parts: dict[str, tuple[Any, Any]]
    environment: dict[str, tuple[Any, Any]]
    front: dict[str, tuple[Any, Any]]

    @classmethod
    def of(cls, one: RunRecord, other: RunRecord) -> "RunDifference":
        """Compare what two run folders hold."""
        return cls(
            (one.name, other.name),
            _differing(by_dotted_key(dict(one.job)), by_dotted_key(dict(other.job))),
            _differing(_goals(one), _goals(other)),
            _differing(one.space, other.space),
            _differing(*_parts(one, other)),
            _differing(by_dotted_key(one.environment()), by_dotted_key(other.environment())),
            _differing(_front(one), _front(other), keep=("evaluations", "members")),
        )

    @classmethod
    def read(cls, one: str | Path, other: str | Path) -> "RunDifference":
        """Read two run folders; errors as for ``RunRecord.read``."""
        return cls.of(RunRecord.read(one), RunRecord.read(other))

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def _differing(
    one: Mapping[str, Any], other: Mapping[str, Any], keep: tuple[str, ...] = ()
) -> dict[str, tuple[Any, Any]]:
    names = dict.fromkeys([*one, *other])
    pairs = {name: (one.get(name, MISSING), other.get(name, MISSING)) for name in names}
    return {name: pair for name, pair in pairs.items() if name in keep or json_key(pair[0]) != json_key(pair[1])}


def _parts(one: RunRecord, other: RunRecord) -> tuple[dict[str, str], dict[str, str]]:
    """Return code and data that both runs name, and data that either does: what else is new shows in what uses it."""
    known = one.parts.keys() & other.parts.keys()
    kept = [{k: v for k, v in each.parts.items() if k in known or k.startswith("data ")} for each in (one, other)]
    return kept[0], kept[1]


def _goals(record: RunRecord) -> dict[str, Any]:
    goals = record.goals
    table = {f"objective {o.metric}": o.direction for o in goals.objectives}
    return table | {f"limit {each.metric} {each.relation}": each.bound for each in goals.limits}


def _front(record: RunRecord) -> dict[str, Any]:
    front, objectives = record.result.front, record.goals.objectives
    best = {f"best {o.metric}": o.best(e.metrics[o.metric] for e in front) for o in objectives if front}
    return {"evaluations": record.result.n_evaluations, "members": len(front), **best}

"""The models between which a switch chooses."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evo_moo.errors import UsageError


@dataclass(frozen=True)
class Member:
    """A model as the switch sees it.

    Attributes:
        name: Its name.
        quality: Such as its accuracy; more is better.
        latencies_ms: Measured latencies of a usual request, in any order; one where no more is known.
        memory_mb: Memory that it takes while it is loaded.
    """

    name: str
    quality: float
    latencies_ms: tuple[float, ...]
    memory_mb: float = 0.0

    @property
    def typical_ms(self) -> float:
        """The median latency, by which members are sorted: a busy moment of the machine does not change it."""
        return float(np.median(self.latencies_ms))


def members_of_front(rows: Iterable[Mapping[str, Any]], quality: str = "accuracy") -> list[Member]:
    """Make members of the rows of a front, such as ``{"id": e.id, **e.metrics}`` of a result's evaluations.

    Args:
        rows: Each with ``id``, the metric of quality and ``latency_ms``, a number or a list; perhaps ``memory_mb``.
        quality: The metric of quality, of which more is better.

    Raises:
        UsageError: A row lacks one of them.
    """
    members, faults = [], []
    for i, row in enumerate(rows):
        if missing := [name for name in ("id", quality, "latency_ms") if row.get(name) is None]:
            faults.append(f"row {i} must have id, {quality} and latency_ms, but lacks {', '.join(missing)}")
            continue
        latencies = tuple(np.atleast_1d(np.asarray(row["latency_ms"], dtype=float)).tolist())
        members.append(Member(str(row["id"]), float(row[quality]), latencies, float(row.get("memory_mb") or 0)))
    if faults:
        raise UsageError(*faults)
    return members


def checked_members(members: Sequence[Member]) -> list[Member]:
    """Return members of distinct names with positive latencies, sorted by median latency.

    Raises:
        UsageError: There is none, or they are not so; all faults are listed.
    """
    faults = [] if members else ["a switch must have a member, but has none"]
    names = [member.name for member in members]
    faults += [f"members must have distinct names, but {n!r} is there twice" for n in set(names) if names.count(n) > 1]
    for member in members:
        latencies = np.asarray(member.latencies_ms, dtype=float)
        if not latencies.size or not np.isfinite(latencies).all() or latencies.min() <= 0:
            faults.append(f"`latencies_ms` of {member.name!r} must be positive numbers, but are {member.latencies_ms}")
        if not np.isfinite(member.quality) or not 0 <= member.memory_mb < np.inf:
            faults.append(
                f"{member.name!r} must have a finite quality and memory, but has {member.quality}, {member.memory_mb}"
            )
    if faults:
        raise UsageError(*faults)
    return sorted(members, key=lambda member: (member.typical_ms, -member.quality))


def undominated(members: Sequence[Member]) -> list[Member]:
    """Return the members, of those sorted by latency, that are more accurate than every faster one."""
    kept: list[Member] = []
    for member in members:
        if not kept or member.quality > kept[-1].quality:
            kept.append(member)
    return kept

"""How the evaluations of a run ended, in words and numbers."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from evo_moo.storage.ledger import Ledger

NO_POINT = "points not made"
"""Stands for the status of points that could not be made."""


@dataclass(frozen=True)
class Failure:
    """A way in which evaluations did not end well: the status, the reason without values, and how many there were.

    Points that could not be made are counted by their faults, with ``NO_POINT`` as the status.
    """

    status: str
    reason: str
    n: int


def code_changes(ledger: Ledger) -> tuple[str, ...]:
    """Return in words how the code that was evaluated changed while a run went on."""
    events = ledger.events("code changed")
    return tuple(f"after {detail['n_asked']} evaluations: {'; '.join(detail['changed'])}" for _, _, detail in events)


def failures_of(endings: Mapping[tuple[str, str], int], point_faults: Mapping[str, int]) -> list[Failure]:
    """Count what did not end well, and points not made, by status and reason, most frequent first."""
    failed = {k: n for k, n in endings.items() if k[0] not in ("ok", "partial", "asked")}
    failed |= {(NO_POINT, fault): n for fault, n in point_faults.items()}
    return _counted((status, reason.partition(", but is ")[0], n) for (status, reason), n in failed.items())


def notes_of(endings: Mapping[tuple[str, str], int]) -> list[Failure]:
    """Count the evaluations that ended well without a number for some metric, by status and what is missing."""
    well = {k: n for k, n in endings.items() if k[0] in ("ok", "partial") and k[1].startswith(("no `", "point "))}
    return _counted((*ending, n) for ending, n in well.items())


def why_no_front(endings: Mapping[tuple[str, str], int]) -> str:
    """Say in words why a run has no front: evaluations below the full fidelity are on none."""
    n_partial = sum(n for (status, _), n in endings.items() if status == "partial")
    if n_partial:
        return f"no evaluation has reached the full fidelity, though {n_partial} below it ended well"
    return "no evaluation has ended well"


def _counted(endings: Iterable[tuple[str, str, int]]) -> list[Failure]:
    """Add up endings by status and reason, most frequent first."""
    counts: Counter[tuple[str, str]] = Counter()
    for status, reason, n in endings:
        counts[status, reason] += n
    return [Failure(status, reason, n) for (status, reason), n in counts.most_common()]

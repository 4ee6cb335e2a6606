"""The decisions and incidents of a run, in words and in order."""

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.facts import State
from evo_moo.text import shown

MOST_EVENTS = 1000
LANES = dict.fromkeys(get_args(State), "state") | {
    "surrogate": "model choices",
    "refinement": "promotions",
    "promotion": "promotions",
    "retried": "retries",
    "profile reused": "reuse",
    "measured again": "reuse",
    "warm start": "reuse",
    "told": "reuse",
    "weights dropped": "reuse",
    "taken over": "state",
    "job changed": "state",
    "code changed": "state",
}


@dataclass(frozen=True)
class Entry:
    """A decision or an incident: Unix time, number of evaluations asked by then, lane of the figure, and words."""

    at: float
    n: int
    lane: str
    text: str


@dataclass(frozen=True)
class Timeline:
    """The decisions and incidents in order; of more than ``MOST_EVENTS`` the latest ``n_left_out`` are left out."""

    entries: list[Entry]
    n_left_out: int


def timeline(
    events: Iterable[tuple[float, str, Mapping[str, Any]]],
    evaluations: Iterable[Evaluation],
    learnt: str = "evaluations",
) -> Timeline:
    """Return the decisions and incidents of a run.

    Promotions are those of the evaluations that rose; what happened alike to many evaluations at one point of the
    run is one entry.

    Args:
        events: The ledger's events: time, kind, detail.
        evaluations: The run's evaluations.
        learnt: What models learn, in a word.
    """
    incidents = [(at, kind, _words(kind, detail, learnt)) for at, kind, detail in events if kind != "measured"]
    asked_at = array("d")
    for e in evaluations:
        if e.asked_at:
            asked_at.append(e.asked_at)
        if e.continues is not None and not e.replicate:
            incidents.append((e.asked_at, "promotion", f"to fidelity {e.fidelity}"))
    times = np.sort(asked_at)
    groups: dict[tuple[int, str, str], list[float]] = {}
    for at, kind, text in sorted(incidents, key=lambda incident: incident[0]):
        groups.setdefault((int(np.searchsorted(times, at, side="right")), kind, text), []).append(at)
    entries = [
        Entry(at[0], n, LANES.get(kind, "other"), _entry(kind, text, len(at))) for (n, kind, text), at in groups.items()
    ]
    return Timeline(entries[:MOST_EVENTS], max(len(entries) - MOST_EVENTS, 0))


def _entry(kind: str, text: str, count: int) -> str:
    times = f" ({count} times)" if count > 1 else ""
    return f"{kind}{': ' if text else ''}{text}{times}"


def _words(kind: str, detail: Mapping[str, Any], learnt: str) -> str:
    if kind == "surrogate" and "fault" in detail:
        return f"{detail.get('metric')}: {detail.get('model')} could not learn: {detail['fault']}"
    if kind == "surrogate":
        scores = detail.get("scores", {}).get(detail.get("chosen"), {})
        rank = scores.get("rank_correlation")
        words = "" if rank is None else f", rank correlation {rank:.2f} in cross-validation"
        return f"{detail.get('metric')}: {detail.get('chosen')} chosen of {detail.get('n', '?')} {learnt}{words}"
    if kind == "refinement":
        trust = "trusted" if detail.get("trusted") else "not trusted: more rise"
        return f"fidelity {detail.get('rung')} ranks {detail.get('next')} by tau {shown(detail.get('tau'))}, {trust}"
    if kind == "retried":
        return f"evaluation {detail.get('evaluation')}, attempt {detail.get('attempts')}"
    if kind == "code changed":
        return f"{'; '.join(detail.get('changed', []))}, as accepted"
    if kind == "profile reused":
        return ""
    if kind == "measured again":
        values = ", ".join(f"{name} = {shown(value)}" for name, value in detail.get("metrics", {}).items())
        return f"of evaluations {', '.join(map(str, detail.get('evaluations', [])))}: {values}"
    if kind in get_args(State):
        return str(detail.get("reason", "")) or (f"goes on after {detail['n_asked']}" if detail.get("n_asked") else "")
    return ", ".join(f"{key} = {value}" for key, value in detail.items())

"""The decisions and incidents of a run, in words and in order."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.text import shown

MOST_EVENTS = 1000
LANES = {
    "surrogate": "model choices",
    "refinement": "promotions",
    "promotion": "promotions",
    "retried": "retries",
    "profile reused": "reuse",
    "warm start": "reuse",
    "weights dropped": "reuse",
    "new": "state",
    "running": "state",
    "stopped": "state",
    "finished": "state",
    "failed": "state",
    "taken over": "state",
    "job changed": "state",
}


def timeline(
    events: Sequence[tuple[float, str, Mapping[str, Any]]],
    evaluations: Sequence[Evaluation],
) -> dict[str, Any]:
    """Return the decisions and incidents of a run.

    Promotions are those of the evaluations that rose; what happened alike to many evaluations at one point of the
    run is one entry.

    Args:
        events: The ledger's events: time, kind, detail.
        evaluations: The run's evaluations.

    Returns:
        ``entries``, in order, each with ``at`` (Unix time), ``n`` (number of evaluations asked by then), ``lane`` and
        ``text``; ``n_left_out``, the number of those that exceed ``MOST_EVENTS``, of which the latest are left out.
    """
    times = np.sort([e.asked_at for e in evaluations if e.asked_at])
    incidents = [(at, kind, LANES.get(kind, "other"), _words(kind, detail)) for at, kind, detail in events]
    incidents += [
        (e.asked_at, "promotion", LANES["promotion"], f"to fidelity {e.fidelity}")
        for e in evaluations
        if e.continues is not None and not e.replicate
    ]
    groups: dict[tuple[int, str, str], dict[str, Any]] = {}
    for at, kind, lane, text in sorted(incidents, key=lambda incident: incident[0]):
        n = int(np.searchsorted(times, at, side="right"))
        group = groups.setdefault((n, kind, text), {"at": at, "n": n, "lane": lane, "kind": kind, "text": text, "k": 0})
        group["k"] += 1
    entries = [
        {key: group[key] for key in ("at", "n", "lane")} | {"text": _entry(group["kind"], group["text"], group["k"])}
        for group in groups.values()
    ]
    return {"entries": entries[:MOST_EVENTS], "n_left_out": max(len(entries) - MOST_EVENTS, 0)}


def _entry(kind: str, text: str, count: int) -> str:
    times = f" ({count} times)" if count > 1 else ""
    return f"{kind}{': ' if text else ''}{text}{times}"


def _words(kind: str, detail: Mapping[str, Any]) -> str:
    if kind == "surrogate" and "fault" in detail:
        return f"{detail.get('metric')}: {detail.get('model')} could not learn: {detail['fault']}"
    if kind == "surrogate":
        scores = detail.get("scores", {}).get(detail.get("chosen"), {})
        rank = scores.get("rank_correlation")
        words = "" if rank is None else f", rank correlation {rank:.2f} in cross-validation"
        return f"{detail.get('metric')}: {detail.get('chosen')} chosen of {detail.get('n', '?')} evaluations{words}"
    if kind == "refinement":
        trust = "trusted" if detail.get("trusted") else "not trusted: more rise"
        return f"fidelity {detail.get('rung')} ranks {detail.get('next')} by tau {shown(detail.get('tau'))}, {trust}"
    if kind == "retried":
        return f"evaluation {detail.get('evaluation')}, attempt {detail.get('attempts')}"
    if kind == "profile reused":
        return ""
    if kind in ("running", "finished", "stopped", "failed"):
        return str(detail.get("reason", "")) or (f"goes on after {detail['n_asked']}" if detail.get("n_asked") else "")
    return ", ".join(f"{key} = {value}" for key, value in detail.items())

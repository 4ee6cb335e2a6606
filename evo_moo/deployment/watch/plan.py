"""What is watched of a model: limits of the user, promises of the card, and otherwise that nothing changes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evo_moo.analysis.choice import SIGNS, parse_limits
from evo_moo.deployment.card import ModelCard, Promise
from evo_moo.deployment.verify import SLACK
from evo_moo.deployment.watch.columns import output_names
from evo_moo.deployment.watch.drift import DriftStream
from evo_moo.deployment.watch.limits import CalibrationStream, PairStream, ShareStream
from evo_moo.deployment.watch.streams import GroupStreams, PairStreams, Stream, Terms

Array = npt.NDArray[Any]
QUANTILES = {"latency_ms": 0.5, "latency_p50_ms": 0.5, "latency_p95_ms": 0.95, "latency_p99_ms": 0.99}
_BETTING = "bets on the share of events beyond the limit"
_RANKS = "bets on the ranks among all rows before"
_YES_OR_NO = (0.5,)


@dataclass(frozen=True)
class Watched:
    """One thing that is watched.

    Attributes:
        name: The metric, or what may drift.
        source: Name of the columns.
        make: Makes the stream.
        promised: The limit, or what must not change, in words.
        test: How it is tested, in words.
        by: Where the limit is from.
        bound: The limit as a number; None of what drifts.
        prepare: What makes the stream's values of the columns.
        of_bad: Whether the stream counts bad events of a share that is good.
    """

    name: str
    source: str
    make: Callable[[Terms], Stream]
    promised: str
    test: str
    by: str
    bound: float | None = None
    prepare: Callable[[Array], Array] = lambda values: values
    of_bad: bool = False


def plan(card: ModelCard, limits: Sequence[str]) -> tuple[list[Watched], list[str]]:
    """Return what is watched of a model, and the faults of the limits."""
    given, faults = parse_limits(limits)
    known = _relations(card)
    for name, relations in given.items():
        fitting = known.get(name)
        if fitting is None:
            faults.append(f"`--limit` must be on one of {', '.join(known)}, but is on {name!r}")
        elif list(relations) != [fitting]:
            faults.append(f"`--limit` on {name} must be {name} {SIGNS[fitting]} NUMBER, but is not")
        elif not 0 <= relations[fitting] <= (np.inf if name in QUANTILES or name == "absolute_error_p50" else 1):
            faults.append(f"`--limit` on {name} must be a number that it can be, but is {relations[fitting]:g}")
    bounds = {name: ("--limit", value) for name, table in given.items() for value in table.values()}
    bounds = {**_promises(card), **bounds}
    if "latency_p50_ms" in bounds and "latency_ms" not in given:
        bounds.pop("latency_ms", None)
    return [] if faults else [*_limits(card, bounds), *_drifts(card, bounds)], faults


def _relations(card: ModelCard) -> dict[str, str]:
    """Return the metrics that may have a limit, to how it is set."""
    known = dict.fromkeys(QUANTILES, "at_most") | {"failed_share": "at_most"}
    if card.outputs == "values":
        return {"absolute_error_p50": "at_most"} | known
    known |= {"accuracy_gap": "at_most", "calibration_error": "at_most"}
    known |= {"demographic_parity_difference": "at_most"} if card.outputs == "score" else {}
    return {"accuracy": "at_least", "worst_group_accuracy": "at_least"} | known


def _promises(card: ModelCard) -> dict[str, tuple[str, float]]:
    """Return what the card promises: of a quality the worse end of its interval, of a latency the slack of `verify`."""
    known, bounds = _relations(card), {}
    for name, promise in card.promises.items():
        if name in known:
            bounds[name] = ("the card's interval", promise.low if known[name] == "at_least" else promise.high)
    latency: Promise | None = next(iter(card.serving.values()), {}).get("latency_ms")
    if latency is not None:
        bounds["latency_ms"] = (f"the card, and {SLACK:.0%} more", latency.high * (1 + SLACK))
    return bounds


def _limits(card: ModelCard, bounds: Mapping[str, tuple[str, float]]) -> list[Watched]:
    watched = []
    relations = _relations(card)
    for name, (by, bound) in bounds.items():
        promised = f"{name} {SIGNS[relations[name]]} {bound:.4g}"
        if name in QUANTILES:
            watched.append(_quantile(name, "latency", QUANTILES[name], bound, by))
        elif name == "absolute_error_p50":
            watched.append(_quantile(name, "error", 0.5, bound, by))
        elif name == "failed_share":
            watched.append(Watched(name, "failed", _share(bound), promised, _BETTING, by, bound))
        elif name == "accuracy":
            watched.append(Watched(name, "wrong", _share(1 - bound), promised, _BETTING, by, bound, of_bad=True))
        elif name == "worst_group_accuracy":
            make = _by_group(lambda terms, share, bad=1 - bound: ShareStream(terms, bad, share))
            watched.append(Watched(name, "wrong", make, promised, _BETTING, by, bound, of_bad=True))
        elif name == "calibration_error":
            words = "bets on the signed error in ten bins of confidence"
            make = _calibration(bound)
            watched.append(Watched(name, "calibration", make, promised, words, by, bound))
        else:
            is_gap = name == "accuracy_gap"
            source, prepare = ("wrong", _minus) if is_gap else ("positive", _same)
            test = "bets on the gap between two groups, in blocks"
            watched.append(Watched(name, source, _pairs(bound), promised, test, by, bound, prepare))
    return watched


def _drifts(card: ModelCard, bounds: Mapping[str, Any]) -> list[Watched]:
    """Return what must not change: what has no limit, each group by itself, outputs and inputs."""
    past = "what came before"
    drifts = []
    if card.outputs == "values":
        drifts.append(Watched("absolute_error", "error", _drift(upwards_only=True), "not above before", _RANKS, past))
    else:
        if "accuracy" not in bounds:
            drifts.append(
                Watched(
                    "accuracy",
                    "wrong",
                    _drift(upwards_only=True, cuts=_YES_OR_NO),
                    "not below before",
                    _RANKS,
                    past,
                    of_bad=True,
                )
            )
        make = _by_group(lambda terms, share: DriftStream(terms, (), True, share, _YES_OR_NO))
        words = "not below before in any group"
        drifts.append(Watched("group_accuracy", "wrong", make, words, _RANKS, past, of_bad=True))
        if "calibration_error" not in bounds:
            drifts.append(Watched("calibration", "calibration", _drift(), "as before", _RANKS, past, prepare=_second))
    if card.outputs == "score":
        make = _by_group(lambda terms, share: DriftStream(terms, share=share, cuts=_YES_OR_NO))
        drifts.append(Watched("group_positive_share", "positive", make, "as before in each group", _RANKS, past))
    names = output_names(card)
    drifts.append(Watched("outputs", "outputs", _drift(names=names), "distributed as before", _RANKS, past))
    drifts.append(Watched("inputs", "inputs", _drift(), "distributed as before", _RANKS, past))
    return drifts


def _same(values: Array) -> Array:
    return values


def _minus(values: Array) -> Array:
    return 1 - values


def _second(values: Array) -> Array:
    return values[:, 1:]


def _quantile(name: str, source: str, q: float, bound: float, by: str) -> Watched:
    promised = f"{name} <= {bound:.4g}, so at most {1 - q:.2g} of the events are beyond"
    return Watched(name, source, _share(1 - q), promised, _BETTING, by, bound, lambda v: (v > bound).astype(float))


def _share(limit: float) -> Callable[[Terms], Stream]:
    return lambda terms: ShareStream(terms, limit)


def _calibration(limit: float) -> Callable[[Terms], Stream]:
    return lambda terms: CalibrationStream(terms, limit)


def _pairs(limit: float) -> Callable[[Terms], Stream]:
    return lambda terms: PairStreams(lambda share: PairStream(terms, limit, share))


def _drift(**options: Any) -> Callable[[Terms], Stream]:
    return lambda terms: DriftStream(terms, **options)


def _by_group(make: Callable[..., Any]) -> Callable[[Terms], Stream]:
    return lambda terms: GroupStreams(lambda share: make(terms, share))

"""Rules that rank the members of a front."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from evo_moo.errors import NoChoiceError
from evo_moo.pareto import Array
from evo_moo.problem.goals import Goals, Limits
from evo_moo.problem.metrics import is_finite_number

Method = Literal["weighted-sum", "tchebycheff", "asf", "pseudo-weights"]
DIGITS = 12
"""Scores that agree in so many decimals are ties."""
FEWEST_FOR_A_KNEE = 3


class Ranking(NamedTuple):
    """Rows of a front, the best first; their scores, less being better, if the rule has any; and why the first is."""

    rows: list[int]
    scores: list[float] | None
    why: str


@dataclass(frozen=True)
class Rule:
    """A rule as it is asked for; ``choice.pick`` explains the parts."""

    weights: Mapping[str, float] | None = None
    method: Method | None = None
    aim: Mapping[str, float] | None = None
    order: Sequence[str] = ()
    tolerances: Mapping[str, float] | None = None
    knee: bool = False

    def faults(self, goals: Goals) -> list[str]:
        """List all that is wrong, each fault beginning with its key."""
        names = [objective.metric for objective in goals.objectives]
        weights, aim, order, method = self.weights or {}, self.aim or {}, self.order, self.method
        rules = {"aim": bool(aim), "order": bool(order), "knee": self.knee, "weights": bool(weights) and not aim}
        asked = [name for name, there in rules.items() if there]
        faults = [f"there must be one rule, but there are {len(asked)}: {', '.join(asked)}"] if len(asked) > 1 else []
        faults += _table_faults("aim", aim, names, "objectives")
        faults += _table_faults("order", dict.fromkeys(order, 0.0), names, "objectives")
        faults += _table_faults("tolerances", self.tolerances or {}, order, "objectives of `order`", least=0.0)
        fitting, what = (list(aim), "objectives of the aim") if aim else (names, "objectives")
        in_weights = _table_faults("weights", weights, fitting, what, least=0.0)
        if self.weights is not None and not in_weights and not sum(weights.values()) > 0:
            in_weights = [f"`weights` must be at least 0 and not all 0, but are {dict(weights)}"]
        if len(set(order)) < len(order):
            faults.append(f"`order` must name each objective once, but is {', '.join(order)}")
        if method is not None and method not in get_args(Method):
            faults.append(f"`method` must be one of {', '.join(get_args(Method))}, but is {method!r}")
        elif method is not None and (order or self.knee or (aim and method != "asf")):
            faults.append(f"`method` must go with weights, or be asf with an aim, but is {method!r}")
        return faults + in_weights

    def ranker(self, goals: Goals, limits: Limits) -> tuple[str, Callable[[Array], Ranking]]:
        """Return the rule in words, and how it ranks the rows of ``(n, n_obj)`` objectives, minimised.

        Args:
            goals: Objectives.
            limits: Without a rule, objectives that have a limit here count nothing, unless all have.
        """
        names = [objective.metric for objective in goals.objectives]
        if self.knee:
            return "a knee of the front", _rank_by_knee
        if self.order:
            order, widths = self.order, dict(self.tolerances or {})
            words = ", then ".join(f"{n} to within {widths[n]:g}" if n in widths else n for n in order)
            return f"the best by {words}", lambda F: _rank_by_order(F, [names.index(n) for n in order], order, widths)
        if self.aim:
            aim, shares = self.aim, {name: (self.weights or {}).get(name, float(not self.weights)) for name in self.aim}
            words = ", ".join(f"{name} {value:g}" for name, value in aim.items())
            return f"nearest to, or furthest beyond, the aim {words}", lambda F: _rank_by_aim(F, goals, aim, shares)
        weights = self.weights or dict.fromkeys([name for name in names if name not in limits] or names, 1.0)
        given = np.array([weights.get(name, 0.0) for name in names])
        shares_ = given / given.max() / (given / given.max()).sum()
        method = self.method or "tchebycheff"
        said = [f"{name} {share:.3g}" for name, share in zip(names, shares_, strict=True) if share]
        is_plain = len(said) == 1 and method != "pseudo-weights"
        words = f"the best {said[0].split()[0]}" if is_plain else f"{method} with weights {', '.join(said)}"
        return words, lambda F: _rank_by_weights(F, shares_, method)


def _table_faults(
    key: str, table: Mapping[str, float], fitting: Sequence[str], what: str, least: float = -np.inf
) -> list[str]:
    faults = []
    for name, value in table.items():
        if name not in fitting:
            known = ", ".join(fitting) or "of which there are none"
            faults.append(f"`{key}` must name {what}, {known}, but names {name!r}")
        elif not is_finite_number(value) or value < least:
            rule = "finite numbers" + (f" of at least {least:g}" if least > -np.inf else "")
            faults.append(f"`{key}` must hold {rule}, but {name} is {value!r}")
    return faults


def _scaled(F: Array) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Return the objectives scaled to 0 and 1, and which of them differ among the rows at all."""
    from evo_moo.scalarisation import normalised

    return normalised(F), np.ptp(F, axis=0) > 0


def _ranked(scores: Array, N: Array) -> list[int]:
    """Sort by score, then by the sum of losses, then by row."""
    return [int(i) for i in np.lexsort((N.sum(axis=1).round(DIGITS), scores.round(DIGITS)))]


def _rank_by_weights(F: Array, shares: Array, method: Method) -> Ranking:
    from evo_moo.scalarisation import scalarised

    N, live = _scaled(F)
    used = np.flatnonzero(live & (shares > 0))
    if not len(used):
        scores = np.zeros(len(F))
    elif method == "pseudo-weights":
        gains = 1 - N[:, live]  # pseudo-weights are a member's shares of them (Deb 2001, section 2.6)
        scores = np.abs(gains / gains.sum(axis=1, keepdims=True) - shares[live] / shares[live].sum()).sum(axis=1)
    else:
        unit = 1.0 if method == "weighted-sum" else shares.max()  # alike for all: a loss itself, or their mean
        scores = scalarised(N[:, used], shares[None, used] / unit, method)[:, 0]
    rows = _ranked(scores, N)
    what = {
        "weighted-sum": "the weighted mean of its losses is the least",
        "pseudo-weights": "its pseudo-weights are the nearest to the weights",
    }.get(method, "the largest of its weighted losses is the least")
    what = "its loss there is the least" if len(used) == 1 and method != "pseudo-weights" else what
    return Ranking(rows, scores[rows].tolist(), f"{what}: {_comparison(scores[rows])}")


def _rank_by_aim(F: Array, goals: Goals, aim: Mapping[str, float], weights: Mapping[str, float]) -> Ranking:
    from evo_moo.scalarisation import normalised, scalarised

    names = [objective.metric for objective in goals.objectives]
    N, live = _scaled(F)
    point = F[0].copy()
    for k, objective in enumerate(goals.objectives):
        if objective.metric in aim:
            point[k] = objective.sign * aim[objective.metric]
    columns = [k for k, name in enumerate(names) if name in aim and weights[name] > 0 and live[k]]
    off = N - normalised(point[None], among=F)
    shares = np.array([[weights[names[k]] for k in columns]])
    scores = scalarised(off[:, columns], shares / shares.max(), "asf")[:, 0] if columns else np.zeros(len(F))
    rows = _ranked(scores, N)
    missed = [k for k, name in enumerate(names) if name in aim and F[rows[0], k] > point[k]]
    misses = [f"{names[k]} misses its aim by {F[rows[0], k] - point[k]:.4g}" for k in missed]
    words = "it misses the aim by the least" if misses else "it reaches every aim, and goes furthest beyond"
    return Ranking(rows, scores[rows].tolist(), "; ".join([f"{words}: {_comparison(scores[rows])}", *misses]))


def _comparison(scores: Array) -> str:
    return f"{scores[0]:.4g}" + (f" against {scores[1]:.4g}" if len(scores) > 1 else "")


def _rank_by_order(F: Array, columns: Sequence[int], names: Sequence[str], tolerances: Mapping[str, float]) -> Ranking:
    N, _ = _scaled(F)
    left, rows, steps = np.arange(len(F)), list[int](), list[str]()
    while len(left):
        among = left
        for k, name in zip(columns, names, strict=True):
            values = F[among, k]
            among = among[values <= values.min() + tolerances.get(name, 0.0)]
            if not rows:
                steps.append(f"{len(among)} {'has' if len(among) == 1 else 'have'} the best {name}")
        first = among[_ranked(np.zeros(len(among)), N[among])[0]]
        rows.append(int(first))
        left = left[left != first]
    close = " (to within the tolerances)" if tolerances else ""
    return Ranking(rows, None, f"of {len(F)}, {', of these '.join(steps)}{close}")


def _rank_by_knee(F: Array) -> Ranking:
    from evo_moo.scalarisation import scalarised

    N, live = _scaled(F)
    firsts: npt.NDArray[np.int64]
    distinct, firsts = np.unique(N[:, live], axis=0, return_index=True)
    knees = [firsts[i] for i in (_high_tradeoff(distinct) if len(distinct) >= FEWEST_FOR_A_KNEE else [])]
    if not knees:
        way_out = "give weights, an order or an aim"
        raise NoChoiceError(f"a knee must stand out by its trade-off, but none of {len(F)} candidates does; {way_out}")
    losses = scalarised(N[:, live], np.ones((1, int(live.sum()))), "tchebycheff")[:, 0]
    is_knee = np.isin(np.arange(len(F)), knees)
    rows = [int(i) for i in np.lexsort((N.sum(axis=1).round(DIGITS), losses.round(DIGITS), ~is_knee))]
    which = "it is the only knee" if len(knees) == 1 else f"of {len(knees)} knees its largest loss is the least"
    return Ranking(rows, None, f"{which}: what a neighbour gains costs more than elsewhere")


def _high_tradeoff(N: Array) -> list[int]:
    """Return the high trade-off points of distinct points (Rachmawati and Srinivasan 2009), as pymoo finds them."""
    with warnings.catch_warnings():  # pymoo silences every warning of the process
        from pymoo.mcdm.high_tradeoff import HighTradeoffPoints

        rows = HighTradeoffPoints().do(N)
    return [] if rows is None else [int(i) for i in rows]

"""What a choice after a training gains and costs: each value against the first point of the same training."""

import itertools
import statistics
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from evo_moo.problem.metrics import Metrics
from evo_moo.problem.points import Key, key_of
from evo_moo.storage.evaluation_row import Evaluation, PointRow
from evo_moo.text import digits_apart, shown_option
from evo_moo.values import is_number, json_key

MOST_VALUES, N_RANGES = 12, 5
"""Numbers of which more values were offered stand in so many ranges of about equally many points."""


@dataclass(frozen=True)
class Change:
    """How much of a metric a choice changes.

    Attributes:
        median: Median over the trainings of the metric's change.
        share: The same as a share of the metric at the first point; None where that is 0.
    """

    median: float
    share: float | None


@dataclass(frozen=True)
class ChoiceEffect:
    """A value of a post-training variable, beside the first points of the trainings.

    Attributes:
        variable: Name of the variable.
        value: The value, or the range of values, in words.
        n_trainings: Number of trainings that offer a point with it, and whose first point has another value.
        n_first: Number of trainings whose first point has it.
        n_on_front: Number of members of the front that have it.
        n_not_made: Number of points with it that could not be made.
        changes: Metric to its change from the first point to the one with this value that is otherwise nearest to it.
    """

    variable: str
    value: str
    n_trainings: int
    n_first: int
    n_on_front: int
    n_not_made: int
    changes: dict[str, Change]


def change_words(change: Change | None) -> str:
    """Write a change as ``-0.75 (-75 %)``; nothing of None."""
    if change is None:
        return ""
    return f"{change.median:+.3g}" + ("" if change.share is None else f" ({100 * change.share:+.3g} %)")


class _Offered(NamedTuple):
    """A point, with its choices as values and in words."""

    row: PointRow
    choices: dict[str, Any]
    words: dict[str, str]


def choice_effects(evaluations: Iterable[Evaluation], front: Collection[Key]) -> list[ChoiceEffect]:
    """Return what each value of each post-training variable gained and cost.

    Args:
        evaluations: The evaluations of a run, each with its points.
        front: Ids of the members of the front.
    """
    rows = [[(point, point.choices) for point in e.points] for e in evaluations if e.status == "ok" and e.points]
    values: dict[str, list[Any]] = {}
    for _, choices in itertools.chain.from_iterable(rows):
        for name, value in choices.items():
            values.setdefault(name, []).append(value)
    known = {name: _words_of(of_name) for name, of_name in values.items()}
    trainings = [
        [
            _Offered(row, choices, {name: known[name][0](value) for name, value in choices.items()})
            for row, choices in each
        ]
        for each in rows
    ]
    return [_effect(name, word, trainings, front) for name, (_, words) in known.items() for word in words]


def _effect(name: str, word: str, trainings: Sequence[Sequence[_Offered]], front: Collection[Key]) -> ChoiceEffect:
    keys, n_first, n_not_made, pairs = list[Key](), 0, 0, list[tuple[Metrics, Metrics]]()
    for points in trainings:
        first, having = points[0], [point for point in points if point.words.get(name) == word]
        made = [point for point in having if not point.row.fault]
        keys += [key_of(point.row.evaluation, point.row.point) for point in made]
        n_first += first in having
        n_not_made += len(having) - len(made)
        if made and first not in having and not first.row.fault:
            nearest = min(made, key=lambda point: _n_apart(first.choices, point.choices))
            pairs.append((first.row.metrics, nearest.row.metrics))
    n_on_front = sum(key in front for key in keys)
    return ChoiceEffect(name, word, len(pairs), n_first, n_on_front, n_not_made, _changes(pairs))


def _changes(pairs: Sequence[tuple[Metrics, Metrics]]) -> dict[str, Change]:
    changes = {}
    for metric in dict.fromkeys(metric for _, metrics in pairs for metric in metrics):
        both = [(one[metric], two[metric]) for one, two in pairs if metric in one and metric in two]
        shares = [(two - one) / abs(one) for one, two in both if one]
        if both:
            median = statistics.median(two - one for one, two in both)
            changes[metric] = Change(median, statistics.median(shares) if shares else None)
    return changes


def _n_apart(one: Mapping[str, Any], other: Mapping[str, Any]) -> int:
    """Count the choices in which two points differ."""
    return sum(
        name not in one or name not in other or json_key(one[name]) != json_key(other[name])
        for name in {**one, **other}
    )


def _words_of(values: Sequence[Any]) -> tuple[Callable[[Any], str], list[str]]:
    """Return what names a value, or the range that it lies in, and these words in order."""
    if not all(map(is_number, values)):
        return shown_option, list(dict.fromkeys(map(shown_option, values)))
    distinct = sorted(set(values))
    if len(distinct) <= MOST_VALUES:
        digits = digits_apart(distinct)
        return (lambda value: shown_option(value, digits)), [shown_option(value, digits) for value in distinct]
    edges = np.unique(np.quantile(values, np.linspace(0, 1, N_RANGES + 1))).tolist()
    words = [f"{shown_option(low)} to {shown_option(high)}" for low, high in itertools.pairwise(edges)]
    return (lambda value: words[min(int(np.searchsorted(edges[1:], value)), len(words) - 1)]), words

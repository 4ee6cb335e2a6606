"""What one training offers: points, each with the choices that were made after the training."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from evo_moo.errors import MetricError, SpaceError, UsageError
from evo_moo.problem.contexts import NO_CONTEXTS, ByContext
from evo_moo.problem.metrics import Metrics, Returned, mean_metrics, read_returned
from evo_moo.space.search_space import SearchSpace
from evo_moo.values import json_key, value_text

Key = int | str
"""Names what can be on a front: the id of an evaluation, ``12``, or of one of its points, ``"12.3"``."""


class Point(NamedTuple):
    """One model that a training offers, or why it could not be made.

    Attributes:
        choices: Names of post-training variables to values.
        metrics: Names of metrics to numbers; empty where there is a fault.
        fault: Why this point could not be made, in one line; the other points of the training stay.
    """

    choices: Mapping[str, Any]
    metrics: Mapping[str, Any] = {}
    fault: str = ""


Offered = dict[int, Point]
"""What a training offers: numbers to points, which count from 1; of a problem without points 0 to the training."""


class OfferedPoint(NamedTuple):
    """A point as it was read: its choices fit the space, its metrics may still lack some."""

    choices: dict[str, Any]
    returned: Returned
    fault: str


def key_of(evaluation_id: int, point: int | None) -> Key:
    """Return the key of an evaluation's point; without a point, None or 0, it is the id."""
    return f"{evaluation_id}.{point}" if point else evaluation_id


def evaluation_of(key: Key) -> int:
    """Return the id of the evaluation that a key names, or that offers the point that it names."""
    return key if isinstance(key, int) else int(key.partition(".")[0])


def parts_of_key(key: Key) -> dict[str, Key]:
    """Return a key as columns of a table; of a point with its parts, since a table may take 12.10 for 12.1."""
    evaluation, point = place_of_key(key)
    return {"id": key} | ({"evaluation": evaluation, "point": point} if point else {})


def place_of_key(key: Key) -> tuple[int, int]:
    """Return the evaluation's id and the point's number, 0 without one: keys in the order of asking."""
    return (key, 0) if isinstance(key, int) else (evaluation_of(key), int(key.partition(".")[2]))


def key_in_words(key: Key) -> str:
    """Name what a key names, as ``evaluation 12`` or ``point 12.3``."""
    return f"{'evaluation' if isinstance(key, int) else 'point'} {key}"


def read_key(text: str) -> Key:
    """Read a key as a command gets it.

    Raises:
        UsageError: It is none.
    """
    if re.fullmatch(r"\d+(\.\d+)?", text) is None:
        raise UsageError(f"an id must be that of an evaluation, as 12, or of a point of one, as 12.3, but is {text!r}")
    return text if "." in text else int(text)


def point_in_words(number: int, choices: Mapping[str, Any]) -> str:
    """Name a point by its number and its choices, as in a message."""
    shown = ", ".join(f"{name}={value_text(value)}" for name, value in choices.items())
    return f"point {number} ({shown})" if shown else f"point {number}"


def read_points(
    returned: Any, config: Mapping[str, Any], space: SearchSpace, by_context: ByContext = NO_CONTEXTS
) -> list[OfferedPoint]:
    """Read what ``evaluate`` of a problem with post-training variables returned.

    Args:
        returned: A list of ``Point``.
        config: The configuration that was evaluated.
        space: The space of its variables and the post-training ones.
        by_context: Which metrics may have a value for each context.

    Raises:
        MetricError: It is no such list, it is empty, or choices are wrong or given twice; all faults are named.
    """
    if isinstance(returned, str | Mapping) or not isinstance(returned, Sequence):
        shown = f"{type(returned).__name__} {str(returned)[:80]!r}"
        raise MetricError(f"an evaluation must return a list of points, but it returned {shown}")
    if not returned:
        raise MetricError("an evaluation must return at least one point, but its list is empty")
    points, faults, seen = list[OfferedPoint](), list[str](), dict[str, int]()
    for number, point in enumerate(returned, 1):
        try:
            read = _read_point(point, config, space, by_context)
        except (MetricError, SpaceError) as error:
            choices = point.choices if isinstance(point, Point) and isinstance(point.choices, Mapping) else {}
            faults.append(f"{point_in_words(number, choices)}: {error}")
            continue
        if (first := seen.setdefault(json_key(read.choices), number)) != number:
            rule = "must have other choices than every other point"
            faults.append(f"{point_in_words(number, read.choices)} {rule}, but has those of point {first}")
        points.append(read)
    if faults:
        raise MetricError("; ".join(faults))
    return points


def _read_point(point: Any, config: Mapping[str, Any], space: SearchSpace, by_context: ByContext) -> OfferedPoint:
    if not isinstance(point, Point) or not isinstance(point.choices, Mapping):
        raise MetricError(f"must be a Point(choices, metrics), but is {type(point).__name__} {str(point)[:80]!r}")
    if twice := sorted(point.choices.keys() & config.keys()):
        raise MetricError(f"choices must be of post-training variables, but {', '.join(twice)} is of the training")
    X = space.encode([{**config, **point.choices}])
    choices = {name: value for name, value in space.decode(X)[0].items() if name not in config}
    returned = read_returned({} if point.fault else point.metrics, by_context)
    return OfferedPoint(choices, returned, " ".join(point.fault.split()))


def numbered(points: Sequence[Point], metrics: Metrics) -> Offered:
    """Return what a training offers: points from a list, or without them the training itself."""
    return dict(enumerate(points, 1)) if points else {0: Point({}, metrics)}


def made(offered: Offered) -> list[Metrics]:
    """Return the metrics of each point that could be made."""
    return [dict(point.metrics) for point in offered.values() if not point.fault]


def mean_offer(repetitions: Sequence[Offered]) -> Offered:
    """Return the points that all repetitions of a training could make, with the means of their metrics."""
    tables = [{json_key(p.choices): p for p in offered.values() if not p.fault} for offered in repetitions]
    keys = {number: json_key(point.choices) for number, point in repetitions[0].items()}
    return {
        number: tables[0][key]._replace(metrics=mean_metrics([dict(table[key].metrics) for table in tables]))
        for number, key in keys.items()
        if all(key in table for table in tables)
    }


def in_pairs(one: Offered, other: Offered) -> list[tuple[Metrics, Metrics]]:
    """Return the metrics of the points of equal choices that both could make."""
    table = {json_key(point.choices): dict(point.metrics) for point in other.values() if not point.fault}
    points = [(json_key(point.choices), dict(point.metrics)) for point in one.values() if not point.fault]
    return [(metrics, table[key]) for key, metrics in points if key in table]


def to_state(offered: Offered | None) -> Any:
    """Return an offer as a saved state holds it: the metrics of a training without points as they are."""
    if offered is None or 0 in offered:
        return offered and dict(offered[0].metrics)
    return [list(point) for point in offered.values()]


def of_state(saved: Any) -> Offered | None:
    """Read what ``to_state`` returned."""
    if saved is None or isinstance(saved, Mapping):
        return None if saved is None else {0: Point({}, saved)}
    return dict(enumerate((Point(*point) for point in saved), 1))

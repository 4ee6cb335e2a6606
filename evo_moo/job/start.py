"""What a search begins with: configurations to evaluate first, and what was measured elsewhere.

An entry of ``search.start`` is a configuration, ``{ lr = 0.01 }``, of which values may be missing, or one that is told
with its metrics and not evaluated: ``{ configuration = { lr = 0.01 }, metrics = { accuracy = 0.9 } }``; a metric that
differs between contexts has a table, ``latency_ms = { cpu = 1, phone = 3 }``, or columns, ``latency_ms@cpu``. A table,
``search.known``, has many of these: a column for each variable and metric, with the names as they are, or as
``evo-moo export --to csv`` writes them, ``config.lr`` and ``metrics.accuracy``; of such an export only what ended well
is read. Of a problem with post-training variables each entry, or row, is a point, with the choices in its
configuration; those of one training go together.
"""

import contextlib
import csv
import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from evo_moo.errors import EvoMooError, MetricError
from evo_moo.problem.contexts import NO_CONTEXTS, ByContext
from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metrics, checked_metrics, mean_metrics
from evo_moo.problem.points import Point
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.space.completion import completed
from evo_moo.space.search_space import Configuration, SearchSpace
from evo_moo.values import METRIC, NONE, OPTION, json_key, value_text

_KEYS = {"configuration", "metrics"}
MOST_FAULTS = 20


class Told(NamedTuple):
    """A configuration that was measured elsewhere, and its metrics, or the points that it offers."""

    configuration: Configuration
    outcome: Metrics | list[Point]


def is_told(entry: Mapping[str, Any], space: SearchSpace) -> bool:
    """Return whether an entry of a start has metrics; in a space with variables of these very names none has."""
    return set(entry) == _KEYS and not set(space.names) >= _KEYS


def asked_first(start: Sequence[dict[str, Any]], space: SearchSpace) -> list[dict[str, Any]]:
    """Return the configurations of a start that are to be evaluated."""
    return [entry for entry in start if not is_told(entry, space)]


def told(
    start: Sequence[Mapping[str, Any]], space: SearchSpace, goals: Goals, point_space: SearchSpace | None = None
) -> list[Told]:
    """Return what a start tells with metrics; a configuration that is there more often has the means.

    Args:
        start: Its entries.
        space: The space of trainings.
        goals: Objectives and limits.
        point_space: The space of the points that trainings offer; by default they offer none.

    Raises:
        EvoMooError: A configuration does not fit the space, or a goal has no number.
    """
    joint = space if point_space is None else point_space
    rows: dict[str, tuple[Configuration, dict[str, tuple[Configuration, list[Metrics]]]]] = {}
    for entry in (entry for entry in start if is_told(entry, space)):
        (configuration,) = joint.decode(joint.encode([entry["configuration"]]))
        metrics = checked_metrics(entry["metrics"])
        if missing := [name for name in goals.metric_names if name not in metrics]:
            raise MetricError(f"metrics must hold a number for every goal, but lack {', '.join(missing)}")
        choices = {name: configuration.pop(name) for name in [*configuration] if name not in space.variables}
        of_training = rows.setdefault(json_key(configuration), (configuration, {}))[1]
        of_training.setdefault(json_key(choices), (choices, []))[1].append(metrics)
    means = [
        (configuration, [Point(choices, mean_metrics(metrics)) for choices, metrics in points.values()])
        for configuration, points in rows.values()
    ]
    return [Told(c, dict(points[0].metrics) if joint is space else points) for c, points in means]


def complete_start(
    start: Sequence[dict[str, Any]],
    space: SearchSpace,
    goals: Goals,
    seed: int,
    point_space: SearchSpace | None = None,
    by_context: ByContext = NO_CONTEXTS,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return a start whose configurations have all their values, and every fault, each beginning with ``[i]``.

    Args:
        start: Its entries.
        space: The search space.
        goals: Objectives and limits.
        seed: Decides what is drawn for values that a configuration to evaluate lacks.
        point_space: See ``told``.
        by_context: Which metrics may be told with a value for each context.
    """
    whole, faults = [], []
    for i, entry in enumerate(start):
        try:
            if is_told(entry, space):
                if isinstance(entry["metrics"], Mapping):
                    entry = {**entry, "metrics": dict(by_context.spread(entry["metrics"]))}
                told([entry], space, goals, point_space)
                whole.append(entry)
            else:
                whole.append(completed(space, entry, seed))
        except EvoMooError as error:
            faults.append(f"[{i}]: {error}")
    return whole, faults


def read_known(path: Path, problem: SearchProblem, goals: Goals) -> tuple[list[dict[str, Any]], list[str]]:
    """Read a table of what was measured elsewhere.

    Args:
        path: A CSV file.
        problem: The problem.
        goals: Objectives and limits.

    Returns:
        Entries of a start, and every fault, each with its line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            lines = [(reader.line_num, row) for row in reader]
            header = list(reader.fieldnames or [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return [], [f"`search.known`: `{path}` must be a CSV file that can be read, but: {error}"]
    is_export = any(name.startswith((OPTION, METRIC)) for name in header)
    variables = {name: (OPTION if is_export else "") + name for name in problem.point_space.names}
    metrics = {name.removeprefix(METRIC): name for name in header if name.startswith(METRIC)}
    if not is_export:
        metrics = {name: name for name in header if name in problem.known_metrics}
    known = [*variables, *problem.known_metrics]
    misspelt = [f"`{each}`" for each in header if each not in known and difflib.get_close_matches(each, known, 1, 0.8)]
    if misspelt and not is_export:
        rule = f"`search.known`: a column of `{path}` must be named like its variable or metric"
        return [], [f"{rule}, but {', '.join(misspelt)} is nearly so; known are {', '.join(known)}"]
    lacking = [f"`{column}`" for column in variables.values() if column not in header]
    lacking += [f"`{METRIC * is_export}{name}`" for name in goals.metric_names if name not in metrics]
    if lacking:
        rule = f"`search.known`: `{path}` must have a column for each variable and goal"
        return [], [f"{rule}, but lacks {', '.join(lacking)}; it has {', '.join(header) or 'none'}"]
    entries: list[dict[str, Any]] = []
    faults = []
    for line, row in lines:
        if row.get("status", "ok") != "ok" and is_export:
            continue
        configuration, numbers, faults_of_line = _read_row(row, variables, metrics, problem)
        entry = {"configuration": configuration, "metrics": numbers}
        faults_of_line = faults_of_line or complete_start([entry], problem.space, goals, 0, problem.point_space)[1]
        faults += [f"`search.known`: `{path}`, line {line}: {fault.removeprefix('[0]: ')}" for fault in faults_of_line]
        entries.append(entry)
    if not entries and not faults:
        faults.append(f"`search.known`: `{path}` must have a row that ended well, but has none")
    more = [f"`search.known`: {len(faults) - MOST_FAULTS} more lines have faults"] if len(faults) > MOST_FAULTS else []
    return entries, faults[:MOST_FAULTS] + more


def _read_row(
    row: Mapping[str, str | None], variables: Mapping[str, str], metrics: Mapping[str, str], problem: SearchProblem
) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    configuration, numbers, faults = {}, {}, []
    for name, column in variables.items():
        if text := row[column]:
            try:
                configuration[name] = _value(text, name, problem.point_space)
            except ValueError as fault:
                faults.append(f"`{column}` {fault}")
    for name, column in metrics.items():
        if text := row[column]:
            try:
                numbers[name] = float(text)
            except ValueError:
                faults.append(f"`{column}` must be a number, but is {text!r}")
    return configuration, numbers, faults


def _value(text: str, name: str, space: SearchSpace) -> Any:
    """Return the value of a variable that a table's cell stands for; ``ValueError`` where it is none."""
    kind = space.variables[name]
    bare = text[1:] if text[:1] == "'" else text  # before what a spreadsheet would take for a formula
    options = getattr(kind, "options", ()) if kind.has_options else ()
    for written in (value_text, lambda option: option):  # as our tables have it; else a bare text
        for candidate in (text, bare):
            for option in options:
                if written(option) == candidate:
                    return option
    read: Any = None if bare.lower() == NONE else bare
    with contextlib.suppress(ValueError):
        read = json.loads(bare.lower() if bare.lower() in ("true", "false") else bare)
    if not kind.has_options:
        with contextlib.suppress(ValueError):
            read = float(bare)
        read = int(read) if kind.is_whole and isinstance(read, float) and read.is_integer() else read
    return space.layout.value(name, read)

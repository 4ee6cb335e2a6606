"""Tables of latencies as CSV files, which people fill in and spreadsheets open.

One row is one network: ``network``, a name to find it by; the variables of the architecture; ``latency_ms``; and
``std_ms``, ``machine`` and ``deployment``, which may be missing. What was measured here has these.
"""

import contextlib
import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from evo_moo.errors import SpaceError, UsageError
from evo_moo.files import guarded_writes, make_folder, write_whole
from evo_moo.problem import Configuration, SearchProblem
from evo_moo.space import Variable
from evo_moo.toolkit.devices.measuring import Deployment
from evo_moo.toolkit.devices.table import LATENCY, LatencyTable, comparable
from evo_moo.values import value_text

NETWORK, STD, MACHINE, DEPLOYMENT = "network", "std_ms", "machine", "deployment"
MOST_FAULTS = 10


class DeviceFile(NamedTuple):
    """What a device's file holds.

    Attributes:
        table: The latencies.
        machine: Where they were measured by evo-moo; empty where they come from elsewhere.
        deployment: How the networks ran there.
    """

    table: LatencyTable
    machine: str = ""
    deployment: Deployment = Deployment()


def write_networks(
    path: Path, problem: SearchProblem, networks: Mapping[str, Configuration], file: DeviceFile | None = None
) -> None:
    """Write a table of networks, to be filled in elsewhere, or with what was measured.

    Args:
        path: The file; what is there is replaced.
        problem: The problem.
        networks: Names to configurations.
        file: What was measured of them.

    Raises:
        RunFolderError: The file cannot be written.
    """
    known = file.table.by_architecture(problem) if file else {}
    text = io.StringIO()
    names = _variables(problem)
    more = [STD, MACHINE, DEPLOYMENT] if file else []
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([NETWORK, *names, LATENCY, *more])
    for name, config in networks.items():
        measured = known.get(problem.architecture_key(config))
        cells: list[Any] = ["" if measured is None else measured[0]]
        if file:
            deployment = json.dumps(file.deployment.to_json()) if file.machine else ""
            cells += ["" if measured is None else measured[1], file.machine, deployment]
        writer.writerow([name, *(value_text(config[v]) if v in config else "" for v in names), *cells])
    with guarded_writes(path):
        make_folder(path.absolute().parent)
        write_whole(path, text.getvalue())


def read_networks(path: Path, problem: SearchProblem, device: str) -> DeviceFile:
    """Read a table of latencies.

    Args:
        path: A CSV file.
        problem: The problem.
        device: Name of the device.

    Raises:
        UsageError: The file cannot be read, or has wrong columns, configurations or latencies; all faults are listed.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            rows = [(reader.line_num, row) for row in reader]
            header = list(reader.fieldnames or [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"`{path}` must be a CSV file that can be read, but: {error}") from error
    wanted = [*_variables(problem), LATENCY]
    if lacking := [f"`{name}`" for name in wanted if name not in header]:
        raise UsageError(
            f"`{path}` must have a column for each of {', '.join(wanted)}, but lacks {', '.join(lacking)}; it has "
            f"{', '.join(header) or 'none'}"
        )
    read, lines, faults = dict[str, tuple[Configuration, float, float]](), dict[str, int](), list[str]()
    for line, row in rows:
        config, numbers, of_row = _read_row(problem, row)
        key = "" if of_row else problem.architecture_key(config)
        if key in lines:
            of_row = [f"the network must be another than that of line {lines[key]}, but is the same; keep one of them"]
        faults += [f"`{path}`, line {line}: {fault}" for fault in of_row]
        if not of_row:
            read[key], lines[key] = (config, *numbers), line
    if faults:
        more = [f"`{path}`: {len(faults) - MOST_FAULTS} more lines have faults"] if len(faults) > MOST_FAULTS else []
        raise UsageError(*faults[:MOST_FAULTS], *more)
    columns = [list(column) for column in zip(*read.values(), strict=True)] or [[], [], []]
    machine = next((row[MACHINE] for _, row in rows if row.get(MACHINE)), "")
    return DeviceFile(LatencyTable(device, *columns), machine, _deployment(rows))


def require_references(
    path: Path, problem: SearchProblem, table: LatencyTable, references: Sequence[Configuration]
) -> None:
    """Check that a table has all reference networks.

    Raises:
        UsageError: Some are missing; they are named.
    """
    column = table.column(problem, references)
    missing = [name for name, ms in zip(names_of(references), column, strict=True) if np.isnan(ms)]
    if missing:
        raise UsageError(
            f"`{path}` must have all {len(references)} reference networks, but lacks {', '.join(missing)}; "
            "`evo-moo device references` writes the list"
        )


def names_of(references: Sequence[Configuration]) -> dict[str, Configuration]:
    """Name the reference networks by their numbers."""
    return {f"reference_{number:02}": config for number, config in enumerate(references, 1)}


def _variables(problem: SearchProblem) -> list[str]:
    return [n for n in problem.space.names if problem.architecture is None or n in problem.architecture]


def _read_row(
    problem: SearchProblem, row: Mapping[str, str | None]
) -> tuple[Configuration, tuple[float, float], list[str]]:
    """Return the network of a row, its latency with the standard deviation, and every fault."""
    given, faults = {}, []
    for name in _variables(problem):
        if text := (row[name] or "").strip():
            try:
                given[name] = _value(text, problem.space.variables[name])
            except ValueError as fault:
                faults.append(f"`{name}` {fault}")
    numbers = []
    for name, cell in ((LATENCY, row[LATENCY]), (STD, row.get(STD) or "0")):
        value = math.nan
        with contextlib.suppress(TypeError, ValueError):
            value = float(cell or "")
        numbers.append(value)
        if not (0 < value < math.inf or (name == STD and value == 0)):
            rule = "must be a positive number" if name == LATENCY else "must be a number of at least 0"
            faults.append(f"`{name}` {rule}, but is {'empty; fill it in' if not cell else repr(cell)}")
    config = {}
    if not faults:
        try:
            config = _configuration(problem, given)
        except SpaceError as fault:
            faults.append(str(fault))
    return config, (numbers[0], numbers[1]), faults


def _configuration(problem: SearchProblem, given: Mapping[str, Any]) -> Configuration:
    """Return the configuration of an architecture, with the first value of each variable of the training."""
    space = problem.space
    codes = space.codes(space.xl[None])
    for column, code in space.codes_of_values(given).items():
        codes[:, column] = code
    (config,) = space.decode(space.canonical(space.columns(codes)))
    return space.decode(
        space.encode([{n: v for n, v in config.items() if n not in _variables(problem)} | dict(given)])
    )[0]


def _value(text: str, variable: Variable) -> Any:
    """Return the value that a cell stands for.

    Raises:
        ValueError: It is none of the variable.
    """
    bare = text[1:] if text[:1] == "'" else text  # before what a spreadsheet would take for a formula
    if variable.has_options:
        options: Sequence[Any] = getattr(variable, "options", (False, True))
        for written in (value_text, comparable):
            for option in options:
                if written(option) in (text, bare, comparable(bare)):
                    return option
        raise ValueError(f"must be one of {', '.join(map(value_text, options))}, but is {text!r}")
    try:
        read: Any = json.loads(bare) if bare[:1] in ("[", "{") else float(bare)
    except ValueError:
        raise ValueError(f"must be a number, or a list or table as JSON, but is {text!r}") from None
    read = int(read) if variable.is_whole and isinstance(read, float) and read.is_integer() else read
    variable.codes(read)
    return read


def _deployment(rows: Sequence[tuple[int, Mapping[str, str | None]]]) -> Deployment:
    for _, row in rows:
        with contextlib.suppress(ValueError, TypeError):
            if text := row.get(DEPLOYMENT):
                return Deployment(**json.loads(text))
    return Deployment()

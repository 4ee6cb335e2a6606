"""A run as a file of another program: a table, a JSON document, an Optuna study, MLflow runs.

An export reads the ledger and nothing else of the run: the problem's code is not run, and need not be there. It
works on runs that go on, that failed, that are empty, and on those that others made. Tables have one row per
evaluation, or per point that it offers, or per member of the front, with the columns

- ``id``, with points also ``evaluation`` and ``point``; ``generation``, ``status`` (``asked``, ``ok``, ``partial``,
  ``stopped``, ``infeasible``, ``failed``, ``timeout``, ``crashed``);
- ``config.NAME`` for each variable, empty where it is not active; an option that is None is ``none``;
- ``metrics.NAME`` for each metric, empty where it is not known;
- ``facts.NAME`` for what evaluations returned beside numbers: texts, and short lists and tables;
- ``feasible``, ``on_front`` (as in ``Result``: where nothing is feasible, the front is what comes nearest), with
  contexts ``contexts``, the names of those on whose fronts it is, with commas between, and ``violation``;
- ``seed``, ``asked_at`` and ``started_at`` (UTC), ``duration_s``, ``worker`` (process id), ``attempts``, ``reason``;
- ``fidelity``, ``continues`` (the evaluation on the rung below), ``replicate`` and ``cost`` (in full evaluations).

All points of a training have the same ``duration_s``; the first of them has the ``cost``, and the others cost nothing.
"""

import itertools
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, assert_never

from evo_moo.analysis.run_record import RunRecord
from evo_moo.errors import EvoMooError, RunFolderError, UsageError, missing_extra
from evo_moo.files import guarded_writes, whole_file
from evo_moo.problem.points import place_of_key
from evo_moo.report.formats import FORMATS, SUFFIXES, Format
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.own_files import is_own_file
from evo_moo.storage.reading import csv_lines
from evo_moo.text import moment
from evo_moo.values import FACT, METRIC, OPTION, value_text

if TYPE_CHECKING:
    import pyarrow as pa

_ABSENT = object()
ROWS_OF_A_GROUP = 10_000
"""Rows of a Parquet file that are written together."""
_KINDS_BEFORE = {"id": "int64", "generation": "int64", "status": "string"}
"""Facts that stand before an evaluation's configuration and metrics, and their types in Arrow."""
_KINDS_OF_POINTS = {"id": "string", "evaluation": "int64", "point": "int64"} | dict(list(_KINDS_BEFORE.items())[1:])
"""The same where some rows are of points."""
_KINDS_AFTER = {
    "feasible": "bool_",
    "on_front": "bool_",
    "contexts": "string",
    "violation": "float64",
    "seed": "int64",
    "asked_at": "time",
    "started_at": "time",
    "duration_s": "float64",
    "worker": "int64",
    "attempts": "int64",
    "reason": "string",
    "fidelity": "int64",
    "continues": "int64",
    "replicate": "int64",
    "cost": "float64",
}


def export_run(
    run_dir: str | Path,
    to: Format,
    output: str | Path | None = None,
    *,
    front_only: bool = False,
    context: str | None = None,
    force: bool = False,
) -> str:
    """Write a run for another program.

    Args:
        run_dir: The run folder; it is only read.
        to: ``"csv"``, ``"json"``, ``"parquet"`` (needs the extra ``parquet``), ``"optuna"`` (an SQLite file of
            Optuna's, which ``optuna-dashboard sqlite:///FILE`` shows; the extra ``optuna``) or ``"mlflow"`` (the
            extra ``mlflow``).
        output: The file to write, by default the run's name in the current folder; ``"-"`` is standard output,
            for CSV and JSON. For MLflow a tracking URI, by default MLflow's own.
        front_only: Whether to leave out all but the Pareto front.
        context: Which of the contexts says what is feasible and on the front; by default any.
        force: Whether to replace what is already there.

    Returns:
        Where it was written.

    Raises:
        UsageError: The format is unknown, the output exists, or the extra is not installed.
        RunFolderError: It is no run folder, or the output cannot be written.
        MetricError: There is no such context.
    """
    if to not in FORMATS:
        raise UsageError(f"`to` must be one of {', '.join(FORMATS)}, but is {to!r}")
    record = RunRecord.read(run_dir)
    record = record if context is None else record.within(context)
    chosen = [e for e in record.evaluations if e.id in record.front_ids] if front_only else record.evaluations
    try:
        return _write(record, chosen, to, output, force)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        if isinstance(error, EvoMooError):
            raise
        raise RunFolderError(f"`{run_dir}` must hold a sound ledger, but it is damaged: {error!r}") from error


def _write(record: RunRecord, chosen: Sequence[Evaluation], to: Format, output: str | Path | None, force: bool) -> str:
    if to == "mlflow":
        from evo_moo.report.export_mlflow import write_mlflow

        _refuse_own_file(str(output or "").removeprefix("sqlite:///"))
        return write_mlflow(record, chosen, str(output) if output else None, force=force)
    texts = {"csv": _csv_texts, "json": _json_texts}
    if str(output) == "-":
        if to not in texts:
            raise UsageError(f"`--output -` must go with csv or json, but the format is {to}; name a file")
        sys.stdout.writelines(texts[to](record, chosen))
        return "-"
    path = Path(output or f"{record.name}{SUFFIXES[to]}")
    _refuse_own_file(path)
    if path.exists() and not force:
        raise UsageError(f"`{path}` must not exist yet, but does; name another by --output, or replace it by --force")
    with guarded_writes(path), whole_file(path) as file:
        match to:
            case "csv" | "json":
                file.writelines(text.encode() for text in texts[to](record, chosen))
            case "parquet":
                _write_parquet(record, chosen, file)
            case "optuna":
                from evo_moo.report.export_optuna import write_optuna

                write_optuna(record, chosen, file)
            case _:
                assert_never(to)
    return str(path)


def _refuse_own_file(output: str | Path) -> None:
    if is_own_file(Path(output)):
        raise UsageError(f"`--output` must not be a file that a run keeps in its folder, but is {output}; name another")


def _fact(record: RunRecord, e: Evaluation, name: str) -> Any:
    if name == "feasible":
        return e.feasible if e.status in ("ok", "infeasible") else None
    if name == "on_front":
        return e.id in record.front_ids
    if name == "contexts":
        return ", ".join(record.result.serves.get(e.id, ()))
    if name in ("evaluation", "point"):
        return place_of_key(e.id)[name == "point"] or None
    return moment(getattr(e, name)) if _KINDS_AFTER.get(name) == "time" else getattr(e, name)


def _csv_texts(record: RunRecord, chosen: Iterable[Evaluation]) -> Iterator[str]:
    return csv_lines((_table_row(record, e) for e in chosen), _table_columns(record))


def _json_texts(record: RunRecord, chosen: Iterable[Evaluation]) -> Iterator[str]:
    """Return the parts of one document: facts on the run, then its evaluations."""
    names = (*_kinds_before(record), "configuration", "metrics", "facts", *_kinds_after(record))
    document = {
        "run": record.name,
        "problem": record.problem,
        "state": record.state,
        "goals": record.goals.to_json(),
        "metrics": {name: asdict(metric) for name, metric in record.metrics.items()},
        "space": record.space,
        "evaluations": [],
    }
    head, end = json.dumps(document, indent=1).rsplit("]", 1)
    yield head
    between = "\n"
    for e in chosen:
        row = {name: _fact(record, e, name) for name in names}
        text = json.dumps(row, indent=1, default=lambda time: time.isoformat(timespec="milliseconds"))
        yield between + "  " + text.replace("\n", "\n  ")
        between = ",\n"
    yield ("" if between == "\n" else "\n ") + "]" + end + "\n"


def _table_columns(record: RunRecord) -> list[str]:
    """Return the names of all columns in order."""
    kinds = (OPTION, record.variable_names), (METRIC, record.metric_names), (FACT, record.fact_names)
    return [*_kinds_before(record), *(kind + name for kind, names in kinds for name in names), *_kinds_after(record)]


def _kinds_before(record: RunRecord) -> dict[str, str]:
    return _KINDS_OF_POINTS if record.result.has_points else _KINDS_BEFORE


def _kinds_after(record: RunRecord) -> dict[str, str]:
    has_contexts = bool(record.goals.contexts)
    return {name: kind for name, kind in _KINDS_AFTER.items() if name != "contexts" or has_contexts}


def _table_row(record: RunRecord, e: Evaluation) -> dict[str, Any]:
    """Return an evaluation as a row: columns to values; a variable that is not active is left out."""
    return (
        {name: _fact(record, e, name) for name in (*_kinds_before(record), *_kinds_after(record))}
        | {OPTION + name: value for name, value in e.configuration.items()}
        | {METRIC + name: value for name, value in e.metrics.items()}
        | {FACT + name: value for name, value in e.facts.items()}
    )


def _write_parquet(record: RunRecord, chosen: Sequence[Evaluation], file: IO[bytes]) -> None:
    """Write a Parquet file; what is missing is null, and a metric's unit stands in its field's metadata."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise missing_extra("parquet") from None
    types: dict[str, set[type]] = {name: set() for name in _table_columns(record)}
    for e in chosen:
        for name, value in _table_row(record, e).items():
            types[name].add(type(value))
    kinds, fields = {name: _arrow_kind(record, name, found) for name, found in types.items()}, []
    for name, kind in kinds.items():
        metric = record.metrics.get(name.removeprefix(METRIC)) if name.startswith(METRIC) else None
        units = {"unit": metric.unit} if metric and metric.unit else None
        fields.append(pa.field(name, _arrow_array([], kind).type, metadata=units))
    schema, rest = pa.schema(fields), iter(chosen)
    with pq.ParquetWriter(file, schema) as writer:
        while rows := [_table_row(record, e) for e in itertools.islice(rest, ROWS_OF_A_GROUP)]:
            arrays = [_arrow_array([row.get(name, _ABSENT) for row in rows], kind) for name, kind in kinds.items()]
            writer.write_table(pa.table(arrays, schema=schema))


def _arrow_kind(record: RunRecord, column: str, found: set[type]) -> str:
    """Name the Arrow type of a column: by the variable's definition, where there is one, else by its values' types."""
    if kind := (_kinds_before(record) | _KINDS_AFTER).get(column):
        return kind
    definition = record.space.get(column.removeprefix(OPTION), {}) if column.startswith(OPTION) else {}
    if kind := {"real": "float64", "integer": "int64", "boolean": "bool_"}.get(definition.get("kind", "")):
        return kind
    types = found | set(map(type, definition.get("options", [])))
    if types <= {int, float}:
        return "int64" if types == {int} else "float64"
    return "bool_" if types == {bool} else "string" if types == {str} else "option"


def _arrow_array(values: list[Any], kind: str) -> "pa.Array[Any]":
    """Make an Arrow array; an option of a variable that has several kinds of them is text, as in CSV."""
    import pyarrow as pa

    if kind == "option":
        return pa.array([None if v is _ABSENT else value_text(v) for v in values], pa.string())
    known = [None if v is _ABSENT else str(v) if kind == "string" and isinstance(v, int) else v for v in values]
    return pa.array(known, pa.timestamp("us", "UTC") if kind == "time" else getattr(pa, kind)())

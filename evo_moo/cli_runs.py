"""The commands that read run folders."""

import csv
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

RUNS = Path("runs")
RunDir = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or its name below runs/.")]


def show(
    path: RunDir,
    as_json: Annotated[bool, typer.Option("--json", help="Print the front as JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the front as CSV.")] = False,
) -> None:
    """Show a run's Pareto front."""
    from evo_moo.result import Result
    from evo_moo.tables import print_front

    result = Result.read(folder_of(path))
    rows = result.rows()
    if as_json:
        typer.echo(json.dumps({"feasible": result.feasible, "front": rows}, indent=1))
    elif as_csv:
        columns = list(dict.fromkeys(name for row in rows for name in row))
        writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
        if rows:
            writer.writeheader()
        writer.writerows(rows)
    else:
        print_front(result)


def export(
    path: RunDir,
    to: Annotated[str, typer.Option(metavar="FORMAT", help="csv, json, parquet, optuna or mlflow.")],
    output: Annotated[
        str | None, typer.Option(help="File to write, - for standard output, or MLflow's tracking URI.")
    ] = None,
    front: Annotated[bool, typer.Option("--front", help="Only the Pareto front.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there already.")] = False,
) -> None:
    """Write a run for another program; its problem is not needed."""
    from evo_moo.export import export_run

    written = export_run(folder_of(path), to, output, front_only=front, force=force)  # type: ignore[arg-type]
    if written != "-":
        typer.echo(f"{written} is written")


def list_runs(root: Annotated[Path, typer.Argument(help="Folder of the run folders.")] = RUNS) -> None:
    """List the runs: state, progress, best values."""
    from evo_moo.errors import RunFolderError
    from evo_moo.tables import print_runs

    if root != RUNS and not root.is_dir():
        raise RunFolderError(f"`{root}` must be a folder of run folders, but there is no such folder")
    print_runs(root)


def folder_of(path: Path) -> Path:
    """Take a run folder by its path, or by its name below runs/."""
    return path if path.exists() or not (RUNS / path).exists() else RUNS / path

"""The command that runs many searches."""

import os
from pathlib import Path
from typing import Annotated

import typer

from evo_moo.cli.runs import RUNS, AcceptChanges


def batch(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="JOB...", help="Job files; each may hold a grid, or a list of runs.")
    ] = None,
    batch_dir: Annotated[
        Path | None, typer.Option(help="The batch's folder; else runs/NAME, by the file, or the folder of many.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Workers of all searches together; else all cores.")
    ] = None,
    at_once: Annotated[
        int | None,
        typer.Option(min=1, help="Searches at once, which share the workers; else 1, or all if none uses workers."),
    ] = None,
    accept_changes: AcceptChanges = False,
    show: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Show a batch's table without running anything.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON, with every run.")] = False,
) -> None:
    """Run many searches: what is finished is skipped, what was stopped goes on; then compare them."""
    from evo_moo.run.stop_signals import stop_at_once_on_signals

    stop_at_once_on_signals()
    if show is not None:
        # A folder of job files is often named like the batch that was made of it.
        is_batch = any(show.glob("*.log")) or not (RUNS / show).is_dir()
        print_table(show if is_batch else RUNS / show, as_json)
        return
    from evo_moo.errors import RunStoppedError
    from evo_moo.run.batch import read_batch, run_batch

    folder = batch_dir or RUNS / _name_of(files or [])
    runs = read_batch(files or [], folder, accept_changes=accept_changes)
    typer.echo(f"batch of {len(runs)} runs in {folder}", err=True)
    try:
        code = run_batch(runs, folder, workers or os.cpu_count() or 1, at_once, lambda line: typer.echo(line, err=True))
    except RunStoppedError:
        print_table(folder, as_json, write=True)
        raise
    print_table(folder, as_json, write=True)
    raise typer.Exit(code)


def _name_of(files: list[Path]) -> str:
    from evo_moo.errors import UsageError

    folders = {file.absolute().parent for file in files}
    if not files:
        raise UsageError("a batch must be given job files, but is given none; `--show DIR` shows one that has run")
    if len(folders) > 1:
        raise UsageError(f"`--batch-dir` must be given for files of {len(folders)} folders, but is missing")
    return files[0].stem if len(files) == 1 else folders.pop().name


def print_table(folder: Path, as_json: bool, *, write: bool = False) -> None:
    """Print the table of a batch: a row for each group and each run."""
    from evo_moo.analysis.batch_summary import read_table, table_json, write_summary
    from evo_moo.cli.overview_tables import print_batch
    from evo_moo.text import printable

    groups, rows = read_table(folder)
    if write:
        write_summary(folder, groups)
    if as_json:
        typer.echo(table_json(groups, rows))
    else:
        print_batch(groups, rows)
        for group in groups:
            if group.n_evals_min != group.n_evals_max:
                typer.echo(printable(f"{group.group}: {group.n_evals_min} to {group.n_evals_max} evaluations per run"))

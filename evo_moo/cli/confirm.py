"""The commands that say how far to believe what a search found."""

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from evo_moo.cli.runs import RUNS, RunDir, folder_of


def confirm(
    path: RunDir,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Trainings of each member; else as many as there are, or 5.")
    ] = None,
    ids: Annotated[
        list[int] | None, typer.Option("--id", help="A member to train, repeatable; else the front.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Number of worker processes.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Train a run's front anew with other seeds, on test data where there are some, and say how much of it holds."""
    from evo_moo.run.stop_signals import stop_at_once_on_signals

    stop_at_once_on_signals()
    from evo_moo.analysis.confirmation_ledger import FOLDER
    from evo_moo.files import save_figure
    from evo_moo.report.analysis_figures import confirmation_figure
    from evo_moo.run.confirmation import confirm

    path = folder_of(path)
    report = confirm(path, seeds=seeds, ids=ids or (), workers=workers, verbose=True).to_json()
    picture = path / FOLDER / "confirmation.png"
    save_figure(confirmation_figure(report), picture)
    if as_json:
        typer.echo(json.dumps(report, indent=1))
        return
    from evo_moo.cli.comparison_tables import print_confirmation

    print_confirmation(report)
    typer.echo(f"{picture} is drawn", err=True)


def compare(
    what: Annotated[
        list[str],
        typer.Argument(metavar="A B...", help="RUN:ID; or runs, folders of runs, or quoted patterns as 'runs/a-*'."),
    ],
    metrics: Annotated[
        list[str] | None, typer.Option("--metric", help="Metric to compare configurations by, repeatable.")
    ] = None,
    at: Annotated[float | None, typer.Option(help="Compare runs after so many evaluations.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Compare configurations by their trainings with several seeds, or groups of runs by their hypervolumes."""
    from evo_moo.analysis.comparison import compare_configurations, compare_runs
    from evo_moo.cli.comparison_tables import print_comparison
    from evo_moo.errors import UsageError

    configurations = {text: pair for text in what if (pair := _configuration(text))}
    if configurations and len(configurations) < len(set(what)):
        raise UsageError(f"a comparison must be of configurations or of runs, but {', '.join(what)} are some of both")
    if configurations:
        if at is not None:
            raise UsageError("`--at` must go with runs, but these are configurations")
        report = compare_configurations(configurations, metrics or ()).to_json()
    else:
        if metrics:
            raise UsageError("`--metric` must go with configurations, but these are runs; name them as RUN:ID")
        report = compare_runs(_groups(what), at).to_json()
    if as_json:
        typer.echo(json.dumps(report, indent=1))
    else:
        print_comparison(report)


def _configuration(text: str) -> tuple[Path, int] | None:
    """Read RUN:ID."""
    found = re.fullmatch(r"(.+):(\d+)", text)
    return None if found is None or Path(text).exists() else (folder_of(Path(found[1])), int(found[2]))


def _matching(pattern: Path) -> list[Path]:
    """Find the ledgers of the runs that a pattern names."""
    root = Path(pattern.anchor)
    return sorted(root.glob(str(pattern.relative_to(root) / "run.sqlite")))


def _groups(what: list[str]) -> dict[str, list[Path]]:
    """Find the runs behind each argument; a folder of runs has a group for each job."""
    from evo_moo.analysis.comparison import groups_in
    from evo_moo.errors import RunFolderError

    groups: dict[str, list[Path]] = {}
    for text in what:
        path = folder_of(Path(text))
        if (path / "run.sqlite").is_file():
            groups[text] = [path]
            continue
        if path.is_dir():
            found = groups_in(path)
            single = len(found) == 1
            groups |= {text if single else f"{text}/{name}": paths for name, paths in found.items()}
        else:
            named = [file.parent for file in _matching(Path(text)) or _matching(RUNS / text)]
            found = {text: named}
            groups |= {text: named} if named else {}
        if not any(found.values()):
            raise RunFolderError(f"`{text}` must name runs, or RUN:ID, but names none; `evo-moo list` shows the runs")
    return groups

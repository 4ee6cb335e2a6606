"""The command that compares configurations, or groups of runs."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evo_moo.cli.runs import RUNS, AsJson, folder_of

if TYPE_CHECKING:
    from evo_moo.problem.points import Key


def compare(
    what: Annotated[
        list[str],
        typer.Argument(metavar="A B...", help="RUN:ID; or runs, folders of runs, or quoted patterns as 'runs/a-*'."),
    ],
    metrics: Annotated[
        list[str] | None, typer.Option("--metric", help="Metric to compare configurations by, repeatable.")
    ] = None,
    at: Annotated[float | None, typer.Option(help="Compare runs after so many evaluations.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare configurations by their trainings with several seeds, or groups of runs by their hypervolumes."""
    from evo_moo.analysis.comparison import compare_configurations, compare_runs
    from evo_moo.cli.comparison_tables import print_comparison
    from evo_moo.cli.console import show_data
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
    show_data(report, print_comparison, as_json)


def _configuration(text: str) -> tuple[Path, "Key"] | None:
    """Read RUN:ID."""
    from evo_moo.problem.points import read_key

    matched = re.fullmatch(r"(.+):(\d+(?:\.\d+)?)", text)
    return None if matched is None or Path(text).exists() else (folder_of(Path(matched[1])), read_key(matched[2]))


def _matching(pattern: Path) -> list[Path]:
    """Return the ledgers of the runs that a pattern names."""
    root = Path(pattern.anchor)
    return sorted(root.glob(str(pattern.relative_to(root) / "run.sqlite")))


def _groups(what: list[str]) -> dict[str, list[Path]]:
    """Return the runs behind each argument; a folder of runs has a group for each job."""
    from evo_moo.analysis.comparison import groups_in
    from evo_moo.errors import RunFolderError

    groups: dict[str, list[Path]] = {}
    for text in what:
        path = folder_of(Path(text))
        if (path / "run.sqlite").is_file():
            groups[text] = [path]
            continue
        if path.is_dir():
            inside = groups_in(path)
            named = {text if len(inside) == 1 else f"{text}/{name}": paths for name, paths in inside.items()}
        else:
            matching = [file.parent for file in _matching(Path(text)) or _matching(RUNS / text)]
            named = {text: matching} if matching else {}
        if not named:
            raise RunFolderError(f"`{text}` must name runs, or RUN:ID, but names none; `evo-moo list` shows the runs")
        groups |= named
    return groups

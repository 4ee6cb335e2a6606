"""The command that trains a front anew."""

from typing import Annotated

import typer

from evo_moo.cli.runs import AsJson, NewPlace, RunDir, Trust, folder_of, name_code


def confirm(
    path: RunDir,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Trainings of each member; else as many as there are, or 5.")
    ] = None,
    ids: Annotated[
        list[str] | None, typer.Option("--id", help="A member to train, repeatable; else the front.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Number of worker processes.")] = None,
    problem: NewPlace = None,
    trust: Trust = False,
    as_json: AsJson = False,
) -> None:
    """Train a run's front anew with other seeds, on test data where there are some, and say how much of it holds."""
    from evo_moo.run.stop_signals import stop_at_once_on_signals

    stop_at_once_on_signals()
    from evo_moo.analysis.confirmation_ledger import FOLDER
    from evo_moo.cli.comparison_tables import print_confirmation
    from evo_moo.cli.console import draw, show_data
    from evo_moo.problem.points import read_key
    from evo_moo.report.analysis_figures import confirmation_figure
    from evo_moo.run.confirmation import confirm

    path = folder_of(path)
    name_code(path, problem, trust)
    report = confirm(
        path, problem, seeds=seeds, ids=[read_key(key) for key in ids or ()], workers=workers, verbose=True
    ).to_json()
    show_data(report, print_confirmation, as_json)
    draw(lambda: confirmation_figure(report), path / FOLDER / "confirmation.png")

"""The command that shows what drives a run's metrics."""

from typing import Annotated, Any

import typer

from evo_moo.cli.runs import AsJson, InContext, RunDir, folder_of


def importance(
    path: RunDir,
    context: InContext = None,
    metrics: Annotated[
        list[str] | None, typer.Option("--metric", metavar="NAME", help="Instead of the objectives, repeatable.")
    ] = None,
    near_front: Annotated[
        bool, typer.Option("--near-front", help="Over the box around the best evaluations, not the search space.")
    ] = False,
    dependence: Annotated[
        bool, typer.Option("--dependence", help="How metrics go with each variable (partial dependence).")
    ] = False,
    around: Annotated[str | None, typer.Option(metavar="ID", help="What changes of this evaluation would do.")] = None,
    plot: Annotated[
        bool, typer.Option("--plot", help="Draw it, as importance.png or dependence.png of the run.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show which variables drive each objective, how, and what changes of one evaluation would do."""
    from evo_moo.analysis.fronts.names import ContextNames
    from evo_moo.analysis.importance.dependence import partial_dependence
    from evo_moo.analysis.importance.importances import importances
    from evo_moo.analysis.importance.local_changes import changes_around
    from evo_moo.analysis.run_table import RunTable
    from evo_moo.cli.console import draw, show_data
    from evo_moo.cli.importance_tables import print_changes, print_dependence, print_importances
    from evo_moo.errors import UsageError
    from evo_moo.problem.points import read_key

    if near_front + dependence + (around is not None) > 1:
        raise UsageError("`--near-front`, `--dependence` and `--around` must be given one at a time")
    if plot and around is not None:
        raise UsageError("`--plot` must go without `--around`: changes are told as a table, or with --json")
    path = folder_of(path)
    table, names = RunTable.read(path), metrics or None
    if context is not None:
        table = table.within(context)
        names = names and list(map(ContextNames(context, table.metrics).recorded, names))
    data: dict[str, Any]
    if around is not None:
        data, show = changes_around(table, read_key(around), names), print_changes
    elif dependence:
        data, show = partial_dependence(table, names), print_dependence
    else:
        data, show = importances(table, names, near_front=near_front), print_importances
    show_data(data, show, as_json)
    if plot:
        from evo_moo.report.analysis_figures import dependence_figure, importance_figure

        figure_of = dependence_figure if dependence else importance_figure
        draw(lambda: figure_of(data), path / ("dependence.png" if dependence else "importance.png"))

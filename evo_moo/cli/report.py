"""The command that writes the report of a run."""

from pathlib import Path
from typing import Annotated

import typer

from evo_moo.cli.runs import RunDir, folder_of


def report(
    path: RunDir,
    output: Annotated[Path | None, typer.Option(help="File to write; else report.html in the run folder.")] = None,
    figures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the figures as PNG and SVG, with their numbers.")
    ] = None,
) -> None:
    """Write what a run found as one HTML file; the run may still go on."""
    from evo_moo.report.content import read_report
    from evo_moo.report.page import write_page

    path = folder_of(path)
    content = read_report(path)
    typer.echo(f"{write_page(content, path, output)} is written")
    if figures is not None:
        from evo_moo.report.paper_figures import draw_report

        typer.echo(f"{len(draw_report(content, path, figures))} files are written to {figures}")

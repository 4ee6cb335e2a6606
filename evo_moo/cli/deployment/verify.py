"""The command that proves a built model where it is to serve."""

from pathlib import Path
from typing import Annotated

import typer

from evo_moo.cli.runs import AsJson


def verify(
    path: Annotated[Path, typer.Argument(metavar="DIR", help="The folder that `evo-moo build` wrote.")],
    data: Annotated[
        Path | None, typer.Option(metavar="FILE.npz", help="Arrays `inputs`, `labels` and perhaps `groups`.")
    ] = None,
    runtime: Annotated[str | None, typer.Option(help="onnxruntime, torch or scikit-learn.")] = None,
    slack: Annotated[float, typer.Option(help="Share by which a time or memory may exceed its promise.")] = 0.25,
    trust: Annotated[bool, typer.Option("--trust", help="Load files that may run code: the folder is yours.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure a built model here and compare with its card; exit 1 if something does not hold."""
    from evo_moo.cli.console import show_data
    from evo_moo.cli.deployment.tables import print_proof
    from evo_moo.deployment.verify import verify

    proof = verify(path, data, runtime=runtime, slack=slack, trust=trust)
    show_data(proof.to_json(), lambda _: print_proof(proof), as_json)
    if not proof.holds:
        raise typer.Exit(1)

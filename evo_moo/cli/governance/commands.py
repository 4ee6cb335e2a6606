"""The commands ``evo-moo audit`` and ``evo-moo diff``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evo_moo.cli.runs import AsJson, RunDir, folder_of

if TYPE_CHECKING:
    from evo_moo.analysis.governance.audit import Audit
    from evo_moo.analysis.governance.run_difference import RunDifference


def audit(path: RunDir, as_json: AsJson = False) -> None:
    """Say who asked a run for what, why its goals are what they are, and with which code and data it was evaluated."""
    from evo_moo.analysis.governance.audit import Audit
    from evo_moo.cli.console import show_data
    from evo_moo.storage.reading import guarded_reads

    path = folder_of(path)
    with guarded_reads(path):
        found = Audit.read(path)
        show_data(found.to_json(), lambda _: _print_audit(found), as_json)


def diff(
    one: RunDir,
    other: Annotated[Path, typer.Argument(metavar="RUN", help="The other run.")],
    as_json: AsJson = False,
) -> None:
    """Say what differs between two runs: job, goals, space, code and data, environment, front."""
    from evo_moo.analysis.governance.run_difference import RunDifference
    from evo_moo.cli.console import show_data
    from evo_moo.storage.reading import guarded_reads

    paths = folder_of(one), folder_of(other)
    with guarded_reads(paths[0]), guarded_reads(paths[1]):
        found = RunDifference.read(*paths)
        show_data(found.to_json(), lambda _: _print_difference(found), as_json)


def _print_audit(found: "Audit") -> None:
    from evo_moo.analysis.governance.audit import detail_in_words
    from evo_moo.cli.console import new_table, open_console, safe

    console = open_console()
    table = new_table(["goal", "policy"], left=["goal", "policy"])
    for goal, policy in found.goals.items():
        table.add_row(safe(goal), safe(policy or "nobody said"))
    console.print(table)
    table = new_table(["time (UTC)", "who", "what", "detail"], left=["time (UTC)", "who", "what", "detail"])
    for entry in found.trail:
        table.add_row(safe(entry.at), safe(entry.who), safe(entry.what), safe(detail_in_words(entry.detail)))
    console.print(table)
    table = new_table(["code or data", "was"], left=["code or data", "was"])
    for name, value in found.parts.items():
        table.add_row(safe(name), safe(value))
    console.print(table)
    for change in found.code_changes:
        console.print(safe(f"The code changed, as accepted, {change}"), highlight=False)
    origins = ", ".join(f"{n} {origin}" for origin, n in found.origins.items())
    console.print(
        safe(f"Configurations: {origins}; `evo-moo show RUN --id N` tells why one was tried"), highlight=False
    )


def _print_difference(found: "RunDifference") -> None:
    from evo_moo.cli.console import new_table, open_console, safe

    console, parts = open_console(), ("job", "goals", "space", "parts", "environment", "front")
    table = new_table(["what", "key", *found.runs], left=["what", "key", *found.runs])
    for part in parts:
        for name, pair in getattr(found, part).items():
            table.add_row(part, safe(name), *(safe(str(value)) for value in pair))
    console.print(table)

"""The command that builds the model of a member of a front."""

from pathlib import Path
from typing import Annotated

import typer

from evo_moo.cli.pick import Aim, HardLimits, Knee, Method, Order, Tolerance, Weights, rules_of
from evo_moo.cli.runs import AsJson, InContext, NewPlace, RunDir, Trust, folder_of, name_code


def build(
    path: RunDir,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The new folder of the model.")],
    member: Annotated[str | None, typer.Option("--id", help="The member; else the rules choose, as in pick.")] = None,
    context: InContext = None,
    limits: HardLimits = None,
    weights: Weights = None,
    method: Method = None,
    aim: Aim = None,
    order: Order = None,
    tolerance: Tolerance = None,
    knee: Knee = False,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings; the best by validation data is kept.")] = 1,
    all_data: Annotated[
        bool, typer.Option("--all-data", help="Train with the validation data too; never with the test data.")
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples in the batch whose latency is promised.")] = 1,
    test_data: Annotated[
        Path | None, typer.Option(metavar="FILE.npz", help="Write the test data there, for `evo-moo verify`.")
    ] = None,
    problem: NewPlace = None,
    trust: Trust = False,
    as_json: AsJson = False,
) -> None:
    """Train a member at full length, and write its model with a card of what it promises."""
    from evo_moo.run.stop_signals import stop_at_once_on_signals

    stop_at_once_on_signals()
    from evo_moo.cli.console import show_data
    from evo_moo.cli.deployment.tables import print_card
    from evo_moo.deployment.build import build
    from evo_moo.errors import UsageError
    from evo_moo.problem.points import read_key

    path = folder_of(path)
    rules, faults = rules_of(limits, weights, method, aim, order, tolerance, knee)
    rules |= {"context": context} if context else {}
    if faults:
        raise UsageError(*faults)
    name_code(path, problem, trust)
    folder = build(
        path,
        out,
        read_key(member) if member else None,
        rules=rules,
        seeds=seeds,
        all_data=all_data,
        batch_size=batch_size,
        test_data=test_data,
        problem=problem,
    )
    show_data(folder.card.model_dump(mode="json"), lambda _: print_card(folder), as_json)

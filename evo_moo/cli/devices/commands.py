"""The commands that add a device, list the networks to measure on it, and show the front of a run there."""

from pathlib import Path
from typing import Annotated

import typer

from evo_moo.cli.runs import AsJson, NewPlace, ProblemOptions, RunDir, Trust, folder_of, name_code

Problem = Annotated[str, typer.Argument(metavar="PROBLEM", help="A problem, as for `run`.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the device.")]
app = typer.Typer(help="Latencies of a new device, from ten measurements.", no_args_is_help=True)


@app.command()
def references(
    reference: Problem,
    options: ProblemOptions = None,
    output: Annotated[Path, typer.Option(metavar="FILE.csv", help="The table to fill in.")] = Path("references.csv"),
    onnx: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the networks as ONNX files, if the problem has them.")
    ] = None,
) -> None:
    """Write the ten reference networks as a table to be filled in with latencies of another device."""
    from evo_moo.cli.devices.adding import problem_of, write_references

    for written in write_references(problem_of(reference, options), reference, output, onnx):
        typer.echo(f"{written} is written")


@app.command()
def add(
    name: Name,
    reference: Annotated[str, typer.Option("--problem", metavar="PROBLEM", help="The problem to be measured.")],
    options: ProblemOptions = None,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Take latencies measured elsewhere; else measure here.")
    ] = None,
    runtime: Annotated[
        str, typer.Option(help="torch, torch.compile, torchscript, torch.export, onnxruntime; else the problem's own.")
    ] = "",
    batch_size: Annotated[int | None, typer.Option(min=1, help="Samples per forward pass.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of one forward pass.")] = 1,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of measurements.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Add a device by the latencies of the reference networks, measured here or read from a table."""
    from evo_moo.cli.console import show_data
    from evo_moo.cli.devices.adding import add_measured, add_table, problem_of
    from evo_moo.cli.devices.tables import print_device
    from evo_moo.errors import UsageError
    from evo_moo.toolkit.devices.measuring import Deployment

    deployment = Deployment(runtime, batch_size, threads)
    if csv is not None and not deployment.is_own:
        raise UsageError("`--csv` must go without --runtime, --batch-size and --threads: nothing is measured here")
    problem = problem_of(reference, options)
    added = add_table(problem, reference, name, csv) if csv else None
    added = added or add_measured(problem, reference, name, deployment, rounds)
    show_data(added.to_json(), lambda _: print_device(added), as_json)


@app.command("list")
def list_devices(
    reference: Annotated[str | None, typer.Argument(metavar="PROBLEM", help="Only those of this problem.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the devices that were added."""
    from evo_moo.cli.console import show_data
    from evo_moo.cli.devices.store import DEVICES, folder_of_problem, known_devices
    from evo_moo.cli.devices.tables import print_devices

    folders = [folder_of_problem(reference)] if reference else sorted(p for p in DEVICES.glob("*") if p.is_dir())
    data = [{"problem": folder.name, "device": name} for folder in folders for name in known_devices(folder.name)]
    show_data(data, print_devices, as_json)


@app.command()
def front(
    path: RunDir,
    name: Name,
    verify: Annotated[
        int, typer.Option(min=0, metavar="K", help="Measure so many networks in doubt: here, or write what to measure.")
    ] = 0,
    measured: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Take further latencies of the device from a filled-in table.")
    ] = None,
    under: Annotated[float | None, typer.Option(metavar="MS", help="Pick the best under this latency.")] = None,
    safe: Annotated[
        float, typer.Option(min=0, metavar="K", help="With --under: mean + K std must keep the limit.")
    ] = 1.0,
    problem: NewPlace = None,
    trust: Trust = False,
    as_json: AsJson = False,
) -> None:
    """Show the front of an old run on a device, by predicted latencies with their doubt."""
    from evo_moo.cli.console import show_data
    from evo_moo.cli.devices.run_on_device import run_on_device
    from evo_moo.cli.devices.tables import print_device_front
    from evo_moo.storage.reading import guarded_reads

    path = folder_of(path)
    name_code(path, problem, trust)
    with guarded_reads(path):
        shown = run_on_device(path, name, problem, verify=verify, measured=measured, under=under, safe=safe)
    show_data(shown.to_json(), lambda _: print_device_front(shown), as_json)

"""The command that serves built models."""

from pathlib import Path
from typing import Annotated

import typer


def serve(
    paths: Annotated[list[Path], typer.Argument(metavar="MODEL...", help="Folders that `evo-moo build` wrote.")],
    limit: Annotated[str, typer.Option(help="The deadline of an answer, its wait included.")] = "latency_ms <= 100",
    by_time: Annotated[
        list[str] | None, typer.Option(metavar="HH:MM=MS", help="Deadline from a time of day on, repeatable.")
    ] = None,
    by_queue: Annotated[
        list[str] | None, typer.Option(metavar="N=MS", help="Tighter deadline while N requests wait, repeatable.")
    ] = None,
    probability: Annotated[float, typer.Option(help="Share of the requests that should keep the deadline.")] = 0.95,
    workers: Annotated[int, typer.Option(min=1, help="Requests that are answered at once.")] = 1,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Inputs of a usual request; by default as the first card says.")
    ] = None,
    memory: Annotated[float | None, typer.Option(min=0, metavar="MB", help="For the models that are loaded.")] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen at; any but this machine's needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 is any free one.")] = 8000,
    token_file: Annotated[Path | None, typer.Option(help="File with the token that clients must show.")] = None,
    log: Annotated[Path | None, typer.Option(help="Append every answer there, as JSON lines for a watch.")] = None,
    log_inputs: Annotated[bool, typer.Option("--log-inputs", help="Log the inputs too.")] = False,
    max_waiting: Annotated[int, typer.Option(min=1, help="Requests that may wait; others are refused.")] = 64,
    max_connections: Annotated[int, typer.Option(min=1, help="Connections that may be open.")] = 256,
    max_inputs: Annotated[
        int | None, typer.Option(min=1, help="Inputs of a request; by default 256, or the usual ones if more.")
    ] = None,
    max_bytes: Annotated[int, typer.Option(min=1, help="Size of a request's body.")] = 4_000_000,
    runtime: Annotated[str | None, typer.Option(help="onnxruntime, torch or scikit-learn.")] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Load files that may run code: the folders are yours.")
    ] = False,
) -> None:
    """Serve models over HTTP: at each moment the most accurate one that keeps the deadline under the present load."""
    from importlib.util import find_spec

    from evo_moo.cli.deployment.tables import print_members
    from evo_moo.errors import UsageError, missing_extra

    if not all(find_spec(name) for name in ("starlette", "uvicorn", "prometheus_client")):
        raise missing_extra("serving", "`evo-moo serve`")
    from evo_moo.deployment.serving.server import Serving, serve

    faults = list[str]()
    times = [(key, number) for key, number in _pairs("--by-time", by_time, faults)]
    queues = [(_number("--by-queue", key, faults), number) for key, number in _pairs("--by-queue", by_queue, faults)]
    if not 0 < probability < 1:
        faults.append(f"`--probability` must lie between 0 and 1, but is {probability}")
    if faults:
        raise UsageError(*faults)
    serving = Serving(
        limit=limit,
        by_time=times,
        by_queue=queues,
        probability=probability,
        workers=workers,
        usual=batch,
        memory_mb=float("inf") if memory is None else memory,
        host=host,
        port=port,
        token_file=token_file,
        log=log,
        logs_inputs=log_inputs,
        most_waiting=max_waiting,
        most_connections=max_connections,
        most_inputs=max_inputs,
        most_bytes=max_bytes,
        runtime=runtime,
        trust=trust,
    )
    serve(paths, serving, print_members)


def _pairs(option: str, texts: list[str] | None, faults: list[str]) -> list[tuple[str, float]]:
    parts = [text.partition("=") for text in texts or []]
    return [(key.strip(), _number(option, number, faults)) for key, _, number in parts]


def _number(option: str, text: str, faults: list[str]) -> float:
    try:
        return float(text)
    except ValueError:
        faults.append(f"`{option}` must be such as {'08:00' if option == '--by-time' else '10'}=20, but has {text!r}")
        return 1.0

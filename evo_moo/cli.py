"""The command line. Exit codes: 0 done, 1 failed, 2 wrong input, 75 stopped and resumable."""

import csv
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from evo_moo.result import Result

FAILED, WRONG_INPUT, RESUMABLE = 1, 2, 75
RUNS = Path("runs")

app = typer.Typer(
    help="Search neural architectures and training hyperparameters for the trade-offs between several goals.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
RunDir = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or its name below runs/.")]


def main() -> None:
    """Run the command line; errors become one message and an exit code."""
    from evo_moo.errors import EvoMooError, JobError, RunFolderError, RunStoppedError, SearchFailedError, StopNow

    try:
        app()
    except RunStoppedError as error:
        _exit(RESUMABLE, str(error))
    except (RunFolderError, SearchFailedError) as error:
        _exit(FAILED, str(error))
    except JobError as error:
        _exit(WRONG_INPUT, *error.faults)
    except EvoMooError as error:
        _exit(WRONG_INPUT, str(error))
    except StopNow:
        _exit(RESUMABLE, "stopped at once; everything that ended is recorded")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _exit(code: int, *messages: str) -> NoReturn:
    for message in messages:
        typer.echo(f"evo-moo: {message}", err=True)
    sys.exit(code)


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        import evo_moo

        typer.echo(evo_moo.__version__)
        raise typer.Exit


@app.command()
def run(
    what: Annotated[str, typer.Argument(metavar="JOB|PROBLEM", help="A job file, or a problem to search.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the job, repeatable."),
    ] = None,
    options: Annotated[
        list[str] | None, typer.Option("--option", metavar="NAME=VALUE", help="Option of the problem, repeatable.")
    ] = None,
    run_dir: Annotated[str | None, typer.Option(help="Run folder to create or continue.")] = None,
    workers: Annotated[int | None, typer.Option(help="Number of worker processes.")] = None,
    n_evals: Annotated[int | None, typer.Option(help="Number of evaluations.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything but measured times.")] = None,
) -> None:
    """Search a problem, or run a job file."""
    from evo_moo.errors import JobError
    from evo_moo.job import check_job, override, read_job_file
    from evo_moo.plugins import absolute_reference, job_file_of

    job_file = Path(what) if what.endswith(".toml") else job_file_of(what)
    data: dict[str, Any] = (
        read_job_file(job_file) if job_file else {"problem": {"use": absolute_reference(what, Path())}}
    )
    override(data, [*(f"problem.options.{option}" for option in options or []), *(settings or [])])
    for section, key, number in (
        ("evaluation", "workers", workers),
        ("budget", "n_evals", n_evals),
        ("search", "seed", seed),
    ):
        if number is not None and isinstance(data.setdefault(section, {}), dict):
            data[section][key] = number
    problem = data.get("problem")
    if isinstance(problem, dict) and isinstance(problem.get("use"), str):
        problem["use"] = absolute_reference(problem["use"], Path())
    if run_dir == "":
        raise JobError(["`--run-dir` must name a folder, but is empty"])
    _run(*check_job(data), Path(run_dir) if run_dir else None)


@app.command()
def resume(
    path: RunDir, n_evals: Annotated[int | None, typer.Option(help="A larger number of evaluations in all.")] = None
) -> None:
    """Go on with a run that was stopped or killed, or that is to have a larger budget."""
    from evo_moo.api import resume

    path = _run_dir(path)
    _report(resume(path, n_evals=n_evals, verbose=True))


@app.command()
def show(
    path: RunDir,
    as_json: Annotated[bool, typer.Option("--json", help="Print the front as JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the front as CSV.")] = False,
) -> None:
    """Show a run's Pareto front."""
    from evo_moo.result import Result

    result = Result.read(_run_dir(path))
    rows = result.rows()
    if as_json:
        typer.echo(json.dumps({"feasible": result.feasible, "front": rows}, indent=1))
    elif as_csv:
        columns = list(dict.fromkeys(name for row in rows for name in row))
        writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
        if rows:
            writer.writeheader()
        writer.writerows(rows)
    else:
        _print_front(result)


@app.command("list")
def list_runs(root: Annotated[Path, typer.Argument(help="Folder of the run folders.")] = RUNS) -> None:
    """List the runs: state, progress, best values."""
    from evo_moo.errors import RunFolderError
    from evo_moo.tables import print_runs

    if root != RUNS and not root.is_dir():
        raise RunFolderError(f"`{root}` must be a folder of run folders, but there is no such folder")
    print_runs(root)


@app.command()
def problems(
    reference: Annotated[str | None, typer.Argument(help="Show one problem in detail.")] = None,
) -> None:
    """List the problems that can be named, with their variables, metrics and objectives."""
    from evo_moo.tables import print_problem, print_problems

    if reference is None:
        print_problems()
    else:
        print_problem(reference)


@app.command()
def check(
    reference: Annotated[str, typer.Argument(metavar="PROBLEM", help="A problem, as for `run`.")],
    options: Annotated[
        list[str] | None, typer.Option("--option", metavar="NAME=VALUE", help="Option of the problem, repeatable.")
    ] = None,
    n_evals: Annotated[int, typer.Option(min=1, help="Number of configurations to evaluate.")] = 4,
    timeout: Annotated[str | None, typer.Option(help="Time limit of one evaluation, as '90' or '10 min'.")] = None,
) -> None:
    """Try a problem: its definition, some evaluations, the same again; list every fault."""
    from evo_moo.checking import try_problem
    from evo_moo.errors import JobError
    from evo_moo.job import override, seconds
    from evo_moo.plugins import ProblemSource, absolute_reference
    from evo_moo.tables import print_check

    data: dict[str, Any] = {"problem": {}}
    override(data, [f"problem.options.{option}" for option in options or []])
    source = ProblemSource(absolute_reference(reference, Path()), data["problem"].get("options", {}))
    try:
        timeout_s = seconds(f"{timeout} s" if timeout.replace(".", "").isdigit() else timeout) if timeout else None
    except ValueError as error:
        raise JobError([f"`--timeout` {error}, but is {timeout!r}"]) from None
    done = try_problem(source, n_evals, timeout_s=timeout_s)
    print_check(done, reference)
    if done.faults:
        _exit(WRONG_INPUT, *done.faults)


@app.command()
def latency(
    reference: Annotated[str, typer.Argument(metavar="PROBLEM", help="A problem that has a `network` method.")],
    options: Annotated[
        list[str] | None, typer.Option("--option", metavar="NAME=VALUE", help="Option of the problem, repeatable.")
    ] = None,
    config: Annotated[str | None, typer.Option(metavar="JSON", help="The configuration; else one is drawn.")] = None,
    run_dir: Annotated[Path | None, typer.Option("--run", metavar="RUN", help="Take it from this run.")] = None,
    config_id: Annotated[int | None, typer.Option(help="Its number in that run.")] = None,
    seed: Annotated[int, typer.Option(help="Decides which configuration is drawn.")] = 0,
    repeats: Annotated[int, typer.Option(min=1, help="Number of measurements.")] = 3,
    runtime: Annotated[
        str, typer.Option(help="torch, torch.compile, torchscript, torch.export, onnxruntime.")
    ] = "torch",
    batch_size: Annotated[int | None, typer.Option(min=1, help="Samples per forward pass.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of one forward pass.")] = 1,
    channels_last: Annotated[bool, typer.Option("--channels-last", help="Memory format.")] = False,
    device: Annotated[str | None, typer.Option(help="Where it runs, such as cuda.")] = None,
) -> None:
    """Measure the latency of one configuration several times, and show how far to trust it."""
    from evo_moo.job import override
    from evo_moo.latency_report import report_latency

    data: dict[str, Any] = {"problem": {}}
    override(data, [f"problem.options.{option}" for option in options or []])
    report_latency(
        reference,
        data["problem"].get("options", {}),
        config,
        _run_dir(run_dir) if run_dir else None,
        config_id,
        seed,
        repeats,
        runtime=runtime,
        batch_size=batch_size,
        threads=threads,
        channels_last=channels_last,
        device=device,
    )


@app.command()
def new(path: Annotated[Path, typer.Argument(metavar="FILE.py", help="The file to write.")]) -> None:
    """Write a commented starting file for a problem, which runs as it is."""
    from evo_moo.starting_file import write_starting_file

    name = write_starting_file(path)
    typer.echo(f"{path} is written; try: evo-moo check {path}:{name}")


def _run(job: Any, problem: Any, source: Any, run_dir: Path | None) -> None:
    from evo_moo.api import run_job
    from evo_moo.run_folder import new_run_dir

    path = run_dir or new_run_dir(RUNS, job.problem.use.rpartition(":")[2])
    typer.echo(f"run folder {path}", err=True)
    _report(run_job(job, problem, source, path, verbose=True))


def _report(result: "Result") -> None:
    """Show what a run found, and draw it."""
    _print_front(result)
    if result.run_dir is not None and result.front:
        result.plot(result.run_dir / "front.png")


def _print_front(result: "Result") -> None:
    from evo_moo.tables import print_front

    print_front(result)


def _run_dir(path: Path) -> Path:
    """Take a run folder by its path, or by its name below runs/."""
    return path if path.exists() or not (RUNS / path).exists() else RUNS / path

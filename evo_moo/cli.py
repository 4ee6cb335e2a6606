"""The command line. Exit codes: 0 done, 1 failed, 2 wrong input, 75 stopped and resumable."""

import csv
import json
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
    from evo_moo.errors import EvoMooError, JobError, RunFolderError, RunStoppedError, SearchFailedError

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
    except KeyboardInterrupt:
        _exit(RESUMABLE, "stopped at once; everything that ended is recorded")
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(FAILED)


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
    run_dir: Annotated[Path | None, typer.Option(help="Run folder to create or continue.")] = None,
    workers: Annotated[int | None, typer.Option(help="Number of worker processes.")] = None,
    n_evals: Annotated[int | None, typer.Option(help="Number of evaluations.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything but measured times.")] = None,
) -> None:
    """Search a problem, or run a job file."""
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
        if number is not None:
            data.setdefault(section, {})[key] = number
    if isinstance(data["problem"], dict) and isinstance(data["problem"].get("use"), str):
        data["problem"]["use"] = absolute_reference(data["problem"]["use"], Path())
    _run(*check_job(data), run_dir)


@app.command()
def resume(path: RunDir) -> None:
    """Go on with a run that was stopped or killed."""
    from evo_moo.api import resume

    path = _run_dir(path)
    _report(resume(path, verbose=True))


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
        writer = csv.DictWriter(sys.stdout, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)
    else:
        _print_front(result)


@app.command("list")
def list_runs(root: Annotated[Path, typer.Argument(help="Folder of the run folders.")] = RUNS) -> None:
    """List the runs: state, progress, best values."""
    from evo_moo.tables import print_runs

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
    timeout: Annotated[float | None, typer.Option(help="Time limit of one evaluation, in seconds.")] = None,
) -> None:
    """Try a problem: its definition, some evaluations, the same again; list every fault."""
    from evo_moo.checking import try_problem
    from evo_moo.job import override
    from evo_moo.plugins import ProblemSource, absolute_reference
    from evo_moo.tables import print_check

    data: dict[str, Any] = {"problem": {}}
    override(data, [f"problem.options.{option}" for option in options or []])
    source = ProblemSource(absolute_reference(reference, Path()), data["problem"].get("options", {}))
    done = try_problem(source, n_evals, timeout_s=timeout)
    print_check(done, reference)
    if done.faults:
        _exit(WRONG_INPUT, *done.faults)


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

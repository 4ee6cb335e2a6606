"""The command line. Exit codes: 0 done, 1 failed, 2 wrong input, 3 alarm of a watch, 75 stopped and resumable."""

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from evo_moo.cli.batch import batch
from evo_moo.cli.compare import compare
from evo_moo.cli.confirm import confirm
from evo_moo.cli.deployment.build import build
from evo_moo.cli.deployment.serve import serve
from evo_moo.cli.deployment.verify import verify
from evo_moo.cli.deployment.watch import watch
from evo_moo.cli.devices.commands import app as device_app
from evo_moo.cli.governance.commands import audit, diff
from evo_moo.cli.importance import importance
from evo_moo.cli.pick import pick
from evo_moo.cli.problems import check, latency, new, problems
from evo_moo.cli.runs import (
    RUNS,
    AcceptChanges,
    NewPlace,
    ProblemOptions,
    RunDir,
    Trust,
    doctor,
    export,
    folder_of,
    list_runs,
    name_code,
    report,
    show,
)
from evo_moo.cli.work.command import work

if TYPE_CHECKING:
    from evo_moo.analysis.result import Result
    from evo_moo.run.preparation.prepared import PreparedJob

FAILED, WRONG_INPUT, RESUMABLE = 1, 2, 75
StopWhen = Annotated[
    str | None,
    typer.Option(metavar="RULE", help="End when it gets no better: 'hypervolume stalls', ftol, xtol, default; none."),
]
Deadline = Annotated[
    str | None, typer.Option(metavar="TIME", help="When to stop, to be resumed, as 2026-12-01T08:00:00; none.")
]

Listen = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Where `evo-moo work` joins, as tcp://0.0.0.0:8786; none: own workers."),
]
Keys = Annotated[str | None, typer.Option(metavar="DIR", help="With --listen: the keys of the run and its workers.")]

app = typer.Typer(
    help="Search neural architectures and training hyperparameters for the trade-offs between several goals.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line; errors become one message and an exit code."""
    from evo_moo.errors import (
        EvoMooError,
        NoChoiceError,
        RunFolderError,
        RunStoppedError,
        SearchFailedError,
        StopNow,
        UsageError,
    )

    try:
        app()
    except RunStoppedError as error:
        _exit(RESUMABLE, str(error))
    except (RunFolderError, SearchFailedError, NoChoiceError) as error:
        _exit(FAILED, str(error))
    except UsageError as error:
        _exit(WRONG_INPUT, *error.faults)
    except EvoMooError as error:
        _exit(WRONG_INPUT, str(error))
    except StopNow:
        _exit(RESUMABLE, "stopped at once; everything that ended is recorded, and `evo-moo resume` goes on")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _exit(code: int, *messages: str) -> NoReturn:
    from evo_moo.text import printable, shortened

    for message in messages:
        typer.echo(f"evo-moo: {printable(shortened(message))}", err=True)
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
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the job, repeatable."),
    ] = None,
    more_directions: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    options: ProblemOptions = None,
    directions: Annotated[
        list[str] | None,
        typer.Option(metavar="maximize|minimize ...", help="Of an Optuna objective: what is sought of each value."),
    ] = None,
    run_dir: Annotated[str | None, typer.Option(help="Run folder to create or continue.")] = None,
    from_runs: Annotated[
        list[Path] | None,
        typer.Option("--from", metavar="RUN", help="Earlier run to start and learn from, repeatable."),
    ] = None,
    known: Annotated[
        list[Path] | None,
        typer.Option(metavar="CSV", help="Table of configurations measured elsewhere, with metrics; repeatable."),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Number of worker processes.")] = None,
    gpus: Annotated[
        str | None, typer.Option(metavar="auto|0,1", help="Pin each worker to a GPU: of all, or of these.")
    ] = None,
    n_evals: Annotated[int | None, typer.Option(help="Number of evaluations.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything but measured times.")] = None,
    algorithm: Annotated[
        str | None,
        typer.Option(
            help="nsga2, nsga3; pymoo's moead, smsemoa, …; baselines: random, sobol, grid, weighted-sum, tchebycheff."
        ),
    ] = None,
    surrogate: Annotated[
        str | None,
        typer.Option(metavar="auto|none|gp|rf|REF", help="Models that propose candidates; auto if --n-evals <= 1000."),
    ] = None,
    stop_when: StopWhen = None,
    deadline: Deadline = None,
    listen: Listen = None,
    keys: Keys = None,
    accept_changes: AcceptChanges = False,
    end_with_stdin: Annotated[bool, typer.Option("--end-with-stdin", hidden=True)] = False,
) -> None:
    """Search a problem, or run a job file."""
    from evo_moo.run.stop_signals import end_with_stdin as follow_stdin
    from evo_moo.run.stop_signals import stop_at_once_on_signals

    stop_at_once_on_signals()
    if end_with_stdin:
        follow_stdin(RESUMABLE)
    from evo_moo.errors import UsageError
    from evo_moo.job.check import check_job
    from evo_moo.job.file import direction_settings, gpu_setting, option_settings, read_job_file, settings
    from evo_moo.plugins import job_file_of
    from evo_moo.run.preparation.prepared import outside_faults, prepare

    job_file = Path(what) if what.endswith(".toml") else job_file_of(what)
    data = read_job_file(job_file) if job_file else {"problem": {"use": what}}
    by_option = {
        "evaluation.workers": workers,
        "evaluation.gpus": gpus and gpu_setting(gpus),
        "budget.n_evals": n_evals,
        "search.seed": seed,
        "search.algorithm": algorithm,
        "surrogate.model": surrogate or None,
        "search.known": [str(path) for path in known or []] or None,
        "search.from": [str(folder_of(path)) for path in from_runs or []] or None,
    }
    changes = option_settings(options or []) | settings(assignments or [])
    changes |= direction_settings(directions or [], more_directions or [])
    changes |= {key: value for key, value in by_option.items() if value is not None}
    changes |= {f"budget.{key}": value for key, value in _given(stop_when=stop_when, deadline=deadline).items()}
    changes |= {f"evaluation.{key}": value for key, value in _given(listen=listen, keys=keys).items()}
    if run_dir == "":
        raise UsageError("`--run-dir` must name a folder, but is empty")
    folder = Path(run_dir) if run_dir else None
    checked = check_job(data, changes=changes, more=outside_faults(folder))
    _run(prepare(*checked, folder, accept_changes=accept_changes), folder)


@app.command()
def resume(
    path: RunDir,
    n_evals: Annotated[int | None, typer.Option(help="A larger number of evaluations in all.")] = None,
    stop_when: StopWhen = None,
    deadline: Deadline = None,
    listen: Listen = None,
    keys: Keys = None,
    problem: NewPlace = None,
    accept_changes: AcceptChanges = False,
    trust: Trust = False,
) -> None:
    """Go on with a run that was stopped or killed, or that is to have a larger budget."""
    from evo_moo.run.stop_signals import stop_at_once_on_signals

    stop_at_once_on_signals()
    from evo_moo.run.api import resume

    path = folder_of(path)
    name_code(path, problem, trust)
    changed: dict[str, Any] = {"n_evals": n_evals, "budget": _given(stop_when=stop_when, deadline=deadline)}
    changed["evaluation"] = _given(listen=listen, keys=keys)
    _report(resume(path, problem, **changed, accept_changes=accept_changes, verbose=True))


def _given(**options: str | None) -> dict[str, Any]:
    """Return the keys of the job that options set; 'none' takes one away."""
    return {key: None if text == "none" else text for key, text in options.items() if text is not None}


def _run(prepared: "PreparedJob", run_dir: Path | None) -> None:
    from evo_moo.errors import EvoMooError
    from evo_moo.problem.command.words import COMMAND
    from evo_moo.run.api import run_job
    from evo_moo.run.assembly import words_on_the_grid
    from evo_moo.storage.run_folder import new_run_dir

    use = prepared.job.problem.use
    path = run_dir or new_run_dir(RUNS, prepared.problem.name() if use == COMMAND else use.rpartition(":")[2])
    typer.echo(f"run folder {path}", err=True)
    if words := words_on_the_grid(prepared.job, prepared.problem):
        typer.echo(f"evo-moo: {words}", err=True)
    try:
        result = run_job(prepared, path, verbose=True)
    except EvoMooError:
        if run_dir is None:
            with contextlib.suppress(OSError):
                path.rmdir()  # an empty one: the run was refused
        raise
    _report(result)


def _report(result: "Result") -> None:
    """Show what a run found, and draw it, unless that was done since it ended."""
    from evo_moo.cli.console import draw
    from evo_moo.cli.front_table import print_front
    from evo_moo.storage.reading import guarded_reads, is_up_to_date

    with guarded_reads(result.run_dir):
        print_front(result)
    if result.run_dir is None:
        return
    if result.front and not is_up_to_date(result.run_dir / "front.png"):
        draw(result.plot, result.run_dir / "front.png", is_asked_for=False)
    if not is_up_to_date(result.run_dir / "report.html"):
        from evo_moo.report.page import write_report_at_end

        write_report_at_end(result.run_dir)


_COMMANDS: tuple[Callable[..., None], ...] = (batch, show, pick, list_runs, importance, export, confirm, compare)
_COMMANDS += (report, doctor, problems, check, latency, new, work)
_COMMANDS += (build, verify, serve, watch, audit, diff)
for _command in _COMMANDS:
    app.command("list" if _command is list_runs else None)(_command)
app.add_typer(device_app, name="device")

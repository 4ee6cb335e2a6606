"""The commands that look at problems: list them, begin one, try one, measure one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evo_moo.cli.runs import ProblemOptions, folder_of

if TYPE_CHECKING:
    from evo_moo.plugins import ProblemSource


def problems(
    reference: Annotated[
        str | None, typer.Argument(metavar="JOB|PROBLEM", help="Show one problem in detail, or that of a job file.")
    ] = None,
) -> None:
    """List the problems that can be named, with their variables, metrics and objectives."""
    from evo_moo.cli.problem_tables import print_problem, print_problems

    if reference is None:
        print_problems()
    else:
        print_problem(_source_of(reference, [])[0].build(), reference)


def check(
    reference: Annotated[str, typer.Argument(metavar="JOB|PROBLEM", help="A job file or a problem, as for `run`.")],
    options: ProblemOptions = None,
    n_evals: Annotated[int, typer.Option(min=1, help="Number of configurations to evaluate.")] = 4,
    timeout: Annotated[str | None, typer.Option(help="Time limit of one evaluation, as '90' or '10 min'.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the commands of some configurations.")] = False,
) -> None:
    """Try a problem: its definition, some evaluations, the same again; list every fault."""
    from evo_moo.cli.problem_tables import print_calls, print_check
    from evo_moo.errors import UsageError
    from evo_moo.evaluation.check_problem import try_problem
    from evo_moo.job.budget import seconds

    source, limit_s = _source_of(reference, options or [])
    if dry_run:
        print_calls(source.build(), n_evals)
        return
    try:
        timeout_s = seconds(f"{timeout} s" if timeout.replace(".", "").isdigit() else timeout) if timeout else limit_s
    except ValueError as error:
        raise UsageError(f"`--timeout` {error}, but is {timeout!r}") from None
    done = try_problem(source, n_evals, timeout_s=timeout_s)
    print_check(done, reference)
    if done.faults:
        raise UsageError(*done.faults)


def _source_of(reference: str, options: list[str]) -> "tuple[ProblemSource, float | None]":
    """Return how the problem of a job file, or a problem, is built, and the time limit that the job file sets."""
    from evo_moo.job.check import check_job
    from evo_moo.job.file import option_settings, problem_options, read_job_file
    from evo_moo.plugins import ProblemSource, absolute_reference

    if not reference.endswith(".toml"):
        return ProblemSource(absolute_reference(reference, Path()), problem_options(options)), None
    data = {"budget": {"n_evals": 1}} | read_job_file(Path(reference))
    job, _, source = check_job(data, changes=option_settings(options))
    return source, job.evaluation.timeout


def latency(
    reference: Annotated[str, typer.Argument(metavar="PROBLEM", help="A problem that has a `network` method.")],
    options: ProblemOptions = None,
    config: Annotated[str | None, typer.Option(metavar="JSON", help="The configuration; else one is drawn.")] = None,
    run_dir: Annotated[Path | None, typer.Option("--run", metavar="RUN", help="Take it from this run.")] = None,
    config_id: Annotated[str | None, typer.Option(help="Its number in that run.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides which configuration is drawn.")] = 0,
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
    from evo_moo.cli.latency import report_latency
    from evo_moo.job.file import problem_options

    run_dir = folder_of(run_dir) if run_dir else None
    what = reference, problem_options(options or []), config, run_dir, config_id, seed, repeats
    report_latency(
        *what, runtime=runtime, batch_size=batch_size, threads=threads, channels_last=channels_last, device=device
    )


def new(path: Annotated[Path, typer.Argument(metavar="FILE.py", help="The file to write.")]) -> None:
    """Write a commented starting file for a problem, which runs as it is."""
    from evo_moo.cli.starting_file import write_starting_file

    name = write_starting_file(path)
    typer.echo(f"{path} is written; try: evo-moo check {path}:{name}")

"""The command that watches a served model by its log."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evo_moo.cli.runs import AsJson, NewPlace, ProblemOptions, Trust, folder_of, name_code

if TYPE_CHECKING:
    from evo_moo.deployment.watch.alarm import Alarm
    from evo_moo.deployment.watch.watch import Watch

ALARM = 3
"""Exit code where an alarm was raised."""


def watch(
    path: Annotated[Path, typer.Argument(metavar="DIR", help="The folder that `evo-moo build` wrote.")],
    log: Annotated[Path, typer.Option("--log", metavar="FILE", help="The log: .jsonl, .csv or .parquet.")],
    limits: Annotated[
        list[str] | None,
        typer.Option("--limit", metavar="LIMIT", help='Instead of the card\'s, as "accuracy >= 0.9"; repeatable.'),
    ] = None,
    false_alarms: Annotated[
        float | None, typer.Option(help="False alarms per month that are borne, of all tests together; else 1/12.")
    ] = None,
    window: Annotated[
        str, typer.Option(metavar="TIME", help="Windows of the page; seven are the rest after an alarm.")
    ] = "1 d",
    reference: Annotated[
        Path | None, typer.Option(metavar="FILE.npz", help="Data before: what `build --test-data` wrote.")
    ] = None,
    model: Annotated[str, typer.Option(help="Only rows of the log with this `model`.")] = "",
    state: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Go on where the last call stopped, and keep that there.")
    ] = None,
    skip_faulty: Annotated[bool, typer.Option("--skip-faulty", help="Leave out and count faulty rows.")] = False,
    webhook: Annotated[str | None, typer.Option(metavar="URL", help="Send every alarm there, by POST.")] = None,
    page: Annotated[
        Path | None, typer.Option("--report", metavar="FILE.html", help="Draw every metric over time.")
    ] = None,
    then: Annotated[
        str | None, typer.Option(metavar="research", help="On an alarm: write the job of a new search.")
    ] = None,
    run: Annotated[Path | None, typer.Option("--run", metavar="RUN", help="With --then: the old search.")] = None,
    job: Annotated[Path, typer.Option(metavar="FILE.toml", help="With --then: the job.")] = Path("research.toml"),
    options: ProblemOptions = None,
    problem: NewPlace = None,
    trust: Trust = False,
    as_json: AsJson = False,
) -> None:
    """Test a log against the card of a model; exit 3 if an alarm is raised, with one line of JSON for each."""
    from evo_moo.deployment.model_folder import ModelFolder
    from evo_moo.deployment.watch.alarm import checked_webhook
    from evo_moo.deployment.watch.page import write_page
    from evo_moo.deployment.watch.reference import Reference
    from evo_moo.deployment.watch.watch import FALSE_ALARMS, Settings, Watch, follow
    from evo_moo.errors import EvoMooError
    from evo_moo.text import printable

    run = _old_run(then, run, problem, trust)
    url = None if webhook is None else checked_webhook(webhook)
    folder = ModelFolder.read(path)
    false_alarms = FALSE_ALARMS if false_alarms is None else false_alarms
    settings = Settings(tuple(limits or ()), false_alarms, _seconds(window), model)
    before = None if reference is None else Reference.read(folder, reference)
    watching = Watch(folder.card, settings, before)
    n_alarms, n_faulty = follow(watching, log, state, lambda alarm: _tell(alarm, url), skip_faulty=skip_faulty)
    _summarise(watching, n_faulty, as_json)
    try:
        if n_alarms and run is not None:
            _write_research(run, job, options or [], problem)
        if page is not None:
            write_page(watching, page)
    except EvoMooError as error:
        if not n_alarms:
            raise
        typer.echo(printable(f"evo-moo: {error}"), err=True)  # the exit code is the alarm's
    if n_alarms:
        raise typer.Exit(ALARM)


def _old_run(then: str | None, run: Path | None, problem: str | None, trust: bool) -> Path | None:
    """Return the run that a new search begins from; None where none is asked for."""
    from evo_moo.errors import UsageError

    if then not in (None, "research"):
        raise UsageError(f"`--then` must be research, but is {then!r}")
    if (then is None) != (run is None):
        raise UsageError("`--then research` and `--run RUN` must go together; name both or none")
    if run is None:
        return None
    run = folder_of(run)
    name_code(run, problem, trust)
    return run


def _write_research(run: Path, job: Path, options: list[str], problem: str | None) -> None:
    """Write the job of the next search, unless an earlier alarm did."""
    from evo_moo.deployment.watch.research import write_research
    from evo_moo.job.file import option_settings

    if job.exists():
        typer.echo(f"evo-moo: {job} is there already, and stays as it is", err=True)
        return
    write_research(run, job, option_settings(options), problem)
    typer.echo(f"evo-moo: {job} is the job of the next search: evo-moo run {job}", err=True)


def _seconds(window: str) -> float:
    from evo_moo.errors import UsageError
    from evo_moo.job.budget import seconds

    try:
        return seconds(window)
    except ValueError as error:
        raise UsageError(f"`--window` {error}, but is {window!r}") from None


def _tell(alarm: "Alarm", url: str | None) -> None:
    from evo_moo.deployment.watch.alarm import send
    from evo_moo.text import printable

    typer.echo(json.dumps(alarm.to_json()))
    typer.echo(printable(f"evo-moo: alarm: {alarm.words}"), err=True)
    if url is not None and (failed := send(alarm, url)):
        typer.echo(printable(f"evo-moo: {failed}"), err=True)


def _summarise(watching: "Watch", n_faulty: int, as_json: bool) -> None:
    """Say what was watched, with the evidence now: as JSON to programs, else as a table beside the alarms."""
    from rich.console import Console

    from evo_moo.cli.console import new_table, safe
    from evo_moo.deployment.watch.page import reference_words

    rows = [(each, watching.streams[each.name].evidence()) for each in watching.watched]
    reader, reference = watching.reader, reference_words(watching)
    if as_json:
        known = [{"what": e.name, "promised": e.promised, "by": e.by, "test": e.test, "evidence": x} for e, x in rows]
        summary = {"kind": "summary", "rows": reader.row, "faulty": n_faulty, "waiting": len(reader.waiting)}
        summary |= {"reference": reference, "false_alarms_per_month": watching.settings.false_alarms}
        typer.echo(json.dumps(summary | {"watched": known}))
        return
    console = Console(stderr=True)
    console = console if console.is_terminal else Console(stderr=True, width=160)
    table = new_table(["watched", "promised", "by", "evidence, of an alarm's"], left=["watched", "promised", "by"])
    for each, evidence in rows:
        table.add_row(safe(each.name), safe(each.promised), safe(each.by), f"{evidence:.2g}")
    console.print(table)
    left_out = f"; {n_faulty:,} faulty rows are left out" if n_faulty else ""
    words = (
        f"{reader.row:,} rows; {len(reader.waiting):,} wait for their labels; drift is against {reference}{left_out}"
    )
    console.print(safe(words), highlight=False)

"""The commands that read run folders."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from evo_moo.report.formats import FORMATS, Format

if TYPE_CHECKING:
    from evo_moo.analysis.run_front import RunFront
    from evo_moo.analysis.statistics.choice_effects import ChoiceEffect
    from evo_moo.storage.ledger import Ledger

RUNS = Path("runs")
AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]
ProblemOptions = Annotated[
    list[str] | None, typer.Option("--option", metavar="NAME=VALUE", help="Option of the problem, repeatable.")
]
AcceptChanges = Annotated[
    bool, typer.Option("--accept-changes", help="Go on although the problem's code has changed; the run says so.")
]
NewPlace = Annotated[
    str | None,
    typer.Option("--problem", metavar="FILE.py:Class|DIR", help="Where the run's problem, or its program, lies now."),
]
Trust = Annotated[bool, typer.Option("--trust", help="Load the code that the run names, though you never ran it.")]
InContext = Annotated[
    str | None, typer.Option("--context", metavar="NAME", help="The front in one of the run's contexts.")
]
RunDir = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or its name below runs/.")]


def name_code(run_dir: Path, problem: str | None, trust: bool) -> None:
    """Say what code of a run folder is about to be loaded; ask, where this user has never run it.

    Args:
        run_dir: The run folder.
        problem: Where the user says that the problem lies now.
        trust: Whether the user trusts it without being asked.

    Raises:
        UsageError: It is not trusted.
    """
    from evo_moo.errors import UsageError
    from evo_moo.job.identity import of_anybody
    from evo_moo.problem.command.words import CommandInWords
    from evo_moo.run.preparation.recorded_job import code_to_load
    from evo_moo.text import printable, shortened

    named, is_known = code_to_load(run_dir, problem)
    foreign = of_anybody(named.values())
    for what, reference in named.items():
        if what == "problem" or reference in foreign:
            verb = "runs " if CommandInWords.read(reference) else f"loads the {what} "
            typer.echo(f"evo-moo: {verb}{printable(shortened(reference))}", err=True)
    if is_known or trust:
        return
    rule = f"code must be yours or trusted, but you have not run what `{run_dir}` names"
    if not (sys.stdin.isatty() and typer.confirm(f"evo-moo: {rule}. Load it?", err=True)):
        raise UsageError(f"{rule}: {' and '.join(foreign)}; look at it, then load it by --trust")


def show(
    path: RunDir,
    as_json: AsJson = False,
    context: InContext = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the front as CSV.")] = False,
    key: Annotated[str | None, typer.Option("--id", help="Show all that is known of one evaluation or point.")] = None,
    surrogate: Annotated[bool, typer.Option("--surrogate", help="Show how well the surrogate models predict.")] = False,
    plot: Annotated[
        bool, typer.Option("--plot", help="With --surrogate: draw it, as surrogate.png of the run.")
    ] = False,
    expected: Annotated[
        bool, typer.Option("--expected", help="Show the front by what models expect of noisy objectives.")
    ] = False,
    rungs: Annotated[bool, typer.Option("--rungs", help="Show how candidates rose from short evaluations.")] = False,
    choices: Annotated[
        bool, typer.Option("--choices", help="Show what each choice after a training gained and cost.")
    ] = False,
) -> None:
    """Show a run's Pareto front, the story of one evaluation or point, or the surrogate models."""
    from evo_moo.analysis.provenance import provenance
    from evo_moo.analysis.rung_summary import rung_report
    from evo_moo.cli.console import show_data
    from evo_moo.cli.provenance_table import print_provenance
    from evo_moo.cli.rung_table import print_rungs
    from evo_moo.errors import UsageError
    from evo_moo.problem.points import read_key
    from evo_moo.storage.reading import reading

    path = folder_of(path)
    if context is not None and (key is not None or surrogate or plot or rungs):
        raise UsageError("`--context` must go with a front: alone, or with --csv, --json, --expected or --choices")
    with reading(path) as ledger:
        if key is not None:
            show_data(provenance(ledger, read_key(key)), print_provenance, as_json)
        elif surrogate or plot:
            _show_surrogate(ledger, path, as_json, plot)
        elif expected:
            from evo_moo.analysis.expected_front import expected_front
            from evo_moo.cli.model_tables import print_expected

            show_data(expected_front(path, context), print_expected, as_json)
        elif rungs:
            show_data(rung_report(ledger), print_rungs, as_json)
        elif choices:
            from evo_moo.cli.front_table import print_choices

            front = _front(ledger, path, context)
            effects = _effects(ledger, front)
            show_data([asdict(e) for e in effects], lambda _: print_choices(effects, front), as_json)
        else:
            front = _front(ledger, path, context)
            effects = _effects(ledger, front) if as_json and front.has_points else []
            _show_front(front, effects, as_json, as_csv)


def _front(ledger: "Ledger", path: Path, context: str | None) -> "RunFront":
    from evo_moo.analysis.run_front import RunFront

    front = RunFront.of_ledger(ledger, path)
    return front if context is None else front.within(context)


def _effects(ledger: "Ledger", front: "RunFront") -> "list[ChoiceEffect]":
    from evo_moo.analysis.statistics.choice_effects import choice_effects
    from evo_moo.errors import UsageError

    if not front.has_points:
        raise UsageError("`--choices` must go with a run whose problem has post-training variables, but this has none")
    return choice_effects(ledger.evaluations(), {e.id for e in front.front})


def _show_front(front: "RunFront", effects: "list[ChoiceEffect]", as_json: bool, as_csv: bool) -> None:
    from evo_moo.cli.front_table import print_front
    from evo_moo.storage.reading import csv_text
    from evo_moo.text import printable

    if as_json:
        known = {"choices": [asdict(e) for e in effects]} if effects else {}
        typer.echo(json.dumps(_front_json(front, known), indent=1))
    elif as_csv:
        text = csv_text(front.rows())
        sys.stdout.write(printable(text) if sys.stdout.isatty() else text)
    else:
        print_front(front)


def _front_json(front: "RunFront", beside: dict[str, Any]) -> dict[str, Any]:
    """Return a front as plain data, with contexts also that of each; ``beside`` stands before the members."""
    share = front.share_of_true_hypervolume()
    known: dict[str, Any] = {"context": front.context} if front.context else {}
    known |= {} if share is None else {"share_of_true_hypervolume": share}
    if front.hypervolume_in_words():
        known |= {"hypervolume": front.hypervolume()} | (
            {"hypervolume_box": front.hypervolume_box} if front.box else {}
        )
    known |= {"code_changes": front.code_changes} if front.code_changes else {}
    if front.contexts:
        known["contexts"] = {name: _front_json(front.within(name), {}) for name in front.contexts}
    members = [
        {
            "id": e.id,
            **({"contexts": front.serves[e.id]} if front.serves else {}),
            "metrics": e.metrics,
            "sd": front.spread.get(e.id, {}),
            **({"in_doubt": front.doubts[e.id]} if e.id in front.doubts else {}),
            "configuration": e.configuration,
        }
        for e in front.front
    ]
    return {"feasible": front.feasible, **known, **beside, "front": members}


def _show_surrogate(ledger: "Ledger", path: Path, as_json: bool, plot: bool) -> None:
    from evo_moo.analysis.surrogate_quality import surrogate_quality
    from evo_moo.cli.console import draw, show_data
    from evo_moo.cli.model_tables import print_surrogate

    quality = surrogate_quality(ledger)
    show_data(quality.to_json() if as_json else quality, print_surrogate, as_json)
    if plot:
        from evo_moo.analysis.figures import surrogate_figure

        draw(lambda: surrogate_figure(quality), path / "surrogate.png")


def export(
    path: RunDir,
    to: Annotated[str, typer.Option(metavar="FORMAT", help=f"One of {', '.join(FORMATS)}.")],
    output: Annotated[
        str | None, typer.Option(help="File to write, - for standard output, or MLflow's tracking URI.")
    ] = None,
    front: Annotated[bool, typer.Option("--front", help="Only the Pareto front.")] = False,
    context: InContext = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there already.")] = False,
) -> None:
    """Write a run for another program; its problem is not needed."""
    from evo_moo.report.export import export_run

    written = export_run(folder_of(path), cast(Format, to), output, front_only=front, context=context, force=force)
    if written != "-":
        typer.echo(f"{written} is written")


def report(
    path: RunDir,
    output: Annotated[Path | None, typer.Option(help="File to write; else report.html in the run folder.")] = None,
    figures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the figures as PNG and SVG, with their numbers.")
    ] = None,
) -> None:
    """Write what a run found as one HTML file; the run may still go on."""
    from evo_moo.report.content import read_report
    from evo_moo.report.page import write_page

    path = folder_of(path)
    content = read_report(path)
    typer.echo(f"{write_page(content, path, output)} is written")
    if figures is not None:
        from evo_moo.report.paper_figures import draw_report

        typer.echo(f"{len(draw_report(content, path, figures))} files are written to {figures}")


def list_runs(root: Annotated[Path, typer.Argument(help="Folder of the run folders.")] = RUNS) -> None:
    """List the runs: state, progress, best values."""
    from evo_moo.cli.overview_tables import print_runs
    from evo_moo.errors import RunFolderError

    if root != RUNS and not root.is_dir():
        raise RunFolderError(f"`{root}` must be a folder of run folders, but there is no such folder")
    print_runs(root)


def doctor(
    path: RunDir,
    repair: Annotated[bool, typer.Option("--repair", help="Save what can be saved.")] = False,
    unlock: Annotated[bool, typer.Option("--unlock", help="Forget a holder that died on another host.")] = False,
) -> None:
    """Check a run folder part by part: exit 0 when it is sound, 1 when it is damaged."""
    from evo_moo.cli.overview_tables import print_findings
    from evo_moo.run.doctor import examine
    from evo_moo.run.repair import repair as save_what_can_be
    from evo_moo.storage.folder_lock import unlock as forget_holder
    from evo_moo.text import printable

    path = folder_of(path)
    if unlock:
        forgotten = forget_holder(path)
        typer.echo(f"forgot the holder {json.dumps(forgotten)}" if forgotten else "there was no holder to forget")
    if repair:
        for line in save_what_can_be(path):
            typer.echo(printable(line))
    findings = examine(path)
    print_findings(findings)
    if not all(finding.sound for finding in findings):
        raise typer.Exit(1)


def folder_of(path: Path) -> Path:
    """Take a run folder by its path, or by its name below runs/."""
    return path if path.exists() or not (RUNS / path).exists() else RUNS / path

"""The report of a run: one HTML file that shows it all, opens anywhere and loads nothing."""

import base64
import contextlib
import gzip
import importlib.metadata
import importlib.util
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evo_moo.analysis.fronts.endings import why_no_front
from evo_moo.analysis.governance.audit import detail_in_words
from evo_moo.analysis.statistics.choice_effects import change_words
from evo_moo.errors import UsageError
from evo_moo.files import guarded_writes, write_whole
from evo_moo.problem.points import key_in_words
from evo_moo.report.columns import Column, Table
from evo_moo.report.content import Report, read_report
from evo_moo.report.front_part import History
from evo_moo.storage.log import logged
from evo_moo.storage.reading import guarded_reads
from evo_moo.text import FEWEST, digits_apart, in_words, printable

LOGGER = logging.getLogger("evo_moo")
NAME = "report.html"
MOST_ROWS = 300
TEMPLATES = Path(__file__).with_name("templates")
_SCRIPTS = ("report.js", "figures.js", "progress.js")
_PLOTLY = "package_data/plotly.min.js"


def write_report(run_dir: str | Path, output: str | Path | None = None, *, with_importances: bool = True) -> Path:
    """Write the report of a run, which may still go on; the run is only read.

    Args:
        run_dir: The run folder.
        output: File to write, by default ``report.html`` in the run folder; what is there is replaced.
        with_importances: See ``read_report``.

    Returns:
        The file.

    Raises:
        RunFolderError: It is no run folder, holds no run that has begun, or the file cannot be written.
        UsageError: A package that the report needs is not installed.
    """
    return write_page(read_report(run_dir, with_importances=with_importances), run_dir, output)


def write_page(report: Report, run_dir: str | Path, output: str | Path | None = None) -> Path:
    """Write a report that is read; arguments and errors as for ``write_report``."""
    path = Path(output) if output is not None else Path(run_dir) / NAME
    with guarded_reads(Path(run_dir)):
        page = report_page(report)
    with guarded_writes(path):
        write_whole(path, page)
    return path


def write_report_at_end(run_dir: Path) -> None:
    """Write the report of a run that has ended; what keeps it from being written is a warning in the log."""
    try:
        write_report(run_dir, with_importances=False)
    except Exception as error:
        with contextlib.suppress(OSError), logged(run_dir):
            LOGGER.warning("%s is not written: %s", NAME, printable(str(error) or in_words(error)))


def report_page(report: Report) -> str:
    """Return the page.

    Args:
        report: What it shows.

    Raises:
        UsageError: A package that it needs is not installed.
    """
    try:
        import jinja2
        from markupsafe import Markup
    except ImportError as error:
        raise _missing("jinja2") from error
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    texts = {name: (TEMPLATES / name).read_text(encoding="utf-8") for name in ("report.css", *_SCRIPTS)}
    return environment.get_template("report.html.j2").render(
        d=report,
        css=Markup(texts["report.css"]),
        js=Markup("\n".join(texts[name] for name in _SCRIPTS)),
        json=Markup(in_script(report.to_json())),
        plotly=Markup(_plotly()),
        num=number,
        why_no_front=why_no_front,
        detail_in_words=detail_in_words,
        **_words(report),
    )


def in_script(json: str) -> str:
    """Return JSON in which nothing can be taken for an end of the page's script element, or for markup."""
    for char in "<>&\u2028\u2029":
        json = json.replace(char, f"\\u{ord(char):04x}")
    return json


def _plotly() -> str:
    """Return plotly.js of the installed package, compressed, as base64: two fifths of its size."""
    spec = importlib.util.find_spec("plotly")
    if spec is None or not spec.submodule_search_locations:
        raise _missing("plotly")
    code = (Path(spec.submodule_search_locations[0]) / _PLOTLY).read_bytes()
    return base64.b64encode(gzip.compress(code, 4, mtime=0)).decode()


def _missing(package: str) -> UsageError:
    return UsageError(f"a report must have the package {package}, which is not installed; pip install {package}")


def _words(report: Report) -> dict[str, Any]:
    """Return what the template shows in words and tables."""
    fronts = {name: report.within(name) for name in report.contexts} or {"": report}
    tables = [_shown_table(name, front) for name, front in fronts.items()] if report.objectives else []
    models = report.surrogate.metrics
    most = max((failure.n for failure in report.failures), default=1)
    metrics = [c for c in report.columns.metrics if next(iter(fronts.values())).result.names.are_here(c.name)]
    kinds = [True, *(column.levels is None for column in (*metrics, *report.columns.listed))]
    return {
        "sections": _sections(report, any(table["rows"] for table in tables), models),
        "tiles": _tiles(report),
        "in_tiles": ("Evaluations", "Front", "Hypervolume", "True front"),
        "front_tables": tables,
        "n_objectives": len(next(iter(fronts.values())).objectives),
        "numeric": {i for i, is_numeric in enumerate(kinds) if is_numeric},
        "history_words": {name: _history_words(front.history) for name, front in fronts.items()},
        "change_words": change_words,
        "choice_metrics": [c for c in report.columns.metrics if any(c.name in e.changes for e in report.choices)],
        "failure_rows": [(f"{f.status}: {f.reason}", f.n / most, f"{f.n:,}") for f in report.failures],
        "most_asked": max((rung["asked"] for rung in (report.rungs or {}).get("rungs", [])), default=1),
        "models": models,
        "has_pairs": any(model.pairs for model in models.values()),
        "has_choices": any(model.history for model in models.values()),
        "importance_rows": {
            name: [
                (variable, share / (max(shares.values()) or 1.0), f"{share:.0%}") for variable, share in shares.items()
            ]
            for name, shares in report.importances.shares.items()
        },
        "version": importlib.metadata.version("evo-moo"),
    }


def _shown_table(context: str, report: Report) -> dict[str, Any]:
    """Return what the template shows of a front as a table."""
    headings, rows = front_table(report, MOST_ROWS)
    n = len(report.columns.rows("front"))
    words = f"The first {MOST_ROWS} of {n}; front.csv has all." if n > MOST_ROWS else ""
    return {"context": context, "headings": headings, "rows": rows, "words": words, "feasible": report.feasible}


def front_table(report: Report, most: int | None = None) -> tuple[list[str], list[list[str]]]:
    """Return the front, or the first of it, as headings and rows of words: id, metrics, objectives first, values.

    Of the front in one context, the metrics of others are left out, and the last column names the others that a member
    serves.
    """
    table, first = report.columns, report.objectives[0]
    metrics, result = [column for column in table.metrics if report.result.names.are_here(column.name)], report.result
    shown, front = [*metrics, *table.listed], table.rows("front")
    values = table.metric(first.name).values[front]
    front = front[np.argsort(-values if first.direction == "max" else values, kind="stable")][:most]
    digits = [digits_apart(column.values[front].tolist()) for column in shown]
    columns = [(column, n, k < len(metrics)) for k, (column, n) in enumerate(zip(shown, digits, strict=True))]
    rows = [[str(table.id[i]), *(_cell(i, table, *column) for column in columns)] for i in front]
    if not result.context:
        return ["id", *(column.title for column in shown)], rows
    others = [[n for n in result.serves.get(table.id[i], ()) if n != result.context] for i in front]
    rows = [[*row, ", ".join(names)] for row, names in zip(rows, others, strict=True)]
    return ["id", *(column.title for column in shown), "also on the front in"], rows


def _cell(i: int, table: Table, column: Column, digits: int, is_metric: bool) -> str:
    value = float(column.values[i])
    if np.isnan(value):
        return ""
    if column.levels is not None:
        return column.levels[int(value)]
    if not is_metric:
        return number(value, digits)
    if interval := table.doubts.get(column.name, {}).get(str(i)):
        low, high = interval
        return f"{number(value, digits)}? ({number(low, digits)} to {number(high, digits)})"
    sd = table.sd.get(column.name, {}).get(str(i), 0.0)
    return number(value, digits) + (f" ± {sd:.2g}" if sd else "")


def number(value: float | None, digits: int = FEWEST) -> str:
    """Write a number as people read it: some digits, without an exponent where that is short."""
    if value is None:
        return ""
    whole = float(value).is_integer() or abs(value) >= 10**digits
    return f"{value:,.0f}" if whole and abs(value) < 1e7 else f"{value:.{digits}g}"


def _sections(report: Report, has_front: bool, models: Mapping[str, Any]) -> list[tuple[str, str]]:
    title = "Pareto front" if len(report.objectives) > 1 else "Best"
    known = [
        ("s-summary", "Summary", True),
        ("s-front", title, has_front),
        ("s-parallel", "Variables", has_front),
        ("s-table", "Table", has_front),
        ("s-choices", "Choices", bool(report.choices)),
        ("s-progress", "Progress", len(report.history.n) > 0),
        ("s-failures", "Failures", bool(report.failures)),
        ("s-rungs", "Refinement", bool(report.rungs)),
        ("s-models", "Models", bool(models)),
        ("s-importances", "Importances", bool(report.importances.shares)),
        ("s-decisions", "Decisions", bool(report.timeline.entries)),
        ("s-audit", "Audit", True),
        ("s-environment", "Environment", bool(report.environment)),
    ]
    return [(anchor, words) for anchor, words, is_there in known if is_there]


def _tiles(report: Report) -> list[dict[str, str]]:
    facts = report.facts
    counts, _, endings = facts["Evaluations"].partition(":")
    tiles = [{"what": "Evaluations", "value": counts, "words": endings.strip()}]
    if len(report.objectives) > 1:
        size, _, rest = facts["Front"].partition(" ")
        tiles.append({"what": "On the Pareto front", "value": size, "words": rest})
    if "Hypervolume" in facts:
        value, _, box = facts["Hypervolume"].partition(" ")
        words = "; ".join(filter(None, (box, facts.get("True front"))))
        tiles.append({"what": "Hypervolume", "value": value, "words": words})
    for objective in report.objectives:
        if objective.best is not None and math.isfinite(objective.best):
            words = "" if objective.best_id is None else key_in_words(objective.best_id)
            words += "" if objective.goal is None else f"; goal {objective.goal:g}"
            tiles.append({"what": f"Best {objective.words}", "value": number(objective.best), "words": words})
    return tiles


def _history_words(history: History) -> str:
    if history.box is None:
        return ""
    ends = ", ".join(f"{name} {best:.4g} to {ref:.4g}" for name, (best, ref) in history.box.items())
    about = ", approximated" if len(history.box) > 5 else ""
    return (
        f"Hypervolume of the feasible evaluations{about}, as a share of {history.box_of}: {ends}, from the best values "
        "to a tenth of their range beyond the worst. It is above 1 where the front lies beyond the box, and compares "
        "within this run only. Equal points of the front count once."
    )

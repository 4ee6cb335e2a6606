"""The report of a run: one HTML file that shows it all, opens anywhere and loads nothing."""

import base64
import contextlib
import gzip
import importlib.util
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from evo_moo.errors import UsageError
from evo_moo.files import guarded_writes, write_whole
from evo_moo.report.content import front_table, number, report_data
from evo_moo.storage.log import logged
from evo_moo.storage.reading import guarded_reads
from evo_moo.text import in_words, printable

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
        with_importances: See ``report_data``.

    Returns:
        The file.

    Raises:
        RunFolderError: It is no run folder, holds no run that has begun, or the file cannot be written.
        UsageError: A package that the report needs is not installed.
    """
    path = Path(output) if output is not None else Path(run_dir) / NAME
    data = report_data(run_dir, with_importances=with_importances)
    with guarded_reads(Path(run_dir)):
        page = report_page(data)
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


def report_page(data: Mapping[str, Any]) -> str:
    """Return the page.

    Args:
        data: What ``report_data`` gives.

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
        d=data,
        css=Markup(texts["report.css"]),
        js=Markup("\n".join(texts[name] for name in _SCRIPTS)),
        json=Markup(json_in_page(data)),
        plotly=Markup(_plotly()),
        num=number,
        **_words(data),
    )


def json_in_page(data: Mapping[str, Any]) -> str:
    """Write data as JSON that nothing in a page's script element takes for an end or for markup."""
    text = orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS).decode()
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _plotly() -> str:
    """Return plotly.js of the installed package, compressed, as base64: two fifths of its size."""
    spec = importlib.util.find_spec("plotly")
    if spec is None or not spec.submodule_search_locations:
        raise _missing("plotly")
    code = (Path(spec.submodule_search_locations[0]) / _PLOTLY).read_bytes()
    return base64.b64encode(gzip.compress(code, 4, mtime=0)).decode()


def _missing(package: str) -> UsageError:
    return UsageError(f"a report must have the package {package}, which is not installed; pip install {package}")


def _words(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the template shows in words and tables."""
    headings, rows = front_table(data) if data["objectives"] else ([], [])
    models = data["surrogate"]["metrics"]
    most = max((failure["n"] for failure in data["failures"]), default=1)
    kinds = [True, *(("levels" not in its) for its in (*data["columns"]["metrics"], *data["columns"]["variables"]))]
    return {
        "sections": _sections(data, bool(rows), models),
        "tiles": _tiles(data),
        "in_tiles": ("Evaluations", "Front", "Hypervolume", "True front"),
        "front_headings": headings,
        "front_rows": rows[:MOST_ROWS],
        "front_words": f"The first {MOST_ROWS} of {len(rows)}; front.csv has all." if len(rows) > MOST_ROWS else "",
        "numeric": {i for i, is_numeric in enumerate(kinds) if is_numeric},
        "history_words": _history_words(data["history"]),
        "failure_rows": [(f"{f['status']}: {f['reason']}", f["n"] / most, f"{f['n']:,}") for f in data["failures"]],
        "most_asked": max((rung["asked"] for rung in (data["rungs"] or {}).get("rungs", [])), default=1),
        "models": models,
        "has_pairs": any(its["pairs"] for its in models.values()),
        "has_choices": any(its["history"] for its in models.values()),
        "importance_rows": {
            name: [
                (variable, share / (max(shares.values()) or 1.0), f"{share:.0%}") for variable, share in shares.items()
            ]
            for name, shares in data["importances"]["shares"].items()
        },
        "version": _version(),
    }


def _sections(data: Mapping[str, Any], has_front: bool, models: Mapping[str, Any]) -> list[tuple[str, str]]:
    title = "Pareto front" if len(data["objectives"]) > 1 else "Best"
    known = [
        ("s-summary", "Summary", True),
        ("s-front", title, has_front),
        ("s-parallel", "Variables", has_front),
        ("s-table", "Table", has_front),
        ("s-progress", "Progress", len(data["history"]["n"]) > 0),
        ("s-failures", "Failures", bool(data["failures"])),
        ("s-rungs", "Refinement", bool(data["rungs"])),
        ("s-models", "Models", bool(models)),
        ("s-importances", "Importances", bool(data["importances"]["shares"])),
        ("s-decisions", "Decisions", bool(data["timeline"]["entries"])),
        ("s-environment", "Environment", bool(data["environment"])),
    ]
    return [(anchor, words) for anchor, words, is_there in known if is_there]


def _tiles(data: Mapping[str, Any]) -> list[dict[str, str]]:
    facts = data["facts"]
    counts, _, endings = facts["Evaluations"].partition(":")
    tiles = [{"what": "Evaluations", "value": counts, "words": endings.strip()}]
    if len(data["objectives"]) > 1:
        size, _, rest = facts["Front"].partition(" ")
        tiles.append({"what": "On the Pareto front", "value": size, "words": rest})
    if "Hypervolume" in facts:
        tiles.append({"what": "Hypervolume", "value": facts["Hypervolume"], "words": facts.get("True front", "")})
    for objective in data["objectives"]:
        if objective["best"] is not None and math.isfinite(objective["best"]):
            words = f"evaluation {objective['best_id']}"
            words += "" if objective["goal"] is None else f"; goal {objective['goal']:g}"
            tiles.append({"what": f"Best {objective['words']}", "value": number(objective["best"]), "words": words})
    return tiles


def _history_words(history: Mapping[str, Any]) -> str:
    if "ref_point" not in history:
        return ""
    point = ", ".join(f"{name} {value:.4g}" for name, value in history["ref_point"].items())
    about = ", approximated" if len(history["ref_point"]) > 5 else ""
    return (
        f"Hypervolume of the feasible evaluations{about}, up to the reference point {point}: a tenth of their range "
        "beyond the worst of them, so it compares within this run only. Equal points of the front count once."
    )


def _version() -> str:
    from importlib.metadata import version

    return version("evo-moo")

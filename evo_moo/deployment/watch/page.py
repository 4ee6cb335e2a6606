"""The page of a watch: every metric over time with its limit and its alarms, as HTML that loads and runs nothing."""

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evo_moo.deployment.card_pages import TEMPLATES
from evo_moo.deployment.watch.alarm import iso
from evo_moo.deployment.watch.plan import Watched
from evo_moo.deployment.watch.watch import Watch
from evo_moo.files import guarded_writes, write_whole

WIDTH, HEIGHT = 640, 120
_LEAST_EVIDENCE = 1e-4


@dataclass(frozen=True)
class Chart:
    """One metric over time, in units of the picture.

    Attributes:
        title: What it shows.
        points: Points of the line.
        limit: Height of the limit; None: there is none.
        alarms: Places of the alarms.
        low: Value at the bottom.
        high: Value at the top.
        begin: First time.
        end: Last time.
    """

    title: str
    points: Sequence[tuple[float, float]]
    limit: float | None
    alarms: Sequence[float]
    low: str
    high: str
    begin: str
    end: str


def write_page(watch: Watch, file: Path) -> None:
    """Write the page.

    Raises:
        RunFolderError: It cannot be written.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": "{:.4g}".format, "minute": _minute}
    page = environment.get_template("watch.html.j2").render(
        watch=watch,
        metrics=metric_charts(watch),
        evidence=evidence_charts(watch),
        reference=reference_words(watch),
        width=WIDTH,
        height=HEIGHT,
    )
    with guarded_writes(file):
        write_whole(file, page)


def reference_words(watch: Watch) -> str:
    """Say what drift is measured against."""
    there = watch.reference
    return "what the log itself showed before" if there is None else f"{there.name}, {there.n:,} rows, and then the log"


def metric_charts(watch: Watch) -> list[Chart]:
    """Return a chart of each metric that windows have."""
    rows = [(begin, window.metrics()) for begin, window in watch.windows.rows()]
    bounds = {_as_drawn(each.name): each.bound for each in watch.watched if each.bound is not None}
    charts = []
    for name in dict.fromkeys(name for _, metrics in rows for name in metrics):
        line = [(begin, metrics[name]) for begin, metrics in rows if name in metrics]
        metric, _, part = name.partition(" of ")
        mine = [a.time for a in watch.alarms if _as_drawn(a.what) in _kin(metric) and (not part or a.part == part)]
        bound = bounds.get("worst_group_accuracy" if part and metric == "accuracy" else metric)
        charts.append(_chart(watch, name, line, None if bound is None else float(bound), mine))
    return charts


def evidence_charts(watch: Watch) -> list[Chart]:
    """Return a chart of the evidence of all that is watched: logarithms of the share of what an alarm takes."""
    rows = watch.windows.rows()
    charts = []
    for each in watch.watched:
        line = [(t, math.log10(max(w.evidence.get(each.name, 0.0), _LEAST_EVIDENCE))) for t, w in rows]
        alarms = [alarm.time for alarm in watch.alarms if alarm.what == each.name]
        charts.append(_chart(watch, _words_of(each), line, 0.0, alarms, (math.log10(_LEAST_EVIDENCE), 0.2)))
    return charts


def _words_of(watched: Watched) -> str:
    return f"{watched.name}: {watched.promised} (by {watched.by}); {watched.test}"


def _as_drawn(name: str) -> str:
    return "latency_p50_ms" if name == "latency_ms" else name


def _kin(metric: str) -> tuple[str, ...]:
    """Return what raises alarms on a metric of the windows."""
    more = {"accuracy": ("group_accuracy", "worst_group_accuracy"), "positive_share": ("group_positive_share",)}
    return (metric, *more.get(metric, ()), *(("calibration",) if metric == "calibration_error" else ()))


def _chart(
    watch: Watch,
    title: str,
    line: Sequence[tuple[float, float]],
    limit: float | None,
    alarms: Sequence[str],
    ends: tuple[float, float] | None = None,
) -> Chart:
    values = [value for _, value in line] + ([] if limit is None else [limit])
    low, high = ends or (min(values), max(values))
    high = high if high > low else low + 1
    rows = watch.windows.rows()
    begin, end = rows[0][0], rows[-1][0] + watch.windows.length_s

    def x(time: float) -> float:
        return round(WIDTH * (time - begin) / (end - begin), 1)

    def y(value: float) -> float:
        return round(HEIGHT * (1 - (value - low) / (high - low)), 1)

    return Chart(
        title,
        [(x(time + watch.windows.length_s / 2), y(min(max(value, low), high))) for time, value in line],
        None if limit is None else y(limit),
        [each for alarm in alarms if 0 <= (each := x(_seconds(alarm))) <= WIDTH],
        f"{low:.4g}",
        f"{high:.4g}",
        _minute(iso(begin)),
        _minute(iso(end)),
    )


def _minute(time: str) -> str:
    return datetime.datetime.fromisoformat(time).strftime("%Y-%m-%d %H:%M")


def _seconds(time: str) -> float:
    return datetime.datetime.fromisoformat(time).timestamp()

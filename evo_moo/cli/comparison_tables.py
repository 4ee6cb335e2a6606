"""Prints what a confirmation and a comparison showed."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from evo_moo.cli.console import MAX_ROWS, cell, open_console, safe


def print_confirmation(report: Mapping[str, Any]) -> None:
    """Print a confirmation, see ``Confirmation.to_json``: members, shifts, notes."""
    console, level = open_console(), f"{report['level']:.0%}"
    names = list(report["objectives"])
    console.print(
        safe(
            f"Confirmed: {len(report['members'])} of {report['run']}, {len(report['seeds'])} trainings each; "
            f"means ± sd with intervals of {level}"
        ),
        highlight=False,
    )
    table = Table()
    table.add_column("id", justify="right")
    for name in names:
        table.add_column(safe(f"{name}, search"), justify="right", overflow="fold")
        table.add_column(safe(report["test_metrics"].get(name, name)), justify="right", overflow="fold")
    for heading in ("n", "on the front"):
        table.add_column(heading, justify="right")
    table.add_column("configuration", overflow="fold")
    for member in report["members"][:MAX_ROWS]:
        cells = []
        for name in names:
            summary = member["metrics"][name]
            cells += [cell(summary["search"]), _spread(summary)]
        share = member["p_nondominated"]
        n = str(min(member["metrics"][name]["n"] for name in names))
        configuration = ", ".join(f"{key}={cell(value)}" for key, value in member["configuration"].items())
        table.add_row(str(member["id"]), *cells, n, "" if share is None else f"{share:.2f}", configuration)
    console.print(table)
    if len(report["members"]) > MAX_ROWS:
        console.print(f"and {len(report['members']) - MAX_ROWS} more; --json has all")
    _print_shifts(report, names)
    _print_notes(report)


def print_comparison(report: Mapping[str, Any]) -> None:
    """Print a comparison, see ``ComparisonReport.to_json``: samples, tests, notes."""
    console = open_console()
    samples, tests = Table(), Table()
    for heading in ("metric", "sample", "n", "mean ± sd", "bootstrap 95 %"):
        samples.add_column(heading, justify="left" if heading in ("metric", "sample") else "right", overflow="fold")
    for metric, by_name in report["samples"].items():
        for name, sample in by_name.items():
            spread = "" if sample["sd"] is None else f" ± {sample['sd']:.2g}"
            samples.add_row(
                safe(metric),
                safe(name),
                str(sample["n"]),
                f"{cell(sample['mean'])}{spread}",
                _ends(sample.get("bootstrap")),
            )
    console.print(samples)
    headings = ("metric", "difference", "", "95 %", "t-test, Holm", "ranks", "d", "rank effect", "n", "n for 80 %")
    for heading in headings:
        tests.add_column(heading, justify="left" if heading == "metric" else "right", overflow="fold")
    for test in report["comparisons"]:
        ends = test["bootstrap"] if "bootstrap" in test else [test["low"], test["high"]]
        tests.add_row(
            safe(test["metric"]),
            safe(f"{test['one']} - {test['other']}"),
            cell(test["difference"]),
            _ends(ends),
            f"{test['p']:.3g}, {test['p_holm']:.3g}",
            f"{test['p_ranks']:.3g}",
            cell(test["effect"]),
            f"{test['rank_effect']:.2f}",
            f"{test['n']} {'pairs' if test['paired'] else 'each'}",
            cell(test["n_needed"]),
        )
    if report["comparisons"]:
        console.print(tests)
    _print_notes(report)


def _print_shifts(report: Mapping[str, Any], names: list[str]) -> None:
    table = Table()
    table.add_column("shift from the search, mean of the members")
    for heading in ("in all", "by the seed", "by the selection on validation data"):
        table.add_column(heading, justify="right", overflow="fold")
    for name in [*names, *(name for name in report["shift"] if name not in names)]:
        shift = report["shift"][name]
        worse = _is_worse(shift["total"], report["objectives"].get(name))
        cells = [_shifted(shift.get(part)) for part in ("total", "seed", "split")]
        table.add_row(safe(name), cells[0] + (" worse" if worse else ""), *cells[1:])
    open_console().print(table)


def _is_worse(shift: Mapping[str, float] | None, direction: str | None) -> bool:
    """Return whether the search was too optimistic on average, by more than the interval allows for."""
    if shift is None or "low" not in shift or direction is None:
        return False
    return shift["low"] > 0 if direction == "min" else shift["high"] < 0


def _shifted(shift: Mapping[str, float] | None) -> str:
    if shift is None:
        return ""
    ends = f" [{shift['low']:+.3g}, {shift['high']:+.3g}]" if "low" in shift else ""
    return safe(f"{shift['mean']:+.3g}{ends}")


def _spread(summary: Mapping[str, Any]) -> str:
    if summary["mean"] is None:
        return ""
    if not summary["sd"]:
        return cell(summary["mean"])
    return safe(f"{summary['mean']:.4g} ± {summary['sd']:.2g} [{summary['low']:.4g}, {summary['high']:.4g}]")


def _ends(ends: Any) -> str:
    return "" if not ends or ends[0] is None else safe(f"[{ends[0]:.4g}, {ends[1]:.4g}]")


def _print_notes(report: Mapping[str, Any]) -> None:
    for note in report["notes"]:
        open_console().print(safe(f"note: {note}"), highlight=False)

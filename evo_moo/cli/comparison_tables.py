"""Prints what a confirmation and a comparison showed."""

from collections.abc import Mapping
from typing import Any

from evo_moo.cli.console import MAX_ROWS, cell, digits_of, new_table, open_console, pairs, safe
from evo_moo.text import digits_apart


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
    for context, of_it in report.get("contexts", {"": names}).items():
        there = members_in(report, context)
        if context:
            console.print(safe(f"In {context}: {len(there)}"))
        _print_members(report, there, of_it, context)
    _print_shifts(report, names)
    _print_notes(report)


def members_in(report: Mapping[str, Any], context: str) -> list[dict[str, Any]]:
    """Return the members on the front that the search had in a context, and those that it had on none."""
    members = report["members"]
    return [each for each in members if not context or not each["contexts"] or context in each["contexts"]]


def _print_members(report: Mapping[str, Any], members: list[dict[str, Any]], names: list[str], context: str) -> None:
    """Print a table of members."""
    console, shown = open_console(), members[:MAX_ROWS]
    columns = [heading for name in names for heading in (f"{name}, search", report["test_metrics"].get(name, name))]
    table = new_table(["id", *columns, "n", "on the front", "configuration"], left=["configuration"])
    digits = {name: digits_apart(member["metrics"][name]["search"] for member in shown) for name in names}
    of_options = digits_of([member["configuration"] for member in shown])
    for member in shown:
        cells = []
        for name in names:
            summary = member["metrics"][name]
            cells += [cell(summary["search"], digits[name]), _spread(summary)]
        share = member["p_by_context"][context] if context else member["p_nondominated"]
        n = str(min(member["metrics"][name]["n"] for name in names))
        on_front = "" if share is None else f"{share:.2f}"
        table.add_row(str(member["id"]), *cells, n, on_front, safe(pairs(member["configuration"], of_options)))
    console.print(table)
    if len(members) > MAX_ROWS:
        console.print(f"and {len(members) - MAX_ROWS} more; --json has all")


def print_comparison(report: Mapping[str, Any]) -> None:
    """Print a comparison, see ``ComparisonReport.to_json``: samples, tests, notes."""
    console = open_console()
    samples = new_table(("metric", "sample", "n", "mean ± sd", "95 %"), left=("metric", "sample"))
    for metric, by_name in report["samples"].items():
        for name, sample in by_name.items():
            spread = "" if sample["sd"] is None else f" ± {sample['sd']:.2g}"
            mean = cell(sample["mean"]) + spread
            samples.add_row(safe(metric), safe(name), str(sample["n"]), mean, _ends([sample["low"], sample["high"]]))
    console.print(samples)
    headings = ("metric", "difference", "", "95 %", "t-test, Holm", "ranks", "d", "rank effect", "n", "n for 80 %")
    tests = new_table(headings, left=["metric"])
    for test in report["comparisons"]:
        tests.add_row(
            safe(test["metric"]),
            safe(f"{test['one']} - {test['other']}"),
            cell(test["difference"]),
            _ends([test["low"], test["high"]]),
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
    what = "shift from the search, mean of the members"
    table = new_table((what, "in all", "by the seed", "by the selection on validation data"), left=[what])
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

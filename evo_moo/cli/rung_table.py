"""Prints the rungs of a refinement."""

from typing import Any

from evo_moo.cli.console import cell, new_table, open_console, safe
from evo_moo.optimizer.refinement.rungs import TRUSTED_TAU

BAR = 40


def print_rungs(report: dict[str, Any]) -> None:
    """Print the report: a bar for each rung, its cost and what it is worth, and the climbs."""
    console, most = open_console(), max(rung["asked"] for rung in report["rungs"])
    stopped, taus = any(rung["stopped"] for rung in report["rungs"]), ("tau with the next", "tau with the full one")
    counted = ("ended well", "stopped", "rose") if stopped else ("ended well", "rose")
    table = new_table(("fidelity", "evaluations", "", *counted, "cost", "time (s)", *taus), left=("", *taus))
    for rung in report["rungs"]:
        bar = "#" * max(1, round(BAR * rung["asked"] / most))
        tau, tau_full = (
            safe(", ".join(f"{name} {value:.2f}" for name, value in rung[key].items())) for key in ("tau", "tau_full")
        )
        weak = min(rung["tau"].values(), default=1.0) < TRUSTED_TAU
        words = tau + (": more rise than usual" if weak else "")
        counts = [str(rung["ended"]), *([str(rung["stopped"])] if stopped else []), str(rung["rose"])]
        spent = cell(rung["cost"]), cell(rung["time_s"])
        table.add_row(str(rung["fidelity"]), str(rung["asked"]), bar, *counts, *spent, words, tau_full)
    console.print(table)
    console.print(
        f"In all at the cost of {report['cost']:.4g} full evaluations, {report['time_s']:.4g} s of evaluating."
    )
    if stopped:
        spared = report["spared"]
        console.print(
            f"To check the risk, {spared['n']} that would have been stopped ran to their end; {spared['on_front']} of "
            "them reached the front."
        )
    for climb in report["climbs"]:
        console.print(safe(" -> ".join(_words(step) for step in climb)))


def _words(step: dict[str, Any]) -> str:
    values = ", ".join(f"{name} {cell(value)}" for name, value in step["objectives"].items())
    return f"{step['id']} at {step['fidelity']}: {values}"

"""Prints all that is known of one evaluation."""

from typing import Any

from rich.table import Table

from evo_moo.cli.console import MAX_ROWS, cell, digits_of, new_table, open_console, pairs, safe
from evo_moo.problem.points import key_in_words
from evo_moo.text import moment


def print_provenance(story: dict[str, Any]) -> None:
    """Print all that is known of one evaluation, as ``provenance`` returns it."""
    console, table = open_console(), Table(show_header=False)
    table.add_column("what")
    table.add_column("value", overflow="fold")
    member, missed = story["survived"], story["violation"]
    what, points = key_in_words(story["id"]).split()[0], story["points"]
    facts = {
        what: f"{story['id']}, of generation {story['generation']}",
        "configuration": pairs(story["configuration"]),
        "why": story["why"],
        "parents": _relatives(story["parents"]),
        "seed": story["seed"],
        "worker": f"process {story['worker']}, attempt {story['attempts']}" if story["worker"] else "",
        "asked": _when(story["asked_at"]),
        "started": _when(story["started_at"]),
        "took": f"{story['duration_s']:.4g} s" if story["duration_s"] is not None else "",
        "ended": f"{story['status']}{': ' if story['reason'] else ''}{story['reason']}",
        "not made": story["fault"],
        "metrics": pairs(story["metrics"]),
        "facts": pairs(story["facts"]),
        "fidelity": _fidelity(story),
        "prediction": _predicted(story["prediction"], story["predicted_choices"] if points else {}),
        "limits": _of_points(points, "violation", 0.0, "keep them")
        or (_kept(story) if story["feasible"] else f"missed, {missed:.3g} in all" if missed else ""),
        "front": _of_points(points, "on_front", True, "are on it") or _on_front(story),
        "population": f"in those of generations {member[0]} to {member[-1]}" if member else "never in it",
        "children": _relatives(story["children"]),
        "events": "; ".join(f"{kind} {detail}" for _, kind, detail in story["events"]),
        "traceback": story["traceback"].rstrip(),
        "output": story["output"].rstrip(),
    }
    for what, value in facts.items():
        if value != "":
            table.add_row(what, safe(str(value)))
    console.print(table)
    if points:
        console.print(_table_of(points))


def _kept(story: dict[str, Any]) -> str:
    return f"kept in {', '.join(story['kept_in'])}" if "kept_in" in story else "kept"


def _on_front(story: dict[str, Any]) -> str:
    """Say whether an evaluation is on the front, or on those of which contexts."""
    if contexts := story.get("contexts"):
        return f"on {'that' if len(contexts) == 1 else 'those'} of {', '.join(contexts)}"
    return "on it" if story["on_front"] else "not on it"


def _of_points(points: list[dict[str, Any]], what: str, value: Any, words: str) -> str:
    """Count the points that have a value; empty without points."""
    return f"{sum(point[what] == value for point in points)} of {len(points)} points {words}" if points else ""


def _table_of(points: list[dict[str, Any]]) -> Table:
    names = dict.fromkeys(name for point in points for name in point["metrics"])
    digits, of_choices = (digits_of([point[kind] for point in points]) for kind in ("metrics", "choices"))
    table = new_table(["id", "choices", *names, "front"], left=["choices", "front"])
    for point in points:
        cells = (cell(point["metrics"].get(name), digits[name]) for name in names)
        end = point["fault"] or ("over a limit" if point["violation"] else "on it" if point["on_front"] else "")
        table.add_row(point["id"], safe(pairs(point["choices"], of_choices)), *cells, safe(end))
    return table


def _relatives(relatives: list[dict[str, Any]]) -> str:
    lines = [f"{r['id']} {r['status']}: {pairs(r['objectives'])}" for r in relatives[:MAX_ROWS]]
    more = [f"and {len(relatives) - MAX_ROWS} more; --json has all"] if len(relatives) > MAX_ROWS else []
    return "\n".join(lines + more) or "none"


def _fidelity(story: dict[str, Any]) -> str:
    if story["fidelity"] is None:
        return ""
    risen = f", rose from {story['continues']}" if story["continues"] and not story["replicate"] else ""
    again = f", repetition {story['replicate']} of {story['continues']}" if story["replicate"] else ""
    return f"{story['fidelity']}{risen}{again}, at the cost of {story['cost']:.3g} full evaluations"


def _predicted(prediction: dict[str, dict[str, float | None]] | None, choices: dict[str, Any]) -> str:
    lines = [f"of the point with {pairs(choices)}"] if choices else []
    for name, p in (prediction or {}).items():
        off = "" if p["off_by_std"] is None else f", {p['off_by_std']:+.2g} standard deviations off"
        lines.append(f"{name}: {p['mean']:.4g} +- {p['std']:.2g} expected, {cell(p['value']) or 'nothing'} came{off}")
    return "\n".join(lines)


def _when(at: float | None) -> str:
    return f"{moment(at):%Y-%m-%d %H:%M:%S UTC}" if at else ""

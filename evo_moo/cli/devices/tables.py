"""Tables of devices and of fronts on them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evo_moo.cli.console import MAX_ROWS, cell, digits_of, new_table, open_console, pairs, safe
from evo_moo.toolkit.devices.table import LATENCY

if TYPE_CHECKING:
    from evo_moo.cli.devices.adding import AddedDevice
    from evo_moo.cli.devices.run_on_device import RunOnDevice


def print_device(added: "AddedDevice") -> None:
    """Print the latencies of the reference networks, and the features that they make."""
    console = open_console()
    table = new_table(["reference", "latency (ms)", "feature", "network"], left=["network"])
    rows = zip(added.device.reference_ms, added.device.features, added.networks, strict=True)
    for number, (ms, feature, network) in enumerate(rows, 1):
        table.add_row(str(number), cell(ms), f"{feature:.3f}", safe(pairs(network)))
    console.print(table)
    more = f", and {added.n_new} other networks" if added.n_new else ""
    console.print(safe(f"Device {added.device.name}: {len(added.device.reference_ms)} reference networks{more}"))
    console.print(safe(f"{added.path} is written"), highlight=False)


def print_devices(rows: Sequence[Mapping[str, str]]) -> None:
    """Print the devices that were added."""
    console = open_console()
    if not rows:
        console.print("No device was added; `evo-moo device add NAME --problem PROBLEM` adds one.")
        return
    table = new_table(["problem", "device"])
    for row in rows:
        table.add_row(safe(row["problem"]), safe(row["device"]))
    console.print(table)


def print_device_front(shown: "RunOnDevice") -> None:
    """Print the front on a device, the pick under a deadline, and what is worth measuring."""
    console = open_console()
    rows = shown.front.rows.tolist()
    n = len(shown.evaluations)
    verified = f"; {shown.n_verified} measured now" if shown.n_verified else ""
    console.print(safe(f"Front on {shown.device}: {len(rows)} of {n} configurations{verified}"))
    _print_members(shown, rows[:MAX_ROWS])
    if len(rows) > MAX_ROWS:
        console.print(f"and {len(rows) - MAX_ROWS} more; --json prints all")
    if shown.picked is not None:
        at_most = f"mean + {shown.safe:g} std at most {shown.limit_ms:g} ms"
        console.print(safe(f"Pick with {at_most}: evaluation {shown.evaluations[shown.picked].id}"))
        _print_members(shown, [shown.picked])
    if shown.to_fill:
        console.print(
            safe(
                f"{shown.to_fill} is written: fill in `{LATENCY}` of its {len(shown.worth)} networks, and give it back "
                "by --measured"
            ),
            highlight=False,
        )
    elif len(shown.worth):
        ids = ", ".join(str(shown.evaluations[row].id) for row in shown.worth)
        console.print(safe(f"Worth measuring there, to be sure: {ids}; --verify {len(shown.worth)} does so"))
    if shown.left_out:
        console.print(safe(f"Left out, as measured elsewhere: {', '.join(shown.left_out)}"))


def _print_members(shown: "RunOnDevice", rows: Sequence[int]) -> None:
    names = [objective.metric for objective in shown.goals.objectives]
    members = [shown.member(row) for row in rows]
    metrics: list[Mapping[str, Any]] = [{name: member[name] for name in [*names, LATENCY]} for member in members]
    digits = digits_of(metrics)
    headings = ["id", *names, "latency (ms)", "known by", "configuration"]
    table = new_table(headings, left=["known by", "configuration"])
    for member, values in zip(members, metrics, strict=True):
        cells = [cell(values[name], digits[name]) for name in names]
        latency = f"{cell(values[LATENCY], digits[LATENCY])} ± {member['std_ms']:.2g}"
        table.add_row(str(member["id"]), *cells, latency, member["by"], safe(pairs(member["configuration"])))
    open_console().print(table)

"""The terminal, and how values are written on it."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from evo_moo.files import save_figure
from evo_moo.problem.metrics import Metric, with_unit
from evo_moo.text import FEWEST, digits_apart, in_words, printable, shortened, shown, shown_option
from evo_moo.values import METRIC

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_ROWS = 40
"""Rows of a table."""
OURS = ("id", "configuration", "n", "on the front")
"""Headings of the columns beside those of the metrics."""


def open_console() -> Console:
    """Return the terminal, or a wide page where there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=160)


def new_table(headings: Iterable[str], left: Collection[str] | None = None, title: str | None = None) -> Table:
    """Return an empty table whose columns fold; those of ``left``, by default all, stand to the left."""
    justified = ((safe(text), "left" if left is None or text in left else "right") for text in headings)
    columns = [Column(text, justify=side, overflow="fold") for text, side in justified]  # type: ignore[arg-type]
    return Table(*columns, title=title, title_justify="left")


def show_data(data: Any, show: Callable[[Any], None], as_json: bool) -> None:
    """Print plain data as JSON, or by a function that makes tables of it."""
    if as_json:
        typer.echo(json.dumps(data, indent=1))
    else:
        show(data)


def draw(make: Callable[[], "Figure"], path: Path, is_asked_for: bool = True) -> None:
    """Make a picture, write it and, where it was asked for, say so; what fails is said, but decides no exit code."""
    try:
        save_figure(make(), path)
    except Exception as error:
        typer.echo(f"evo-moo: {path} is not drawn: {printable(shortened(str(error) or in_words(error)))}", err=True)
    else:
        if is_asked_for:
            typer.echo(f"{path} is drawn", err=True)


def safe(text: str) -> str:
    """Make text from a ledger safe to print: neither the terminal nor rich takes any of it as a command."""
    return escape(printable(text))


def pairs(values: Mapping[str, Any], digits: Mapping[str, int] | None = None) -> str:
    """Write values by their names, as tables show them; ``digits`` says with how many, where not with four."""
    digits = digits or {}
    return ", ".join(f"{key}={shown_option(value, digits.get(key, FEWEST))}" for key, value in values.items())


def digits_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return the number of digits by which the values of each name are told apart over the rows of a table."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: digits_apart(row.get(name) for row in rows) for name in names}


def heading(name: str, known: dict[str, Metric]) -> str:
    """Name a metric with its unit, unless the name ends with it, and tell it from the columns that are ours."""
    return METRIC * (name in OURS) + with_unit(name, known[name].unit if name in known else "")


def cell(value: Any, digits: int = FEWEST) -> str:
    """Write a value as tables show it."""
    return escape(shown(value, digits))

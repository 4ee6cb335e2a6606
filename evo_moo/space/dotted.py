"""Names with dots, such as ``optimizer.lr``, and tables below tables that say the same."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from evo_moo.values import FACT, METRIC, OPTION

NAMES = "letters, digits and _, with dots between them, not a digit first, and not begin as columns of tables do"
"""What names of variables must be."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*")


def is_name(name: Any) -> bool:
    """Return whether a variable may have a name; see ``NAMES``."""
    is_text = isinstance(name, str) and _NAME.fullmatch(name) is not None
    return is_text and not name.startswith((OPTION, METRIC, FACT))


def flat(table: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Return a table by dotted names: ``{"optimizer": {"lr": 1}}`` as ``{"optimizer.lr": 1}``.

    Args:
        table: Names to values. A table in it is gone into where a name begins with its own; any other is a value.
        names: The names.
    """
    values = dict[str, Any]()
    for name, value in table.items():
        below = [known for known in names if known.startswith(f"{name}.")]
        if name not in names and below and isinstance(value, Mapping):
            values |= flat({f"{name}.{key}": each for key, each in value.items()}, below)
        else:
            values[name] = value
    return values


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by dotted names as tables below tables: the inverse of ``flat``, if no name lies below another."""
    tables = dict[str, Any]()
    for name, value in values.items():
        *parents, last = name.split(".")
        table = tables
        for parent in parents:
            table = table.setdefault(parent, {})
        table[last] = value
    return tables


def below_another(names: Collection[str]) -> list[str]:
    """Return the names that lie below another one, as ``optimizer.lr`` below ``optimizer``."""
    return [name for name in names if any(name.startswith(f"{other}.") for other in names)]

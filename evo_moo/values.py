"""Values of variables: as plain Python data, as JSON and TOML hold them, and as text in tables."""

import functools
import json
import numbers
from collections.abc import Iterable, Mapping
from typing import Any

NONE = "none"
"""How None is written where there is no word for it: in a table, in TOML."""
OPTION, METRIC, FACT = "config.", "metrics.", "facts."
"""What the names of a table's columns begin with; so variables, metrics, facts and our own columns may share names."""
_LOOK_MISSING = {"", "n/a", "na", "<na>", "null", "none", "true", "false"}
"""Texts, whatever their case, that readers of tables take for a missing or another value; numbers as well."""


def names_in_both(variables: Iterable[str], metrics: Iterable[str]) -> set[str]:
    """Return the names of a table's columns that need what they begin with: those of both kinds, and our ``id``."""
    return (set(variables) & set(metrics)) | {"id"}


def is_number(value: Any) -> bool:
    """Return whether a value is a real number; ``True`` and ``False`` are not."""
    return type(value) in (int, float) or (isinstance(value, numbers.Real) and not isinstance(value, bool))


def is_integer(value: Any) -> bool:
    """Return whether a value is a whole number by its type; ``True`` and ``3.0`` are not."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def plain(value: Any) -> Any:
    """Return a value with NumPy's and pandas' numbers and arrays, at any depth, as Python's numbers and lists.

    A row of a pandas table, which has names to its values, is a dict.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Mapping):
        return {plain(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        items = [plain(each) for each in value]
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value  # as it was declared, a named tuple for instance
        return items if isinstance(value, list) else tuple(items)
    named = value.to_dict() if hasattr(value, "to_dict") else {}
    if named and all(isinstance(name, str) for name in named):
        return plain(named)
    return value.tolist() if hasattr(value, "tolist") else value


def for_toml(value: Any) -> Any:
    """Return plain data as TOML holds it: None as the text ``none``, tuples as lists."""
    if isinstance(value, Mapping):
        return {key: for_toml(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [for_toml(each) for each in value]
    return NONE if value is None else value


def json_key(value: Any) -> str:
    """Write a value as JSON, so that equal text means the same option.

    Raises:
        TypeError: JSON has no word for it.
        ValueError: It holds NaN or infinity.
    """
    return json.dumps(plain(value), sort_keys=True, allow_nan=False)


def value_text(value: Any) -> str:
    """Write a value for a table: a text bare, unless it looks like another kind of value; anything else as JSON."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False) if _looks_like_another(value) else value
    return NONE if value is None else json.dumps(plain(value), ensure_ascii=False)


@functools.lru_cache(maxsize=1000)
def _looks_like_another(text: str) -> bool:
    if text == NONE:  # no variable has both None and this text
        return False
    if text.casefold() in _LOOK_MISSING:
        return True
    for read in (float, json.loads):
        try:
            read(text)
        except (ValueError, RecursionError):
            continue
        return True
    return False


def with_tuples(value: Any) -> Any:
    """Return plain data as JSON from which ``from_tuples`` makes the same data again, tuples included."""
    if isinstance(value, tuple):
        return {"tuple": [with_tuples(each) for each in value]}
    if isinstance(value, list):
        return [with_tuples(each) for each in value]
    return {"table": {key: with_tuples(each) for key, each in value.items()}} if isinstance(value, dict) else value


def from_tuples(record: Any) -> Any:
    """Read what ``with_tuples`` returned."""
    if isinstance(record, list):
        return [from_tuples(each) for each in record]
    if not isinstance(record, dict):
        return record
    if "tuple" in record:
        return tuple(from_tuples(each) for each in record["tuple"])
    return {key: from_tuples(each) for key, each in record["table"].items()}

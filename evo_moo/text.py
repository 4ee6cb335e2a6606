"""Text: what is safe to read and to print, and times, faults and keys in words."""

import datetime
import re
import tomllib
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from evo_moo.errors import EvoMooError
from evo_moo.values import value_text

FEWEST, MOST = 4, 12
"""Digits of a number in a table: those that it has in any case, and those beyond which numbers differ by rounding."""
MOST_NESTED = 64
"""Depth of the tables and lists in a file that a person writes."""
LONGEST = 2000
"""Number of characters of a message: what a file holds may be longer, and would hide what is said of it."""


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML.

    Raises:
        ValueError: It is no TOML, or its tables and lists are nested deeper than ``MOST_NESTED``.
    """
    try:
        data = tomllib.loads(text)
    except RecursionError:
        depth = MOST_NESTED + 1
    else:
        depth, level = 0, [data]
        while level and depth <= MOST_NESTED:
            depth, level = depth + 1, [x for each in level for x in _within(each)]
    if depth > MOST_NESTED:
        raise ValueError(f"tables and lists must be nested at most {MOST_NESTED} deep, but are deeper")
    return data


def _within(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []


def shortened(message: str) -> str:
    """Return a message of at most about ``LONGEST`` characters: its beginning, and its end with the way out."""
    return message if len(message) <= LONGEST else f"{message[: LONGEST // 2]} … {message[-LONGEST // 2 :]}"


def printable(text: str) -> str:
    """Make text safe for a terminal: what would control it is shown as an escape; line ends stay."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def digits_apart(values: Iterable[Any]) -> int:
    """Return how many digits the numbers of a column need so that those which differ look different."""
    numbers = {value for value in values if isinstance(value, float)}
    looks = (len({f"{number:.{digits}g}" for number in numbers}) for digits in (MOST, *range(FEWEST, MOST + 1)))
    most = next(looks)
    return next(digits for digits, n in enumerate(looks, FEWEST) if n == most)


def shown(value: Any, digits: int = FEWEST) -> str:
    """Return a value as tables and pages show it: some digits of a number, nothing of None."""
    return "" if value is None else f"{value:.{digits}g}" if isinstance(value, float) else printable(str(value))


def shown_option(value: Any, digits: int = FEWEST) -> str:
    """Return a variable's value as tables and pages show it: some digits of a number, else as files have it."""
    return f"{value:.{digits}g}" if isinstance(value, float) else printable(value_text(value))


def by_dotted_key(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of nested tables by dotted keys, such as ``search.seed``; an empty table is a value."""
    values: dict[str, Any] = {}
    for key, value in table.items():
        nested = isinstance(value, dict) and value
        values |= by_dotted_key(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return values


def distinct_names(names: Iterable[str], refused: str) -> dict[str, str]:
    """Return names without the characters that another program refuses; equal ones end with checksums of their own.

    Args:
        names: The names.
        refused: Regular expression of one character that becomes ``_``.
    """
    cleaned = {name: re.sub(refused, "_", name) for name in names}
    times = Counter(cleaned.values())
    return {n: new if times[new] == 1 else f"{new}_{zlib.crc32(n.encode()):08x}" for n, new in cleaned.items()}


def in_words(error: BaseException) -> str:
    """Say what reading damaged data ran into; a lookup's or a type's error alone would show code instead."""
    if isinstance(error, KeyError):
        return f"lacks {error}"
    if isinstance(error, LookupError | TypeError | AttributeError) and not isinstance(error, EvoMooError):
        return "holds a value of the wrong kind"
    return str(error)


def moment(seconds: float | None) -> datetime.datetime | None:
    """Return a Unix time as a date and time of UTC; None where there is none."""
    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC) if seconds else None
    except (OverflowError, OSError, ValueError):
        return None

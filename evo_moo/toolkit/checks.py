"""Checks of arguments that several functions and problems make."""

from collections.abc import Collection, Sequence


def require_at_least_one(**values: int | None) -> None:
    """Check numbers by their names; None is not checked.

    Raises:
        ValueError: One is below 1.
    """
    for name, value in values.items():
        if value is not None and value < 1:
            raise ValueError(f"`{name}` must be at least 1, but is {value}")


def require_one_of(known: Collection[str], **values: str) -> None:
    """Check words by their names.

    Raises:
        ValueError: One is not among those known.
    """
    for name, value in values.items():
        if value not in known:
            raise ValueError(f"`{name}` must be one of {', '.join(known)}, but is {value!r}")


def require_some_of(known: Collection[str], **lists: Sequence[str]) -> None:
    """Check lists of words by their names.

    Raises:
        ValueError: One is no list, is empty, or has a word that is not among those known.
    """
    for name, words in lists.items():
        if isinstance(words, str) or not words or not set(words) <= set(known):
            raise ValueError(f"`{name}` must be a list of some of {', '.join(known)}, but is {words!r}")

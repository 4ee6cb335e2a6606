"""What is searched: variables, conditions, encoding, operators, designs."""

from typing import TYPE_CHECKING

from evo_moo.lazy import lazy_names

if TYPE_CHECKING:
    from evo_moo.space.search_space import Configuration, SearchSpace
    from evo_moo.space.variables import Boolean, Choice, Integer, Real, Variable

__all__ = [
    "Boolean",
    "Choice",
    "Configuration",
    "Integer",
    "Real",
    "SearchSpace",
    "Variable",
]

if not TYPE_CHECKING:  # else any name would pass the type check
    __getattr__ = lazy_names(
        __name__,
        {
            "search_space": ("Configuration", "SearchSpace"),
            "variables": ("Boolean", "Choice", "Integer", "Real", "Variable"),
        },
    )

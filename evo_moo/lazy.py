"""Names of a package whose modules are imported when a name is first used, so that the package itself loads at once."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(package: str, names: Mapping[str, str]) -> tuple[Callable[[str], Any], list[str]]:
    """Return a package's ``__getattr__`` (PEP 562) and ``__all__``.

    Args:
        package: Name of the package.
        names: Dotted name of each module below the package to the names that it defines, with spaces between.
    """
    homes = {name: module for module, defined in names.items() for name in defined.split()}

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    return load, sorted(homes)

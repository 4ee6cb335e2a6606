"""Finds the user's own modules that a module imports, and reads their texts; nothing is imported for it.

Own is what no package manager installed: a file, the modules and packages beside it, and whatever else they import
from outside ``site-packages`` and the standard library; of an installed plug-in, the modules of its package.
"""

import ast
import contextlib
import hashlib
import importlib
import importlib.machinery
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from evo_moo.errors import is_engine

_STANDARD = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib"))
NO_PYTHON = (SyntaxError, ValueError, MemoryError, RecursionError)
"""What parsing raises of a text that is no Python, or is nested too deep."""
_INSTALLED = {"site-packages", "dist-packages"}


class ModuleText(NamedTuple):
    """The text of a module, its file, and whether it is a package."""

    path: str
    text: bytes
    is_package: bool


def read_texts(name: str, path: str, is_package: bool, folder: str | None) -> Iterator[tuple[str, ModuleText]]:
    """Return a module and those that it imports.

    Args:
        name: Name of the module.
        path: Its file.
        is_package: Whether it is a package.
        folder: Where modules are looked for first.
    """
    importlib.invalidate_caches()
    known, left = {name}, [(name, path, is_package)]
    while left:
        module, file, is_package = left.pop(0)
        text = Path(file).read_bytes()
        yield module, ModuleText(file, text, is_package)
        package = module if is_package else module.rpartition(".")[0]
        for imported in (module, *_imported_names(text, package)):
            parts = imported.split(".")
            for parent in (".".join(parts[:n]) for n in range(1, len(parts) + 1)):
                if parent in known:
                    continue
                known.add(parent)
                spec = spec_of(parent, folder)
                if spec is not None and is_source(spec) and _is_own(parent, str(spec.origin), name):
                    left.append((parent, str(spec.origin), spec.submodule_search_locations is not None))


def _imported_names(text: bytes, package: str) -> Iterator[str]:
    """Return the absolute names that a module's text imports; of ``from a import b`` both a and a.b."""
    try:
        tree = ast.parse(text)
    except NO_PYTHON:  # which running it will say
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1] if package else []
                base = ".".join([*parents, *([base] if base else [])])
            yield from (name for alias in node.names if (name := f"{base}.{alias.name}".strip(".*")))


def spec_of(name: str, folder: str | None) -> importlib.machinery.ModuleSpec | None:
    """Find a module without importing it or its parents; None where there is none, or where it is Python's own.

    Args:
        name: Name of the module.
        folder: Where it is looked for first; None for no such folder.
    """
    places: Any = None
    spec = None
    parts = name.split(".")
    if parts[0] in sys.stdlib_module_names or "" in parts:
        return None
    for n in range(1, len(parts) + 1):
        full = ".".join(parts[:n])
        spec = importlib.machinery.PathFinder.find_spec(full, [folder]) if n == 1 and folder else None
        spec = spec or _found(full, places)
        if spec is None:
            return None
        places = spec.submodule_search_locations
        if places is None and n < len(parts):
            return None
    return spec


def _found(name: str, places: Any) -> importlib.machinery.ModuleSpec | None:
    for finder in sys.meta_path:
        find = None if hasattr(finder, "has_read_texts") else getattr(finder, "find_spec", None)
        spec: importlib.machinery.ModuleSpec | None
        try:
            spec = find(name, places) if find is not None else None
        except KeyError:  # a namespace package below one that is not imported
            spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
            below = [Path(place, name.rpartition(".")[2]) for place in places]
            spec.submodule_search_locations = [str(folder) for folder in below if folder.is_dir()]
        if spec is not None:
            return spec
    return None


def is_source(spec: importlib.machinery.ModuleSpec) -> bool:
    """Return whether a module is a Python file."""
    return spec.origin is not None and spec.origin.endswith(".py")


def is_own(path: str) -> bool:
    """Return whether a file is the user's own, or a cell of a notebook: no part of a package or of Python."""
    is_installed = path.startswith((*_STANDARD, "<frozen")) or not _INSTALLED.isdisjoint(Path(path).parts)
    return bool(path) and not is_installed and not is_engine(Path(path))


def _is_own(name: str, path: str, main: str) -> bool:
    """Return whether a module that ``main`` imports is the user's own, or of the same package."""
    package = name.partition(".")[0]
    if package == "evo_moo":
        return not is_engine(Path(path))
    return is_own(path) or package == main.partition(".")[0]


def text_digest(text: bytes) -> str:
    """Return the digest of a file's text, and the one of what Python reads in it: without comments and layout."""
    digests = [digest_of(text)]
    with contextlib.suppress(*NO_PYTHON):
        digests += [f"{sys.version_info[0]}.{sys.version_info[1]}", digest_of(ast.dump(ast.parse(text)).encode())]
    return " ".join(["text", *digests])


def digest_of(content: bytes) -> str:
    """Return the digest of any bytes."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()

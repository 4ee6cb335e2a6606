"""Whether two runs searched the same problem, so that one may reuse what the other measured."""

import ast
import hashlib
import importlib.metadata
import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from evo_moo.plugins import ProblemSource
from evo_moo.problem.search_problem import SearchProblem


def problem_version(problem: SearchProblem, source: ProblemSource) -> str | None:
    """Return a digest of all that decides the outcomes of a problem's evaluations, or None where it is not known.

    It covers the file that the problem is named by, those of its class and its base classes, the modules beside
    them that they import, its options, its own ``version`` attribute (to be changed with its data), and the
    versions of evo-moo and pymoo.

    Args:
        problem: The problem.
        source: How it was named; a Python object may hold anything, so it has no version.
    """
    if source.reference is None:
        return None
    try:
        options = json.dumps(dict(source.options), sort_keys=True)
        own = {path for file in _files_of(problem, source.reference) for path in _with_neighbours(file)}
        contents = sorted(hashlib.blake2b(path.read_bytes()).hexdigest() for path in own)
    except (OSError, TypeError, ValueError, SyntaxError):
        return None
    libraries = [importlib.metadata.version(name) for name in ("evo-moo", "pymoo")]
    name = source.reference.rpartition(":")[2]
    parts = [name, options, str(getattr(problem, "version", "")), *libraries, *contents]
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


def _files_of(problem: SearchProblem, reference: str) -> set[Path]:
    """Return the files that define a problem, but for those of the libraries themselves."""
    place = reference.rpartition(":")[0]
    files = {Path(place).resolve()} if place.endswith(".py") else set()
    for cls in type(problem).__mro__:
        package, _, rest = cls.__module__.partition(".")
        if package not in ("builtins", "pymoo", "evo_moo") or rest.startswith("problems."):
            files.add(Path(inspect.getfile(cls)).resolve())
    return files


def _with_neighbours(path: Path) -> Iterator[Path]:
    """Return a file, and those of its folder that it imports, and so on."""
    found, left = {path}, [path]
    while left:
        file = left.pop()
        yield file
        for name in _imported_names(ast.parse(file.read_bytes())):
            neighbour = path.parent / f"{name.rpartition('.')[2]}.py"
            is_library = name.partition(".")[0] in sys.stdlib_module_names
            if neighbour not in found and not is_library and neighbour.is_file():
                found.add(neighbour)
                left.append(neighbour)


def _imported_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (node.module or "", *(alias.name for alias in node.names))

"""Whether two runs searched the same problem, so that one may reuse what the other measured."""

import functools
import hashlib
import importlib.metadata
import json
from pathlib import Path

from evo_moo.errors import ProblemError
from evo_moo.plugins import EXPLORED, ProblemSource
from evo_moo.problem.command.words import without_place
from evo_moo.problem.search_problem import SearchProblem


def problem_version(problem: SearchProblem, source: ProblemSource) -> str | None:
    """Return a digest of all that decides the outcomes of a problem's evaluations, or None where it is not known.

    It covers the user's own files that the reference leads to, as they were read (``user_code``), but for comments and
    layout, or the files of a command; the options, the problem's own ``version`` attribute (to be changed with its
    data), and the versions of evo-moo and pymoo.

    Args:
        problem: The problem.
        source: How it was named; a Python object may hold anything, so it has no version.
    """
    if source.reference is None:
        return None
    try:
        given = {name: value for name, value in source.options.items() if name != EXPLORED}
        options = json.dumps(without_place(source.reference, given), sort_keys=True)
    except (TypeError, ValueError):
        return None
    name = source.reference.rpartition(":")[2]
    digests = {**source.parts, **getattr(problem, "file_digests", {}), **data_digests(problem)}
    files = [f"{file} {digest.rpartition(' ')[2]}" for file, digest in sorted(digests.items())]
    libraries = [importlib.metadata.version(library) for library in ("evo-moo", "pymoo")]
    parts = [name, options, str(getattr(problem, "version", "")), *libraries, *files]
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


def problem_parts(problem: SearchProblem, source: ProblemSource) -> dict[str, str]:
    """Return what decides the outcomes of a problem's evaluations by name.

    That are ``source.parts``, the files of a command, and the problem's own ``version``.

    Unlike a version it names what has changed, and leaves out what is not the user's own.

    Args:
        problem: The problem.
        source: How it was named, or the object.
    """
    version = getattr(problem, "version", None)
    files = getattr(problem, "file_digests", {}) | data_digests(problem)
    return {**source.parts, **files, **({} if version is None else {"version": str(version)})}


def data_digests(problem: SearchProblem) -> dict[str, str]:
    """Return a digest of the content of each of a problem's ``data_files``, by the name that it has there.

    Raises:
        ProblemError: Files are missing; all are named.
    """
    files = {f"data {file}": Path(file).expanduser() for file in problem.data_files}
    if missing := [str(path) for path in files.values() if not path.is_file()]:
        raise ProblemError(
            f"`data_files` of {type(problem).__name__} must name files, but there is no {', '.join(missing)}"
        )
    return {
        name: f"digest {_digest(path, path.stat().st_mtime_ns, path.stat().st_size)}" for name, path in files.items()
    }


@functools.lru_cache(maxsize=1000)
def _digest(path: Path, changed_ns: int, size: int) -> str:
    """Return the SHA-256 of a file, which is read again once its time or size has changed."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

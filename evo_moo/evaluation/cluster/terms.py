"""What a run tells whoever wants to work for it, and whether a host can: with the same code, or not at all."""

import functools
import hashlib
import importlib.metadata
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import cloudpickle

import evo_moo
from evo_moo.errors import EvoMooError, UsageError
from evo_moo.evaluation.places import Devices
from evo_moo.evaluation.problem_version import problem_parts, problem_version
from evo_moo.object_code import changed_parts
from evo_moo.plugins import ProblemSource

MUST_AGREE = ("python", "evo-moo", "pymoo")
SHOULD_AGREE = ("numpy", "torch", "scikit-learn", "onnxruntime")
"""Libraries that may change a result in its last digits: a host with others works, and says so."""


class Terms(NamedTuple):
    """What a worker of a run needs to know.

    Attributes:
        token: Stands for this head of the run, and no other.
        source: How to build the problem.
        version: Its ``problem_version`` where the run is.
        parts: Its ``problem_parts`` there.
        folder: The run folder; None where there is none.
        needs_folder: Whether evaluations go on from what others left there.
        devices: What each worker is to have of its host.
    """

    token: str
    source: ProblemSource
    version: str | None
    parts: Mapping[str, str]
    folder: str | None
    needs_folder: bool
    devices: Devices = Devices()

    def to_message(self) -> dict[str, Any]:
        """Return it for the network."""
        return {"versions": versions_here(), "terms": cloudpickle.dumps(self)}

    @classmethod
    def of_message(cls, message: Mapping[str, Any]) -> tuple["Terms", list[str]]:
        """Return what ``to_message`` was made of, and in what this host's libraries differ that may.

        Raises:
            UsageError: This host's programs are others than those of the run; all are named.
        """
        there, here = message["versions"], versions_here()
        pairs = {name: (there.get(name, "none"), here.get(name, "none")) for name in (*MUST_AGREE, *SHOULD_AGREE)}
        other = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
        if faults := [
            f"a worker must have the {name} of its run, {other[name][0]}, but has {other[name][1]}; install the same"
            for name in MUST_AGREE
            if name in other
        ]:
            raise UsageError(*faults)
        doubts = [f"{name} is {own} here, but {theirs} where the run is" for name, (theirs, own) in other.items()]
        return cloudpickle.loads(message["terms"]), doubts

    def fault_of_problem(self) -> str:
        """Build the problem, and return why it is not that of the run; empty if it is. Call it in another process."""
        try:
            problem = self.source.rebuild()
            if problem_version(problem, self.source) == self.version:
                return ""
        except EvoMooError as error:
            return f"a worker must be able to build the problem of its run, but this host cannot: {error}"
        changed = "; ".join(changed_parts(self.parts, problem_parts(problem, self.source)))
        return f"a worker must have the problem of its run, but on this host it is another: {changed or 'its version'}"


@functools.cache
def versions_here() -> dict[str, str]:
    """Return the versions of this process's programs; that of evo-moo with a digest of its files.

    Problems and models are no part of it, which a run sends by themselves, or keeps.
    """
    versions = {"python": ".".join(platform.python_version_tuple()[:2])}
    for name in (*MUST_AGREE[1:], *SHOULD_AGREE):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    digest, root = hashlib.blake2b(digest_size=6), Path(evo_moo.__file__).parent
    for path in sorted(root.rglob("*.py")):
        if path.relative_to(root).parts[0] in ("problems", "surrogates"):  # installed they lie below, else beside
            continue
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return versions | {"evo-moo": f"{versions.get('evo-moo', '?')} ({digest.hexdigest()})"}

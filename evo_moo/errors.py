"""One tree of errors; each also has the built-in parent that a caller would expect.

A message states the rule, then the value, then the way out:
"`pop_size` must be at least 4, but is 2".
"""

import re
import sysconfig
import traceback
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).parent
_STANDARD = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib"))
_INSTALLED = tuple(sysconfig.get_path(name) for name in ("purelib", "platlib"))


class EvoMooError(Exception):
    """Parent of everything that evo-moo raises on purpose."""


class SpaceError(EvoMooError, ValueError):
    """A search space, or a configuration of it, is wrong."""


class ProblemError(EvoMooError, ValueError):
    """A problem's definition is wrong."""


class PluginError(EvoMooError, LookupError):
    """A problem was named that cannot be found or loaded."""


class UsageError(EvoMooError, ValueError):
    """A command or a call asks for something that cannot be done.

    Args:
        faults: Every fault of it.
    """

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class JobError(UsageError):
    """A job asks for something that cannot be done; each fault begins with its key."""


class MetricError(EvoMooError, ValueError):
    """An evaluation returned something that is not the set of numbers it promised."""


class ProgramError(EvoMooError, RuntimeError):
    """A program that an evaluation ran ended badly.

    Attributes:
        output: The last of what it said.
    """

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(message)
        self.output = output


class RunFolderError(EvoMooError, OSError):
    """A run folder cannot be written, read, or is held by another process."""


class ModelFolderError(EvoMooError, ValueError):
    """The folder of a trained model is incomplete, changed, or asks for what is not trusted; each fault is a line."""


class StateError(EvoMooError, ValueError):
    """A saved state does not fit what it is loaded into."""


class SurrogateError(EvoMooError, ValueError):
    """A surrogate model cannot learn from the data, or cannot predict what is asked for."""


class SearchFailedError(EvoMooError, RuntimeError):
    """Every evaluation failed, so there is nothing to search with."""


class NoChoiceError(EvoMooError, LookupError):
    """Nothing fits the limits, or the rule, by which a model is to be picked.

    Attributes:
        nearest: The evaluation that comes nearest to the limits, if there is any.
    """

    def __init__(self, message: str, nearest: Any = None) -> None:
        super().__init__(message)
        self.nearest = nearest


class StopNow(BaseException):
    """A second signal: end at once, whatever runs. No ``Exception``, so that no problem catches it."""


class RunStoppedError(EvoMooError, RuntimeError):
    """A run was asked to stop before its budget was spent; with a run folder it can be resumed.

    Attributes:
        result: What was measured until then, as ``evo_moo.search`` returns it; None where another work was stopped.
    """

    def __init__(self, message: str, result: Any = None) -> None:
        super().__init__(message)
        self.result = result


def is_engine(path: Path) -> bool:
    """Return whether a file belongs to the engine: evo-moo's own, but no problem and no surrogate model of it."""
    return path.is_relative_to(_PACKAGE) and path.relative_to(_PACKAGE).parts[0] not in ("problems", "surrogates")


def place_of(error: BaseException) -> tuple[Path, int] | None:
    """Return the file and line of the user's own code that led to an error; None where there is none.

    The last frame outside evo-moo and outside libraries; without one, the last in an installed library.
    """
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_file()]
    foreign = [frame for frame in frames if not is_engine(Path(frame.filename))]
    installed = [frame for frame in foreign if frame.filename.startswith(_INSTALLED)]
    own = [f for f in foreign if not f.filename.startswith((*_INSTALLED, *_STANDARD))] or installed
    return (Path(own[-1].filename), own[-1].lineno or 0) if own else None


def missing_extra(extra: str, what: str = "") -> UsageError:
    """Return the error that the packages of an extra are missing: of an export, or of ``what`` needs them."""
    return UsageError(f"{what or f'`--to {extra}`'} must have packages that are not installed; {to_install(extra)}")


def to_install(extra: str) -> str:
    """Return the command that installs the packages of an extra; it needs no copy of evo-moo itself."""
    from importlib.metadata import PackageNotFoundError, requires

    try:
        parts = [each.partition(";") for each in requires("evo-moo") or []]
    except PackageNotFoundError:
        parts = []
    names = [name.strip() for name, _, marker in parts if re.search(rf"extra\s*==\s*['\"]{extra}['\"]", marker)]
    return f"pip install {' '.join(map(repr, names or [f'evo-moo[{extra}]']))}"

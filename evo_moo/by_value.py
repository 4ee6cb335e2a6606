"""How the classes and functions of a user's file reach the processes that an evaluation starts.

Python sends a class or a function to another process by the name of its module. A file that was named by its path, a
script and a notebook have no name that another process could import, so what they define is sent itself.
"""

import sys
from multiprocessing.reduction import ForkingPickler
from types import FunctionType, ModuleType
from typing import Any

_modules: set[str] = set()


def send_by_value(module: ModuleType) -> None:
    """Let what a module defines reach other processes, which cannot import the module by its name."""
    from cloudpickle import register_pickle_by_value

    register_pickle_by_value(module)  # for the workers of joblib and of Dask
    _modules.add(module.__name__)
    send_definitions()


def send_definitions() -> None:
    """Let the processes of ``multiprocessing`` get classes and functions that they cannot import by a name.

    It changes only what Python could not send: until then a data loader whose workers are spawned fails on them.
    """
    ForkingPickler.reducer_override = _reduced  # type: ignore[method-assign, assignment]


def _reduced(pickler: ForkingPickler, value: Any) -> Any:
    """Return how a value is sent; ``NotImplemented`` leaves it to Python."""
    if not isinstance(value, FunctionType | type):
        return NotImplemented
    name = (value.__module__, value.__qualname__)
    if value.__module__ not in _modules and _named(*name) is value:
        return NotImplemented
    import cloudpickle

    return _received, (*name, cloudpickle.dumps(value))


def _named(module: str, name: str) -> Any:
    """Return the class or the function of a name that this process knows; None if it knows none."""
    there: Any = sys.modules.get(module)
    for part in name.split("."):
        there = getattr(there, part, None)
    return there


def _received(module: str, name: str, content: bytes) -> Any:
    """Return what was sent: this process's own, if it has the module; whatever is sent back goes the same way."""
    import cloudpickle

    send_definitions()
    own = _named(module, name) if module in _modules else None
    return cloudpickle.loads(content) if own is None else own

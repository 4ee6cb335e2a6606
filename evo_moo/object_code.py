"""What decides the outcomes of a Python object's evaluations, as far as it can be seen from outside.

No run folder holds Python objects, so a run that searched one is continued with whatever object it is given. These
digests tell whether it is still the same: the functions and classes that it is made of, with those that they use, and
the plain values and arrays that it holds or that its functions read. Left out are what comes with a package, values
that evaluations themselves assign, temporary folders, and objects that hold no plain values. Line numbers, comments
and names of files do not count.
"""

import contextlib
import dis
import functools
import hashlib
import inspect
import sys
import tempfile
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import PurePath
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from evo_moo.source_texts import is_own

CODE = f"code of Python {sys.version_info[0]}.{sys.version_info[1]} "
"""How the digest of a function begins: other versions of Python compile to other code."""
LONGEST = 60
"""Characters of a value that is kept as it is; of a longer one a digest is."""
MOST_BYTES = 1 << 28
"""An array larger than this is known by its shape only."""


def object_code(problem: Any) -> dict[str, str]:
    """Return the parts of an object by their qualified names: digests of code, and values.

    Args:
        problem: The object: a problem, or anything that holds functions and values.
    """
    return _walked(problem).parts


def modules_of(problem: Any) -> list[str]:
    """Return the names of the own modules that the parts of an object are defined in."""
    return sorted(_walked(problem).modules - {"__main__", "__mp_main__"})


def changed_parts(there: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """Return in words what differs between two codes, of objects or of files.

    Only what both have is compared: what is new, or gone, shows in what uses it.

    Args:
        there: Names of the parts to their digests or values, as they were.
        here: The same, as they are.
    """
    changed = []
    for name in there.keys() & here.keys():
        old, new = there[name], here[name]
        if not _is_same(old, new):
            is_value = not any(value.startswith(("code of Python ", "text ", "digest ")) for value in (old, new))
            changed.append(f"`{name}`: {old} there, {new} here" if is_value else f"`{name}` has changed")
    return sorted(changed)


def _is_same(old: str, new: str) -> bool:
    """Return whether two parts are the same, or cannot be told apart."""
    if old == new:
        return True
    olds, news = old.split(), new.split()
    if olds[:3] == news[:3] == ["code", "of", "Python"]:  # functions; those of another version cannot be told apart
        return olds[3] != news[3]
    are_files = olds[:1] == news[:1] == ["text"] and len(olds) == len(news) > 2
    return are_files and olds[2:] == news[2:]  # they differ in their layout only


_CACHE = type(functools.lru_cache(len))
_REWRITTEN = "@py"
"""How names begin that pytest puts into code with ``assert``: only where it imports the module itself."""


class _Walk:
    """Goes from an object to all that it is made of."""

    def __init__(self) -> None:
        self.parts: dict[str, str] = {}
        self.modules: set[str] = set()
        self._seen: dict[int, Any] = {}  # the objects too, so that no id is given anew

    def attributes(self, name: str, thing: Any) -> None:
        """Take the attributes of an object, but for those that its own methods assign."""
        cls = type(thing)
        assigned = {a for c in cls.__mro__ for f in _methods(c, but="__init__") for a in _assigned(f, "STORE_ATTR")}
        for attribute, value in getattr(thing, "__dict__", {}).items():
            is_cached = isinstance(getattr(cls, attribute, None), functools.cached_property)
            if attribute not in assigned and not is_cached and attribute not in ("cache", "data"):  # of pymoo's
                self.value(f"{name}.{attribute}", value)

    def value(self, name: str, value: Any) -> None:
        """Take a value: itself if it is plain, else what it is made of."""
        if (text := _text(value)) is not None:
            is_temporary = isinstance(value, str | PurePath) and str(value).startswith(tempfile.gettempdir())
            if text not in ("[]", "{}") and not is_temporary:  # an empty one may be where evaluations are to be noted
                self._add(name, text if len(text) <= LONGEST else f"digest {_digest(text)}")
            return
        if isinstance(value, type):
            self.look_into_class(value)
            return
        if id(value) in self._seen:
            return
        self._seen[id(value)] = value
        if isinstance(value, FunctionType):
            self._function(value)
        elif isinstance(value, _CACHE):
            self.value(name, value.__wrapped__)
        elif inspect.ismethod(value):
            self.value(name, value.__func__)
            self.value(name, value.__self__)
        elif isinstance(value, functools.partial):
            self.value(name, value.func)
            self.value(name, [list(value.args), value.keywords])
        elif isinstance(value, dict):
            for key, item in value.items():
                self.value(f"{name}[{key!r}]", item)
        elif isinstance(value, list | tuple):
            for i, item in enumerate(value):
                self.value(f"{name}[{i}]", item)
        elif not isinstance(value, ModuleType):
            if _is_own(type(value)):
                self.look_into_class(type(value))
            if _is_own(type(value)) or name.endswith(".plain"):  # a problem of pymoo's
                self.attributes(name, value)

    def look_into_class(self, cls: type) -> None:
        """Take the methods and the values of a class and of those that it inherits from."""
        for base in cls.__mro__:
            if not _is_own(base) or id(base) in self._seen:
                continue
            self._seen[id(base)] = base
            self.modules.add(base.__module__)
            for function in _methods(base):
                self.value(base.__qualname__, function)
            for attribute, value in vars(base).items():
                if not attribute.startswith("__"):
                    self.value(f"{base.__qualname__}.{attribute}", value)

    def _add(self, name: str, text: str) -> None:
        number = 1
        while self.parts.setdefault(name if number == 1 else f"{name} ({number})", text) != text:
            number += 1

    def _function(self, function: FunctionType) -> None:
        if hasattr(function, "__wrapped__"):
            self.value(function.__qualname__, function.__wrapped__)
        if not is_own(function.__code__.co_filename):
            return
        self.modules.add(function.__module__)
        code = function.__code__
        name = code.co_qualname
        if not any(variable.startswith(_REWRITTEN) for variable in (*code.co_names, *code.co_varnames)):
            self._add(name, f"{CODE}{_digest(_code_text(code))}")
        self.value(f"{name} defaults", [list(function.__defaults__ or ()), function.__kwdefaults__ or {}])
        changed = _assigned(function, "STORE_GLOBAL", "STORE_DEREF")
        for variable, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            with contextlib.suppress(ValueError):  # an empty one
                if variable not in changed:
                    self.value(f"{name}: {variable}", cell.cell_contents)
        used = list(dict.fromkeys(n for part in _nested(code) for n in part.co_names))
        for variable in used:
            value = function.__globals__.get(variable)
            if isinstance(value, ModuleType):
                if is_own(getattr(value, "__file__", None) or ""):
                    for attribute in used:
                        self.value(f"{variable}.{attribute}", vars(value).get(attribute))
            elif variable in function.__globals__ and variable not in changed:
                self.value(variable, value)


def _walked(problem: Any) -> _Walk:
    walk = _Walk()
    with contextlib.suppress(RecursionError):  # of what holds itself
        walk.look_into_class(type(problem))
        walk.attributes(type(problem).__qualname__, problem)
    return walk


def _is_own(cls: type) -> bool:
    module = sys.modules.get(cls.__module__)
    return cls.__module__ == "__main__" or is_own(getattr(module, "__file__", None) or "")


def _methods(cls: type, but: str = "") -> Iterator[FunctionType]:
    """Return the functions that a class defines, also those behind properties and static methods."""
    for name, value in vars(cls).items():
        is_wrapper = isinstance(value, staticmethod | classmethod | property | functools.cached_property)
        roles = ("__func__", "fget", "fset", "func") if is_wrapper else ()
        for part in (value, *(getattr(value, role, None) for role in roles)):
            if isinstance(part, FunctionType) and name != but:
                yield part


def _assigned(function: FunctionType, *operations: str) -> set[str]:
    """Return the names that a function, or one within it, assigns in one of these ways."""
    inner = inspect.unwrap(function).__code__
    return {str(i.argval) for part in _nested(inner) for i in dis.get_instructions(part) if i.opname in operations}


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def _code_text(code: CodeType) -> str:
    constants = [_code_text(c) if isinstance(c, CodeType) else _text(c) or repr(c) for c in code.co_consts]
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_argcount, code.co_kwonlyargcount)
    return f"{code.co_code.hex()} {names} {constants}"


def _text(value: Any) -> str | None:
    """Write a plain value; None if it is none, or holds something that is none."""
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or isinstance(value, bool | int | float | complex | str | bytes) or value is Ellipsis:
        return repr(value)
    if isinstance(value, Enum | PurePath):
        return str(value)
    if isinstance(value, dict):
        pairs = [(_text(key), _text(item)) for key, item in value.items()]
        return None if any(None in pair for pair in pairs) else "{" + ", ".join(f"{k}: {v}" for k, v in pairs) + "}"
    if isinstance(value, list | tuple | set | frozenset):
        texts = [_text(item) for item in value]
        if None in texts:
            return None
        is_set = isinstance(value, set | frozenset)
        return f"[{', '.join(sorted(map(str, texts)) if is_set else map(str, texts))}]"
    # Other arrays may lie in a file, or be computed when they are first looked at.
    in_memory = type(value).__module__.partition(".")[0] in ("numpy", "pandas", "torch")
    return _array_text(value) if in_memory and hasattr(type(value), "__array__") else None


def _array_text(value: Any) -> str | None:
    with contextlib.suppress(Exception):  # on another device, or made of objects
        array = np.asarray(value)
        if array.dtype.hasobject:
            return None
        if array.ndim == 0:
            return repr(array.item())
        what = f"{array.dtype}{list(array.shape)}"
        return (
            f"digest {_digest(np.ascontiguousarray(array))} of {what}"
            if array.nbytes <= MOST_BYTES
            else f"digest {what}"
        )
    return None


def _digest(text: Any) -> str:
    return hashlib.blake2b(text.encode() if isinstance(text, str) else text, digest_size=16).hexdigest()

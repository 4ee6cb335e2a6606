"""A user's own Python files: read once, and run in every process as they were read.

Python imports a module once per process. So after an edit a live process would go on with what it imported, and a
worker that starts later would take what the file says by then. Here the texts are read at one moment, travel to the
workers, and are what both run; what was imported before from other texts makes room.

Own is what no package manager installed: a file, the modules and packages beside it, and whatever else they import
from outside ``site-packages`` and the standard library; of an installed plug-in, the modules of its package.
"""

import ast
import contextlib
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import sysconfig
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import psutil

from evo_moo.errors import is_engine

_STANDARD = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib"))
_INSTALLED = {"site-packages", "dist-packages"}
_OF_FILE = "evo_moo_user_"
"""How the name of a module begins that is named by its file."""
_STARTED_AT: float = psutil.Process().create_time()


class ModuleText(NamedTuple):
    """The text of a module, its file, and whether it is a package."""

    path: str
    text: bytes
    is_package: bool


@dataclass(frozen=True)
class UserCode:
    """A module and all own modules that it imports, directly or through others.

    Attributes:
        main: Name of the module.
        modules: Names of the modules to their texts; the main one is the first.
    """

    main: str
    modules: Mapping[str, ModuleText]

    @classmethod
    def of_file(cls, path: Path) -> "UserCode":
        """Read a file, and what it imports.

        Raises:
            OSError: A file cannot be read.
        """
        name = f"{_OF_FILE}{path.stem}_{_digest(str(path).encode())[:8]}"
        return cls(name, dict(_read(name, str(path), False, str(path.parent))))

    @classmethod
    def of_module(cls, name: str) -> "UserCode | None":
        """Read the source of a module that can be imported, and what it imports; None where it has no source.

        Raises:
            OSError: A file cannot be read.
        """
        importlib.invalidate_caches()
        spec = _spec_of(name, None)
        if spec is None or not _is_source(spec):
            return None
        return cls(name, dict(_read(name, str(spec.origin), _is_package(spec), None)))

    @classmethod
    def of_process(cls) -> "UserCode":
        """Read the files of all own modules that this process has imported, as they are now."""
        modules = {}
        for name, module in list(sys.modules.items()):
            path = getattr(module, "__file__", None) or ""
            if path.endswith(".py") and not name.startswith(("__", _OF_FILE)) and is_own(path):
                with contextlib.suppress(OSError):
                    modules[name] = ModuleText(path, Path(path).read_bytes(), hasattr(module, "__path__"))
        return cls("", modules)

    @cached_property
    def digests(self) -> dict[str, str]:
        """Name of each file, relative to where modules are looked for, to a digest of its text."""
        return {self._label(name): text_digest(module.text) for name, module in self.modules.items()}

    @cached_property
    def is_older_than_process(self) -> bool:
        """Whether no file was written since this process began, so that whatever it imported has these texts."""
        with contextlib.suppress(OSError):
            return all(
                Path(module.path).stat().st_mtime < _STARTED_AT and Path(module.path).read_bytes() == module.text
                for module in self.modules.values()
            )
        return False

    def offer(self) -> None:
        """Let this process import these modules by their names, where they are imported at all."""
        with _lock:
            _loaded[self.main] = loaded = _Loaded(self)
            loaded.enter()

    def load(self) -> ModuleType:
        """Return the main module, made of these texts; the same one again as long as they are the same.

        Raises:
            BaseException: Whatever the module raises.
        """
        folder = str(Path(self.modules[self.main].path).parent)
        if self._is_file and folder not in sys.path:  # for processes that an evaluation starts
            sys.path.append(folder)
        with _lock:
            loaded = _loaded.pop(self.main, None)
            if loaded is None or loaded.code != self:
                loaded = _Loaded(self)
            loaded.enter()
            _loaded[self.main] = loaded  # as the last one, to be asked first
            try:
                return importlib.import_module(self.main)
            except BaseException:
                _loaded.pop(self.main, None)
                raise

    @property
    def _is_file(self) -> bool:
        return self.main.startswith(_OF_FILE)

    def _label(self, name: str) -> str:
        module = self.modules[name]
        if name.startswith(_OF_FILE):
            return Path(module.path).name
        return name.replace(".", "/") + ("/__init__.py" if module.is_package else ".py")


class _Loaded:
    """The modules of this process that were made of a code."""

    def __init__(self, code: UserCode) -> None:
        self.code, self.modules = code, dict[str, ModuleType]()
        there = {name: sys.modules[name] for name in code.modules if name in sys.modules}
        if all(_is_made_of(module, name, code) for name, module in there.items()):
            self.modules |= there

    def enter(self) -> None:
        """Put these modules in the place of others of their names."""
        for name in self.code.modules:
            if name in self.modules:
                sys.modules[name] = self.modules[name]
            else:
                sys.modules.pop(name, None)


class _Loader(importlib.machinery.SourceFileLoader):
    """Makes a module of a text that was read before."""

    def __init__(self, name: str, loaded: _Loaded) -> None:
        module = loaded.code.modules[name]
        super().__init__(name, module.path)
        self.loaded, self._text = loaded, module.text

    def path_stats(self, path: Any) -> Any:
        """Raise ``OSError``, so that no compiled file of another text is used."""
        raise OSError

    def get_data(self, path: Any) -> bytes:
        """Return the module's text, or the bytes of a file beside it."""
        return self._text if path == self.path else super().get_data(path)

    def exec_module(self, module: ModuleType) -> None:
        """Run the text."""
        self.loaded.modules[module.__name__] = module
        try:
            super().exec_module(module)
        except BaseException:
            self.loaded.modules.pop(module.__name__, None)
            raise


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        for loaded in reversed(_loaded.values()):
            if (module := loaded.code.modules.get(fullname)) is not None:
                places = [str(Path(module.path).parent)] if module.is_package else None
                loader = _Loader(fullname, loaded)
                return importlib.util.spec_from_file_location(
                    fullname, module.path, loader=loader, submodule_search_locations=places
                )
        return None


_loaded: dict[str, _Loaded] = {}
"""Names of main modules to what was loaded for them, the latest last."""
_lock = threading.RLock()
_finder = _Finder()
sys.meta_path.insert(0, _finder)


def _is_made_of(module: ModuleType, name: str, code: UserCode) -> bool:
    """Return whether a module that is there already, and all that it imports, surely have the texts of a code."""
    loader = getattr(module.__spec__, "loader", None)
    if isinstance(loader, _Loader):
        theirs = loader.loaded.code.modules
        return all(theirs.get(other, text) == text for other, text in code.modules.items())
    return getattr(module, "__file__", None) == code.modules[name].path and code.is_older_than_process


def _read(name: str, path: str, is_package: bool, folder: str | None) -> Iterator[tuple[str, ModuleText]]:
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
                spec = _spec_of(parent, folder)
                if spec is not None and _is_source(spec) and _is_own(parent, str(spec.origin), name):
                    left.append((parent, str(spec.origin), _is_package(spec)))


def _imported_names(text: bytes, package: str) -> Iterator[str]:
    """Return the absolute names that a module's text imports; of ``from a import b`` both a and a.b."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):  # which running it will say
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


def _spec_of(name: str, folder: str | None) -> importlib.machinery.ModuleSpec | None:
    """Find a module without importing it or its parents; None where there is none."""
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
        find = None if finder is _finder else getattr(finder, "find_spec", None)
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


def _is_source(spec: importlib.machinery.ModuleSpec) -> bool:
    return spec.origin is not None and spec.origin.endswith(".py")


def _is_package(spec: importlib.machinery.ModuleSpec) -> bool:
    return spec.submodule_search_locations is not None


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
    digests = [_digest(text)]
    with contextlib.suppress(SyntaxError, ValueError):
        digests += [f"{sys.version_info[0]}.{sys.version_info[1]}", _digest(ast.dump(ast.parse(text)).encode())]
    return " ".join(["text", *digests])


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()

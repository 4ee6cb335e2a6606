"""A user's own Python files: read once, and run in every process as they were read.

Python imports a module once per process. So after an edit a live process would go on with what it imported, and a
worker that starts later would take what the file says by then. Here the texts are read at one moment, travel to the
workers, and are what both run; what was imported before from other texts makes room.
"""

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil

from evo_moo.source_texts import ModuleText, digest_of, is_source, read_texts, spec_of, text_digest

_OF_FILE = "evo_moo_user_"
"""How the name of a module begins that is named by its file."""
_STARTED_AT: float = psutil.Process().create_time()


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
        name = f"{_OF_FILE}{path.stem}_{digest_of(str(path).encode())[:8]}"
        return cls(name, dict(read_texts(name, str(path), False, str(path.parent))))

    @classmethod
    def of_module(cls, name: str) -> "UserCode | None":
        """Read the source of a module that can be imported, and what it imports; None where it has no source.

        Raises:
            OSError: A file cannot be read.
        """
        importlib.invalidate_caches()
        spec = spec_of(name, None)
        if spec is None or not is_source(spec):
            return None
        is_package = spec.submodule_search_locations is not None
        return cls(name, dict(read_texts(name, str(spec.origin), is_package, None)))

    @classmethod
    def of_modules(cls, names: Iterable[str]) -> "UserCode":
        """Read the sources of several modules, and what they import; those without a source are left out.

        Raises:
            OSError: A file cannot be read.
        """
        codes = [cls.of_module(name) for name in names]
        return cls("", {name: text for code in codes if code is not None for name, text in code.modules.items()})

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


def module_label(name: str) -> str:
    """Return a module's name as a user knows it: of a file that was named by its path without what stands for that."""
    return name.removeprefix(_OF_FILE).rpartition("_")[0] if name.startswith(_OF_FILE) else name


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
    has_read_texts = True

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        for main, loaded in reversed(list(_loaded.items())):
            if (module := loaded.code.modules.get(fullname)) is not None:
                if target is not None:  # the user asks for what the file has now: importlib.reload
                    del _loaded[main]
                    return importlib.util.spec_from_file_location(fullname, module.path)
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

"""Load problems and surrogate models by name: those of evo-moo and a user's own alike.

A reference is one of

- a name registered as an entry point of the group ``evo_moo.problems`` or ``evo_moo.surrogates``: ``digits_cnn``;
- ``pymoo:NAME``, any problem that pymoo's ``get_problem`` knows;
- ``command``, any program: ``CommandProblem`` with its arguments as options;
- ``package.module:Class``;
- ``path/to/file.py:Class``;
- ``path/to/file.py:objective``, a define-by-run objective as Optuna has it, with ``directions`` among its options.

Workers get a ``ProblemSource`` and build the problem themselves, because a class from a file loaded by path
cannot be sent to another process. It carries the text of the user's own files, so that all of them, and whatever
records the version of the problem, have the same; see ``user_code``.
"""

import difflib
import functools
import importlib
import importlib.metadata
import importlib.util
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pymoo.core.problem import Problem

from evo_moo.by_value import send_by_value, send_definitions
from evo_moo.errors import EvoMooError, PluginError, ProblemError, place_of
from evo_moo.object_code import CODE, changed_parts, modules_of, object_code
from evo_moo.problem.command.problem import CommandProblem
from evo_moo.problem.command.words import COMMAND
from evo_moo.problem.options import Options, read_options
from evo_moo.problem.pymoo_problem import as_search_problem
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.problem.trials.problem import class_of, is_objective
from evo_moo.surrogate.protocol import Surrogate
from evo_moo.user_code import UserCode

PROBLEMS = "evo_moo.problems"
SURROGATES = "evo_moo.surrogates"
PYMOO = "pymoo:"
DIRECTIONS = "directions"
EXPLORED = "explored"


@dataclass(frozen=True)
class ProblemSource:
    """What another process needs to build the same problem.

    Attributes:
        reference: How the problem is named; None for a Python object.
        options: Keyword arguments of the problem's class.
        pickled: The object by cloudpickle, where there is no reference. It travels to worker processes of
            this run only; it is never stored.
        code: The user's own files that the reference leads to, by default as they are now; None where there are none.
            Of an object, the files that its parts are defined in, with those that they import.
        parts: What decides the outcomes of evaluations, as far as it is known: names of files, or of the parts of an
            object, to digests or values.

    Raises:
        PluginError: The reference leads nowhere.
    """

    reference: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    pickled: bytes | None = None
    code: UserCode | None = None
    parts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read the code; another process has it from here."""
        if self.reference is not None and self.code is None:
            object.__setattr__(self, "code", code := _code_of(self.reference, PROBLEMS))
            object.__setattr__(self, "parts", code.digests if code else {})

    @classmethod
    def of_object(cls, problem: Any) -> "ProblemSource":
        """Return a source for a Python object.

        Raises:
            ProblemError: The definition is wrong, or the object cannot be sent to another process.
            SpaceError: The variables are wrong.
        """
        import cloudpickle

        parts = object_code(as_search_problem(problem))
        if script := sys.modules.get("__mp_main__"):  # of a process that was itself spawned
            send_by_value(script)
        try:
            return cls(pickled=cloudpickle.dumps(problem), code=UserCode.of_modules(modules_of(problem)), parts=parts)
        except Exception as error:
            raise ProblemError(
                f"a problem object must be picklable to reach the workers, but it is not: {error}; "
                "name the problem by a reference instead, or open its files in `evaluate`"
            ) from error

    def build(self, *, check: bool = True) -> SearchProblem:
        """Build the problem, and check its definition unless it is said otherwise.

        Raises:
            PluginError: The reference cannot be resolved.
            ProblemError: The definition is wrong.
            SpaceError: The variables are wrong.
        """
        if self.pickled is not None:
            import cloudpickle

            send_definitions()
            problem = _guarded("the problem object", functools.partial(cloudpickle.loads, self.pickled))
            return as_search_problem(problem, check=check)
        if self.reference is None:
            raise PluginError("a problem must be named by a reference, but there is none")
        return _built(self.reference, self.options, self.code, check=check)

    def rebuild(self) -> SearchProblem:
        """Build the problem in another process, and see that it is the same.

        Raises:
            ProblemError: An object is of other code here, because its file was edited after it was imported.
            EvoMooError: As for ``build``.
        """
        if self.pickled is None:
            return self.build()
        if self.code is not None:
            self.code.offer()
        problem = self.build()
        known = {name: value for name, value in self.parts.items() if value.startswith(CODE)}
        if changed := changed_parts(known, object_code(problem)):
            raise ProblemError(
                "an object must be of the code that its file has, but the file was edited after it was imported: "
                f"{'; '.join(changed)}; import the file anew, and make the object anew"
            )
        return problem

    def read_options(self) -> Options:
        """Read the options as the class behind the reference declares them, without building the problem.

        Raises:
            PluginError: The reference cannot be resolved.
        """
        is_class = self.reference is not None and not self.reference.startswith(PYMOO)
        target = _target(str(self.reference), self.options, self.code) if is_class else None
        return read_options(target, self.options)


def problem_names() -> dict[str, importlib.metadata.EntryPoint]:
    """Return the registered problems by name, sorted."""
    return _names(PROBLEMS)


def load_problem(reference: str, options: Mapping[str, Any] | None = None) -> SearchProblem:
    """Resolve a reference and build the problem with its options.

    Raises:
        PluginError: The reference cannot be resolved.
        ProblemError: The definition is wrong, or does not take these options.
        SpaceError: The variables are wrong.
    """
    return ProblemSource(reference, dict(options or {})).build()


def load_surrogate(reference: str) -> type[Surrogate]:
    """Resolve a reference to the class of a surrogate model; it takes ``Columns`` and a seed.

    Raises:
        PluginError: The reference cannot be resolved, or leads to something else.
    """
    target = _resolve(reference, SURROGATES, _code_of(reference, SURROGATES))
    if not (isinstance(target, type) and issubclass(target, Surrogate)):
        shown = target.__name__ if isinstance(target, type) else f"a {type(target).__name__}"
        raise PluginError(
            f"`{reference}` must be a class that inherits evo_moo.surrogate.protocol.Surrogate, but is {shown}"
        )
    if missing := sorted(getattr(target, "__abstractmethods__", ())):
        raise PluginError(f"`{reference}` must define all of a surrogate's methods, but lacks {', '.join(missing)}")
    return target


def code_of_surrogate(reference: str) -> dict[str, str]:
    """Return the names of the files behind a model of the user's own to their digests; none of a registered one.

    Raises:
        PluginError: The reference leads nowhere.
    """
    code = _code_of(reference, SURROGATES) if ":" in reference else None
    return code.digests if code else {}


def absolute_reference(reference: str, base: Path) -> str:
    """Return a reference with the path of ``file.py:Class`` made absolute, read relative to ``base``."""
    path, colon, name = reference.rpartition(":")
    if colon and path.endswith(".py"):
        return f"{(base / Path(path).expanduser()).resolve()}:{name}"
    return reference


def job_file_of(reference: str) -> Path | None:
    """Return the job file that lies beside a registered problem's module, if there is one."""
    point = problem_names().get(reference)
    spec = importlib.util.find_spec(point.module) if point else None
    path = Path(spec.origin).with_suffix(".toml") if spec and spec.origin else None
    return path if path and path.is_file() else None


def _names(group: str) -> dict[str, importlib.metadata.EntryPoint]:
    points = importlib.metadata.entry_points(group=group)
    return {point.name: point for point in sorted(points, key=lambda point: point.name)}


def _built(reference: str, options: Mapping[str, Any], code: UserCode | None, *, check: bool) -> SearchProblem:
    target = None if reference.startswith(PYMOO) else _target(reference, options, code)
    read = read_options(target, options)
    if read.faults:
        raise ProblemError("\n".join(f"`{reference}`: option {fault}" for fault in read.faults))
    if target is None:
        return _pymoo_problem(reference.removeprefix(PYMOO), read.typed)
    if isinstance(target, type):
        if not issubclass(target, Problem):
            kind = f"the class {target.__name__}"
            raise ProblemError(f"`{reference}`: a problem must be a SearchProblem or a pymoo Problem, but is {kind}")
        target = _guarded(reference, lambda: target(**read.typed))
    elif options:
        raise ProblemError(f"`{reference}` is an object and takes no options, but got {', '.join(options)}")
    try:
        return as_search_problem(target, check=check)
    except EvoMooError as error:
        raise type(error)("\n".join(f"`{reference}`: {line}" for line in str(error).splitlines())) from error


def _target(reference: str, options: Mapping[str, Any], code: UserCode | None) -> Any:
    """Resolve a problem's reference: to a class or an object, of a define-by-run objective to a class of its own."""
    target = _resolve(reference, PROBLEMS, code)
    return class_of(target) if DIRECTIONS in options and is_objective(target) else target


def _code_of(reference: str, group: str) -> UserCode | None:
    """Read the code that a reference leads to; None where there is none of the user's own."""
    if reference.startswith(PYMOO) or (group, reference) == (PROBLEMS, COMMAND):
        return None
    place, colon, _ = reference.rpartition(":")
    try:
        if not colon:
            return UserCode.of_module(_registered(reference, group).module)
        if not place.endswith(".py"):
            return UserCode.of_module(place)
        path = Path(place).expanduser().resolve()
        if not path.is_file():
            raise PluginError(f"`{path}` must be a Python file, but there is no such file")
        return UserCode.of_file(path)
    except OSError as error:
        raise PluginError(f"`{reference}`: the file `{error.filename}` cannot be read: {error.strerror}") from error


def _resolve(reference: str, group: str, code: UserCode | None) -> Any:
    if (group, reference) == (PROBLEMS, COMMAND):
        return CommandProblem
    place, colon, name = reference.rpartition(":")
    shown = str(Path(place).expanduser().resolve()) if place.endswith(".py") else reference
    module = _guarded(shown, code.load if code else lambda: importlib.import_module(place)) if code or colon else None
    if module is None or not colon:
        return _guarded(reference, _registered(reference, group).load)
    if place.endswith(".py"):
        send_by_value(module)
    try:
        return getattr(module, name)
    except AttributeError:
        classes = [k for k, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__]
        there = f"it defines {', '.join(classes) or 'nothing'}"
        file = getattr(module, "__file__", None) or "a built-in module"
        raise PluginError(f"`{reference}`: there is no `{name}` in {file}; {there}") from None


def _registered(reference: str, group: str) -> importlib.metadata.EntryPoint:
    names, kind = _names(group), "problem" if group == PROBLEMS else "surrogate"
    if reference in names:
        return names[reference]
    near = difflib.get_close_matches(reference, names, n=1)
    hint = f"did you mean `{near[0]}`? " if near else ""
    if reference.endswith(".py"):
        hint = f"name the class too, as in `{reference}:My{kind.capitalize()}`; "
    elif kind == "problem" and Path(reference).is_file():
        hint = "a program is named by `command` in a job file; "
    raise PluginError(
        f"`{reference}` names no {kind}; {hint}use one of {', '.join(names)}, "
        f"{'`pymoo:NAME`, ' if group == PROBLEMS else ''}`package.module:Class` or `path/to/file.py:Class`"
    )


def _guarded(reference: str, load: Any) -> Any:
    """Run the user's code; what it raises becomes one message that names the user's own file and line."""
    try:
        return load()
    except EvoMooError:
        raise
    except SyntaxError as error:
        raise PluginError(f"`{reference}`: {error.msg} ({error.filename}, line {error.lineno})") from error
    except (Exception, SystemExit) as error:
        place = place_of(error)
        shown = f" ({place[0]}, line {place[1]})" if place else ""
        raise PluginError(f"`{reference}`: {type(error).__name__}: {error}{shown}") from error


def _pymoo_problem(name: str, options: dict[str, Any]) -> SearchProblem:
    from pymoo.problems import get_problem

    try:
        problem = get_problem(name, **options)
    except Exception as error:
        raise PluginError(
            f"`pymoo:{name}` must be a problem that pymoo's get_problem knows, but pymoo refuses it "
            f"with options {json.dumps(options)}: {error}"
        ) from error
    return as_search_problem(problem)

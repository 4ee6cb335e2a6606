"""What is wrong with a command: its placeholders, its files, its program. Every fault begins with its key."""

import difflib
import json
import os
import shlex
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from evo_moo.problem.command.configuration_file import suffix_of
from evo_moo.problem.command.files import flat, matched, missing_script
from evo_moo.problem.command.template import Command, NoValueError, filled, names_in, texts_in
from evo_moo.problem.fidelity import Fidelity
from evo_moo.space.dotted import below_another, is_name
from evo_moo.space.variables import Variable

CIRCUMSTANCES = ("seed", "fidelity", "replicate", "workspace", "weights")
CONSTANTS = ("python", "directory")
_OURS = (*CIRCUMSTANCES, *CONSTANTS, "config")


class OfCommand(Protocol):
    """What a command's problem declares; see ``CommandProblem``."""

    command: Command
    variables: Mapping[str, Variable]
    declared_names: Collection[str]
    fidelity: Fidelity | None
    environment: Mapping[str, Any]
    config: Mapping[str, Any] | None
    metrics_file: str | None
    model_files: Any
    directory: Path
    cwd: str
    files: Any
    epoch: str


def named_in(problem: OfCommand) -> list[str]:
    """Return the names of all placeholders that a command's problem fills.

    Raises:
        ValueError: A brace stands alone.
    """
    return names_in([*_templates(problem).values()])


def command_faults(problem: OfCommand) -> list[str]:
    """List every fault, but for those of variables, metrics and goals."""
    if faults := [*_shape_faults(problem)]:
        return faults
    for key, template in _templates(problem).items():
        for text in texts_in(template):
            try:
                faults += [f"`{key}`: {fault}" for name in names_in(text) for fault in _name_faults(name, problem)]
            except ValueError as fault:
                faults.append(f"`{key}`: {fault}")
    for name in [name for name in _OURS if name in problem.declared_names]:
        faults.append(
            f"`variables.{name}` must have another name, since {{{name}}} has a meaning of its own; rename it"
        )
    faults += [] if faults else _use_faults(problem, named_in(problem))
    return [*faults, *_place_faults(problem)]


def _templates(problem: OfCommand) -> dict[str, Any]:
    templates: dict[str, Any] = {"command": problem.command, "cwd": problem.cwd}
    templates |= {f"environment.{name}": value for name, value in problem.environment.items()}
    templates |= {"config": problem.config, "metrics_file": problem.metrics_file, "model_files": problem.model_files}
    return templates


def _shape_faults(problem: OfCommand) -> Iterator[str]:
    """Say which parts are of a wrong type."""
    command: Any = problem.command
    if isinstance(command, str):
        try:
            words = json.dumps(shlex.split(command), ensure_ascii=False)
        except ValueError:
            words = '["program", "--flag", "{name}"]'
        yield f"`command` must be a list of arguments, since no shell reads it, but is {command!r}; write {words}"
    elif not isinstance(command, list | tuple) or not command or not isinstance(command[0], str):
        yield f"`command` must be a list that begins with a program, but is {command!r}"
    elif wrong := [item for item in command if not _is_argument(item)]:
        yield f"`command` must hold texts, or lists of texts that go together, but holds {wrong[0]!r}"
    elif any("\0" in text for text in flat(command)):
        yield "`command` must hold no zero bytes, which no argument can have, but holds one; drop it"
    if not isinstance(problem.environment, Mapping):
        yield f"`environment` must be a table of names to texts, but is {problem.environment!r}"
    else:
        for name, value in problem.environment.items():
            if not isinstance(value, str | int | float):
                yield f"`environment.{name}` must be a text or a number, but is {value!r}"
            if not name or "=" in name or "\0" in f"{name}{value}":
                yield f"`environment` must have names without = and no zero bytes, but has {name!r}"
    if problem.config is not None and not isinstance(problem.config, Mapping):
        yield f"`config` must be a table of what the file holds, but is {problem.config!r}"
    if not isinstance(problem.files, list | tuple) or not all(isinstance(each, str) for each in problem.files):
        yield f"`files` must be a list of paths or patterns, but is {problem.files!r}"
    if not isinstance(problem.model_files, list | tuple) or not all(isinstance(f, str) for f in problem.model_files):
        yield f"`model_files` must be a list of paths, but is {problem.model_files!r}"
    for key, text in (("cwd", problem.cwd), ("metrics_file", problem.metrics_file or ""), ("epoch", problem.epoch)):
        if not isinstance(text, str):
            yield f"`{key}` must be a text, but is {text!r}"


def _is_argument(item: Any) -> bool:
    return isinstance(item, str) or (isinstance(item, list | tuple) and all(isinstance(text, str) for text in item))


def _name_faults(name: str, problem: OfCommand) -> list[str]:
    known = [*problem.declared_names, *CIRCUMSTANCES, *CONSTANTS, "config", "config.toml", "config.yaml"]
    if name in known or suffix_of(name):
        return []
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {{{near[0]}}}? " if near else ""
    braces = "" if is_name(name) else "; a brace of its own is written {{ or }}"
    return [f"{{{name}}} names no variable; {hint}known: {', '.join(known)}{braces}"]


def _use_faults(problem: OfCommand, named: Collection[str]) -> Iterator[str]:
    """Say what is declared and never used, or used and not declared."""
    has_file = any(map(suffix_of, named))
    if problem.config is not None and not has_file:
        yield "`config` must be named by the command, as {config} or {config.toml}, but is not"
    if problem.config is None and has_file and (below := below_another(problem.variables)):
        rule = "`config` must say what the file holds where a name is that of a value and of a table"
        yield f"{rule}, but `{below[0]}` lies below another variable; give `config`, or rename one"
    for name in problem.variables if problem.config is not None or not has_file else ():
        if name not in named:
            way_out = f'add "--{name}", "{{{name}}}", or leave it out'
            yield f"`variables.{name}` must be named by the command, but is not, so it would change nothing; {way_out}"
    if problem.fidelity is not None and "fidelity" not in named:
        yield f"`fidelity` must be named by the command, as {{fidelity}}, but {problem.fidelity.name} is not"
    for name in ("fidelity", "weights"):
        if name in named and problem.fidelity is None:
            rule = f"`command`: {{{name}}} must go with a fidelity"
            yield f"{rule}, as in fidelity = {{ epochs = [1, 18] }}, but there is none"
    for name, variable in problem.variables.items():
        if any(isinstance(option, str) and "\0" in option for option in getattr(variable, "options", ())):
            yield f"`variables.{name}` must have no zero bytes, which no argument can have, but has one"
    left = [("metrics_file", problem.metrics_file)] if problem.metrics_file is not None else []
    for key, file in [*left, *(("model_files", file) for file in problem.model_files)]:
        if "workspace" not in names_in([file, problem.cwd]):
            rule = f"`{key}` must lie in the evaluation's own folder, lest evaluations mix up their files"
            yield f'{rule}, but is {file!r}; write "{{workspace}}/{Path(file).name}"'


def _place_faults(problem: OfCommand) -> Iterator[str]:
    """Say what is not where it must be."""
    if not problem.directory.is_dir():
        yield f"`directory` must be a folder, but there is none at {str(problem.directory)!r}"
        return
    given = {"directory": str(problem.directory)}
    try:
        yield from _path_faults(problem, given)
    except (NoValueError, ValueError):
        return  # of placeholders that have faults, or that only an evaluation has values for


def _path_faults(problem: OfCommand, given: Mapping[str, str]) -> Iterator[str]:
    cwd = None if "workspace" in names_in(problem.cwd) else Path(filled(problem.cwd, given))
    if cwd is not None and not (cwd := problem.directory / cwd).is_dir():
        yield f"`cwd` must be a folder, but there is none at {str(cwd)!r}"
    program = filled(str(problem.command[0]), {**given, "python": "python"})
    path = filled(str(problem.environment.get("PATH", os.environ.get("PATH", ""))), given)
    if problem.command[0] != "{python}" and not _is_program(program, path, cwd):
        way_out = "write {python} for the Python of evo-moo" if program.startswith("python") else "name its path"
        if cwd is not None and (cwd / program).is_file():
            is_path = os.sep in program
            way_out = "let it be executable, or name what runs it before it" if is_path else f"write ./{program}"
        rule = "`command` must begin with a program that is in the PATH, or with the path of one"
        yield f"{rule}, but {program!r} is neither; {way_out}"
    if missing := missing_script(problem.command, problem.directory, cwd):
        where = cwd or "the evaluation's own folder; write {directory}/ before it"
        yield f"`command`: the script {missing!r} must be a file, but there is none in {where}"
    for pattern in problem.files:
        if not matched(pattern, problem.directory):
            yield f"`files` must name files, but {pattern!r} matches none in {problem.directory}"


def _is_program(program: str, path: str, cwd: Path | None) -> bool:
    if os.sep in program:
        return cwd is None or os.access(cwd / program, os.X_OK)
    return shutil.which(program, path=path) is not None

"""Any program as a problem: a command whose arguments name the variables, and that prints its metrics."""

import contextlib
import functools
import inspect
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evo_moo.errors import MetricError, ProblemError, SpaceError, UsageError
from evo_moo.problem.command.call import Call, metrics_of_file, reporter, weights_folder
from evo_moo.problem.command.configuration_file import configuration_text, suffix_of
from evo_moo.problem.command.declarations import read_fidelity, read_metrics, read_variables
from evo_moo.problem.command.faults import CIRCUMSTANCES, command_faults, named_in
from evo_moo.problem.command.files import file_digests, script_name
from evo_moo.problem.command.program import run_program
from evo_moo.problem.command.template import (
    Command,
    NoValueError,
    as_text,
    filled,
    filled_arguments,
    filled_table,
)
from evo_moo.problem.learning_curve import Report
from evo_moo.problem.metrics import is_finite_number
from evo_moo.problem.optional_methods import TrainedModel
from evo_moo.problem.search_problem import Configuration, SearchProblem
from evo_moo.problem.weights import Weights
from evo_moo.seeding import evaluation_seed
from evo_moo.space.dotted import nested


class CommandProblem(SearchProblem):
    """Any program as a problem.

    No shell is involved: each argument is a text of its own, with ``{name}`` for the value of a variable, and stays
    one whatever the value holds. An argument that names an inactive variable is left out, with the flag before it; so
    is an inner list as a whole. ``"--flag", "{name}"`` of a Boolean is ``--flag`` or nothing. A value of None is left
    out like an inactive one.

    Beside the variables there are ``{seed}``, ``{fidelity}``, ``{replicate}``; ``{workspace}``, a folder of the
    evaluation's own; ``{weights}``, a folder with what the shorter training left there, to leave something for the
    longer one; ``{config}``, ``{config.toml}`` or ``{config.yaml}``, a file with the configuration; ``{python}``, this
    interpreter; ``{directory}``. ``{{`` and ``}}`` are braces.

    The metrics are the last JSON object that the program prints. Each that has an ``epoch`` is a point of the learning
    curve.

    Args:
        command: The program and its arguments; an inner list goes together.
        variables: Names to variables, or to tables such as ``{"real": [1e-4, 1e-1], "log": True}``.
        objectives: As in ``SearchProblem``.
        constraints: As in ``SearchProblem``.
        metrics: Names to ``Metric``, or to tables such as ``{"unit": "ms", "timed": True}``.
        contexts: As in ``SearchProblem``.
        fidelity: A ``Fidelity``, or ``{"epochs": [1, 18]}``.
        environment: More environment variables, whose texts may have placeholders.
        config: What the configuration file holds, a table with placeholders; by default the configuration.
        metrics_file: The file that the program writes its metrics to, where it does not print them.
        model_files: The files of the trained model that the program leaves, such as ``"{workspace}/model.onnx"``:
            ``evo-moo build`` keeps them, and runs a file of that name by ONNX Runtime.
        directory: The folder in which relative files are looked for, by default the present one.
        cwd: The working directory, by default ``"{directory}"``.
        files: Patterns of further files, relative to ``directory``, that decide what the program does: a run sees when
            they change, as it sees it of the files that the command names.
        epoch: The key that makes a printed object a point of the learning curve; empty for none.
    """

    def __init__(
        self,
        command: Any,
        variables: Any,
        objectives: dict[str, Any] | None = None,
        constraints: dict[str, Any] | None = None,
        *,
        metrics: Any = None,
        contexts: dict[str, list[str]] | None = None,
        fidelity: Any = None,
        environment: Any = None,
        config: Any = None,
        metrics_file: str | None = None,
        model_files: Any = None,
        directory: str | Path = ".",
        cwd: str = "{directory}",
        files: Any = None,
        epoch: str = "epoch",
    ) -> None:
        self.command: Command = command
        self.variables, self.declared_names, of_variables = read_variables(variables)
        self.metrics, of_metrics = read_metrics(metrics or {})
        self.fidelity, of_fidelity = read_fidelity(fidelity)
        self.objectives, self.constraints = objectives or {}, constraints or {}
        self.contexts, self.environment, self.config = contexts or {}, environment or {}, config
        self.directory, self.cwd = Path(directory).expanduser().absolute(), cwd
        self.metrics_file, self.model_files = metrics_file, model_files or []
        self.files, self.epoch = files or [], epoch
        self.faults = [*of_variables, *of_metrics, *of_fidelity]

    def check(self) -> None:
        """Check the whole definition, and that the program is there.

        Raises:
            ProblemError: It has faults; all are listed, one a line.
        """
        faults, of_space = [*self.faults, *command_faults(self)], list[str]()
        try:
            _ = self.space
        except SpaceError as error:
            of_space = str(error).splitlines()
            faults += [f"`variables.{line[1:]}" for line in of_space if line.startswith("`")]
        try:
            super().check()
        except (ProblemError, SpaceError) as error:
            lines = str(error).replace(f"{type(self).__name__}: ", "").splitlines()
            faults += [line for line in lines if line not in of_space]
        if faults:
            raise ProblemError("\n".join(faults))

    def name(self) -> str:
        """Return the name of the script, or of the program."""
        return script_name(self.command)

    @property
    def evaluated_function(self) -> Callable[..., Any]:
        """What a configuration is handed to, which asks for what the command names."""
        keywords = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in self._keywords]
        function = functools.partial(self.evaluate)
        configuration = inspect.Parameter("config", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        function.__signature__ = inspect.Signature([configuration, *keywords])  # type: ignore[attr-defined]
        return function

    @functools.cached_property
    def _keywords(self) -> list[str]:
        """What ``evaluate`` asks for."""
        keywords = {name for name in CIRCUMSTANCES if name in self._named} | {"report"}
        if self._has_weights or any(map(suffix_of, self._named)):
            keywords.add("workspace")
        return sorted(keywords)

    @functools.cached_property
    def _named(self) -> list[str]:
        try:
            return named_in(self)
        except (ValueError, AttributeError, TypeError):  # of a definition with faults
            return []

    @functools.cached_property
    def file_digests(self) -> dict[str, str]:
        """The files that the command is made of, by their paths from ``directory``, to their digests."""
        return file_digests(self.command, self.files, self.directory)

    def evaluate(
        self,
        config: Configuration,
        *,
        seed: int = 0,
        replicate: int = 0,
        fidelity: int | None = None,
        workspace: Path | None = None,
        weights: Weights | None = None,
        report: Report | None = None,
    ) -> dict[str, Any]:
        """Run the command, and return the metrics that it printed or wrote.

        Raises:
            MetricError: There are none, or what is reported of an epoch is none.
            ProgramError: The command could not be started, or ended badly.
            TrainingStopped: ``report`` ended it.
        """
        with contextlib.ExitStack() as stack:
            if workspace is None and "workspace" in self._keywords:
                workspace = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            folder = (workspace or Path()).absolute()
            state = stack.enter_context(weights_folder(weights or Weights(), folder)) if self._has_weights else None
            call = self.call(config, folder, seed=seed, replicate=replicate, fidelity=fidelity, weights=state)
            if call.metrics_file is not None:
                call.metrics_file.unlink(missing_ok=True)  # of an attempt that was killed
            for file, text in call.files.items():
                file.write_text(text, encoding="utf-8")
            take = reporter(report or Report(), self.epoch, self.declared_metrics)
            printed = run_program(call.arguments, call.cwd, call.environment, take)
            metrics = printed.last if call.metrics_file is None else metrics_of_file(call.metrics_file)
        if metrics is None:
            example = json.dumps(dict.fromkeys(self.objectives, 0.9))
            said = f"its last line is {printed.last_line!r}" if printed.last_line else "it printed nothing"
            raise MetricError(f"the command must print its metrics as a JSON object, such as {example}, but {said}")
        return {name: value for name, value in metrics.items() if name != self.epoch or name in self.declared_metrics}

    def model(self, config: Configuration, *, seed: int, workspace: Path | None = None) -> TrainedModel:
        """Run the command at full length, and return the files of the model that it leaves.

        Raises:
            ProblemError: No files are declared, or the command leaves them not; all are named. Else as ``evaluate``.
        """
        if not self.model_files:
            raise ProblemError(
                "`model_files` must name what the command leaves of a trained model, to be built, but names nothing; "
                'write model_files = ["{workspace}/model.onnx"] before the search'
            )
        with contextlib.ExitStack() as stack:
            folder = (workspace or Path(stack.enter_context(tempfile.TemporaryDirectory()))).absolute()
            metrics = self.evaluate(config, seed=seed, workspace=folder)
            given = {**config, "seed": seed, "workspace": str(folder), "directory": str(self.directory)}
            cwd = self.call(config, folder, seed=seed).cwd
            paths = [cwd / filled(file, given) for file in self.model_files]
            files = {path.name: path.read_bytes() for path in paths if path.is_file()}
        if missing := [str(path) for path in paths if path.name not in files]:
            raise ProblemError(
                f"`model_files` must be there once the command has ended, but lacks {', '.join(missing)}"
            )
        measured = {name: value for name, value in metrics.items() if is_finite_number(value)}
        return TrainedModel(metrics=measured, files=files)

    def call(
        self,
        config: Configuration,
        workspace: Path,
        *,
        seed: int = 0,
        replicate: int = 0,
        fidelity: int | None = None,
        weights: Path | None = None,
    ) -> Call:
        """Return how the program is called for a configuration; nothing is written or run.

        Args:
            config: The configuration.
            workspace: The folder of the evaluation.
            seed: As for ``evaluate``.
            replicate: As for ``evaluate``.
            fidelity: As for ``evaluate``; by default the full one, where there is any.
            weights: The folder of ``{weights}``, by default one in ``workspace``.
        """
        full = None if self.fidelity is None else self.fidelity.high
        values = {**config, "seed": seed, "replicate": replicate, "fidelity": fidelity or full}
        values |= {"python": sys.executable, "directory": str(self.directory), "workspace": str(workspace)}
        values |= {"weights": str(weights or workspace / "weights")}
        files = {}
        for name, suffix in [(name, suffix) for name in self._named if (suffix := suffix_of(name))]:
            file = workspace / f"config.{suffix}"
            values[name] = str(file)
            table = nested(config) if self.config is None else filled_table(self.config, values)
            files[file] = configuration_text(table, suffix)
        cwd = self.directory / filled(self.cwd, values)
        own = {name: _filled_or_none(as_text(text), values) for name, text in self.environment.items()}
        kept = {name: text for name, text in os.environ.items() if name not in own} | {"PYTHONUNBUFFERED": "1"}
        environment = kept | {name: text for name, text in own.items() if text is not None}
        metrics_file = None if self.metrics_file is None else cwd / filled(self.metrics_file, values)
        return Call(filled_arguments(self.command, values), cwd, environment, files, metrics_file)

    @property
    def _has_weights(self) -> bool:
        return "weights" in self._named


def calls_of(problem: SearchProblem, n: int, seed: int = 1) -> list[Call]:
    """Return how the program of a command is called for some configurations drawn at random.

    Args:
        problem: The problem.
        n: Number of configurations.
        seed: Decides which.

    Raises:
        UsageError: The problem runs no command.
    """
    if not isinstance(problem, CommandProblem):
        raise UsageError("`--dry-run` must go with a problem that runs a command, but this one runs none; drop it")
    configurations = problem.space.decode(problem.space.sample(n, np.random.default_rng(seed)))
    return [problem.call(c, Path("WORKSPACE"), seed=evaluation_seed(seed, c)) for c in configurations]


def _filled_or_none(text: str, values: Mapping[str, Any]) -> str | None:
    try:
        return filled(text, values)
    except NoValueError:
        return None

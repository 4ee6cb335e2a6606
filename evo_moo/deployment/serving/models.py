"""The built models that are served together: read, found to agree, loaded and measured."""

import time
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evo_moo.deployment.card import Input, ModelCard
from evo_moo.deployment.measure import agreement
from evo_moo.deployment.model_folder import Array, ModelFolder
from evo_moo.deployment.runners import RUNTIMES, Predict, predict_of, runtimes_here
from evo_moo.deployment.serving.members import Member
from evo_moo.errors import ModelFolderError, UsageError
from evo_moo.text import shortened

_QUALITIES = ("accuracy", "balanced_accuracy", "mean_absolute_error")
_N_WARM, _N_MEASURED, _LIMIT_S = 5, 50, 2.0


@dataclass(frozen=True)
class Model:
    """A built model that can be served.

    Attributes:
        name: Name of its folder.
        folder: The folder.
        runtime: What runs it.
        input: What it takes.
        trust: Whether the code that its file may run is trusted.
    """

    name: str
    folder: ModelFolder
    runtime: str
    input: Input
    trust: bool = False

    @property
    def card(self) -> ModelCard:
        """Its card."""
        return self.folder.card

    def load(self) -> Predict:
        """Load it.

        Raises:
            ModelFolderError: See ``predict_of``.
        """
        return predict_of(self.folder, self.runtime, trust=self.trust)

    def usual_request(self, size: int) -> Array:
        """Return inputs of the model's examples, ``(size, ...)``."""
        return np.resize(self.folder.examples()[0], (size, *self.input.shape)).astype(self.input.dtype)


def read_models(paths: Sequence[str | Path], *, runtime: str | None = None, trust: bool = False) -> list[Model]:
    """Read folders of models that are to answer the same requests; no code of them runs unless it is trusted.

    Args:
        paths: The folders.
        runtime: What runs them all; None: of each, the first that is installed.
        trust: Whether the code that their files may run is trusted.

    Raises:
        UsageError: A folder is not as it was built, or cannot be run here, or they do not agree in what they take and
            give; all faults are listed.
    """
    if runtime is not None and runtime not in RUNTIMES:
        raise UsageError(f"`runtime` must be one of {', '.join(RUNTIMES)}, but is {runtime!r}")
    faults, models = [], []
    for path in map(Path, paths):
        try:
            folder = ModelFolder.read(path)
            found = runtime or next(iter(runtimes_here(folder)), next(iter(RUNTIMES)))
            if folder.card.input is None:
                raise ModelFolderError(f"`{path}` must say what its model takes, to be served, but its card does not")
            model = Model(path.resolve().name, folder, found, folder.card.input, trust)
            examples, _ = folder.examples()
            if examples.shape[1:] != model.input.shape:
                raise ModelFolderError(
                    f"`{path}` must take inputs as its card says, {model.input.shape}, but has examples of "
                    f"{examples.shape[1:]}"
                )
            if not (apart := agreement(folder, found, trust=trust)) <= folder.card.tolerance:
                raise ModelFolderError(
                    f"`{path}` must give here what it gave when it was built, up to {folder.card.tolerance:g}, but "
                    f"differs by {apart:.2g}; name another --runtime"
                )
            models.append(model)
        except ModelFolderError as error:
            faults += str(error).splitlines()
    faults += _disagreements(models)
    if faults:
        raise UsageError(*faults)
    return models


def _disagreements(models: Sequence[Model]) -> list[str]:
    faults = []
    for name in {model.name for model in models}:
        same = [str(model.folder.path) for model in models if model.name == name]
        if len(same) > 1:
            faults.append(f"models must lie in folders of different names, but {' and '.join(same)} do not")
    faults += [
        f"`{model.folder.path}` must take numbers, but takes {model.input.dtype}"
        for model in models
        if np.dtype(model.input.dtype).kind not in "fiub"
    ]
    for words, values in (
        ("take inputs of one shape", [model.input.shape for model in models]),
        ("take inputs of one type", [model.input.dtype for model in models]),
        ("give outputs of one kind", [model.card.outputs for model in models]),
        ("have the same classes", [tuple(model.card.classes) for model in models]),
        ("have thresholds for the same groups", [tuple(sorted(model.card.thresholds)) for model in models]),
    ):
        if len(set(values)) > 1:
            told = ", ".join(f"{model.name} {value}" for model, value in zip(models, values, strict=True))
            faults.append(f"models that are served together must {words}, but: {told}")
    if models and not _shared_qualities(models):
        faults.append(f"models that are served together must promise one of {', '.join(_QUALITIES)}, but do not")
    return faults


def _shared_qualities(models: Sequence[Model]) -> list[str]:
    return [name for name in _QUALITIES if all(name in model.card.promises for model in models)]


def members_of(models: Sequence[Model], usual: int, executor: Executor) -> list[Member]:
    """Measure each model as the service will run it, one after the other, and return them as a switch sees them.

    Args:
        models: The models.
        usual: Number of inputs of a usual request.
        executor: What runs them.

    Raises:
        UsageError: A model cannot take so many inputs at once; all are named.
    """
    quality, members, faults = _shared_qualities(models)[0], list[Member](), list[str]()
    for model in models:
        promise = model.card.promises[quality]
        try:
            latencies = _latencies_ms(model, usual, executor)
        except Exception as error:  # each runtime refuses in its own way
            rule = f"`{model.folder.path}` must take any number of inputs at once, 1 and {usual} were tried, but fails"
            faults.append(f"{rule}: {shortened(str(error))}")
            continue
        better = promise.value if promise.direction == "max" else -promise.value
        members.append(Member(model.name, better, latencies, _memory_mb(model)))
    if faults:
        raise UsageError(*faults)
    return members


def _latencies_ms(model: Model, usual: int, executor: Executor) -> tuple[float, ...]:
    predict = model.load()
    executor.submit(predict, model.usual_request(1)).result()
    inputs, latencies, end = model.usual_request(usual), list[float](), time.perf_counter() + _LIMIT_S
    for i in range(_N_WARM + _N_MEASURED):
        start = time.perf_counter()
        executor.submit(predict, inputs).result()
        if i >= _N_WARM or start > end:
            latencies.append((time.perf_counter() - start) * 1e3)
        if latencies and start > end:
            break
    return tuple(latencies)


def _memory_mb(model: Model) -> float:
    promised: dict[str, Any] = model.card.serving.get(model.runtime, {})
    size = (model.folder.path / RUNTIMES[model.runtime]).stat().st_size / 1e6
    return max(float(promised["memory_mb"].value), 0.0) if "memory_mb" in promised else size

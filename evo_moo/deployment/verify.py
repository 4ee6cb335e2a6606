"""The proof of a built model on any machine: whether what its card promises holds there."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evo_moo.deployment.card import Promise
from evo_moo.deployment.measure import agreement, footprint, predicted, quality, read_data, speed
from evo_moo.deployment.model_folder import ModelFolder
from evo_moo.deployment.runners import RUNTIMES, missing_module, predict_of, runtimes_here
from evo_moo.errors import ModelFolderError, UsageError
from evo_moo.threads import one_thread

SLACK = 0.25
"""By how much of a promise time and memory may be exceeded, if the user says nothing else."""
_OF_TIME = ("latency_ms", "throughput_per_s", "cold_start_ms", "memory_mb")


@dataclass(frozen=True)
class Check:
    """One promise, and what was measured.

    Attributes:
        name: Name of the metric, or of what was compared.
        promised: The promise in words.
        measured: What was measured, in words.
        holds: Whether it holds; None where it was not measured.
        off: By how much it does not hold, in words.
    """

    name: str
    promised: str
    measured: str
    holds: bool | None
    off: str = ""


@dataclass(frozen=True)
class Proof:
    """What a verification found.

    Attributes:
        model: Name of the model.
        runtime: What ran it.
        checks: Every check.
    """

    model: str
    runtime: str
    checks: Sequence[Check]

    @property
    def holds(self) -> bool:
        """Whether everything that was measured holds."""
        return all(check.holds is not False for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {**asdict(self), "holds": self.holds}


def verify(
    path: str | Path,
    data: str | Path | None = None,
    *,
    runtime: str | None = None,
    slack: float = SLACK,
    trust: bool = False,
) -> Proof:
    """Measure a built model here, and compare with its card.

    Every file must be the one that was built. The runtimes that are installed must give the outputs that the model
    gave when it was built, up to the card's tolerance. A quality such as the accuracy holds unless it is worse than
    promised by more than the intervals of both explain; time and memory hold up to ``slack`` beyond the upper end of
    the promise's interval.

    Args:
        path: The folder.
        data: An ``.npz`` file of ``inputs``, ``labels`` and perhaps ``groups``; without it accuracies are not measured.
        runtime: What is to run it; by default the first of ``RUNTIMES`` that is installed and has a file there.
        slack: Share of a promised time or memory by which it may be exceeded.
        trust: Whether code that its files may run is trusted; without, only ONNX Runtime and known estimators run.

    Raises:
        ModelFolderError: Files are not those that were built, or cannot be run here.
        UsageError: An argument is wrong.
    """
    if slack < 0:
        raise UsageError(f"`slack` must be at least 0, but is {slack}")
    if runtime is not None and runtime not in RUNTIMES:
        raise UsageError(f"`runtime` must be one of {', '.join(RUNTIMES)}, but is {runtime!r}")
    folder = ModelFolder.read(path)
    if folder.card.input is None:
        n = len(folder.files)
        return Proof(folder.card.name, "", [Check("files", f"{n} as they were built", f"{n} are", holds=True)])
    here = [name for name in runtimes_here(folder) if trust or name != "torch"]
    if not (here or runtime):
        there = [name for name, file in RUNTIMES.items() if folder.has(file)]
        lacks = {name: f"install {missing}" if (missing := missing_module(name)) else "name --trust" for name in there}
        ways = "; ".join(f"for {name} {way_out}" for name, way_out in lacks.items())
        raise ModelFolderError(
            f"`{path}` must have a file for a runtime that is here and trusted, but has none: {ways}"
        )
    runtime = runtime or here[0]
    with one_thread():
        return _proof(folder, runtime, [name for name in here if name != runtime], data, slack, trust)


def _proof(
    folder: ModelFolder, runtime: str, others: Sequence[str], data: str | Path | None, slack: float, trust: bool
) -> Proof:
    predict = predict_of(folder, runtime, trust=trust)
    checks = [_outputs_of(folder, name, trust) for name in (runtime, *others)]
    measured: dict[str, Promise] = {}
    if data is not None:
        inputs, labels, groups = read_data(Path(data))
        _fits(folder, inputs.shape)
        outputs = predicted(predict, inputs)
        measured |= quality(outputs, labels, folder.card.outputs, folder.card.thresholds, groups, Path(data).name)
    example = folder.examples()[0]
    batch = np.resize(example, (folder.card.batch_size, *example.shape[1:]))
    measured |= speed(predict, batch, runtime)
    measured |= footprint(folder, runtime, trust=trust)
    promised = folder.card.promises | folder.card.serving.get(runtime, {})
    checks += [_check(name, promise, measured.get(name), slack) for name, promise in promised.items()]
    return Proof(folder.card.name, runtime, checks)


def _fits(folder: ModelFolder, shape: Sequence[int]) -> None:
    taken = folder.card.input
    if taken is not None and tuple(shape[1:]) != taken.shape:
        wanted = ", ".join(map(str, taken.shape))
        raise ModelFolderError(
            f"`inputs` must have the shape (n, {wanted}) that the model takes, but have {tuple(shape)}"
        )


def _outputs_of(folder: ModelFolder, runtime: str, trust: bool) -> Check:
    found, most = agreement(folder, runtime, trust=trust), folder.card.tolerance
    return Check(
        f"outputs of {runtime}", f"equal up to {most:g} of the largest", f"differ by {found:.2g}", found <= most
    )


def _check(name: str, promise: Promise, found: Promise | None, slack: float) -> Check:
    if found is None:
        return Check(name, promise.words, "not measured", None)
    sign = 1 if promise.direction == "min" else -1
    if name == "size_mb":
        holds, off = found.value <= promise.value, found.value - promise.value
    elif name in _OF_TIME:
        bound = promise.high * (1 + slack) if sign > 0 else promise.low / (1 + slack)
        best = found.low if sign > 0 else found.high
        holds, off = sign * (best - bound) <= 0, found.value - promise.value
    else:
        holds, off = _as_good(promise, found, sign), found.value - promise.value
    words = "" if holds else f"{found.value / promise.value:.3g} times the promise" if promise.value else f"{off:+.3g}"
    return Check(name, promise.words, found.words, bool(holds), words)


def _as_good(promise: Promise, found: Promise, sign: int) -> bool:
    """Whether a measured share is not worse than the promise by more than the intervals of both explain."""
    worse = sign * (found.value - promise.value)
    half = [abs(each.high - each.low) / 2 for each in (promise, found)]
    return bool(worse <= (half[0] ** 2 + half[1] ** 2) ** 0.5 + 1e-9)

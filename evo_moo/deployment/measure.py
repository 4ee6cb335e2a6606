"""What a built model is worth: accuracy with its interval, fairness, latency, throughput, cold start, memory, size."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from evo_moo.deployment.card import Promise
from evo_moo.deployment.model_folder import Array, ModelFolder
from evo_moo.deployment.runners import RUNTIMES, Predict, predict_of
from evo_moo.errors import ModelFolderError
from evo_moo.problem.optional_methods import Outputs
from evo_moo.toolkit.latency import Effort, measure_latency

BATCH = 1024
N_RESAMPLES = 1000
"""Number of bootstrap samples behind an interval."""
N_PROBES = 3
_PROBE_LIMIT_S = 300


def predicted(predict: Predict, inputs: Array) -> Array:
    """Return the outputs of many inputs ``(n, ...)``, batch by batch."""
    return np.concatenate([predict(inputs[i : i + BATCH]) for i in range(0, len(inputs), BATCH)])


def decided(outputs: Array, kind: Outputs, thresholds: Mapping[str, float], groups: Array | None) -> Array:
    """Return the class of each sample, ``(n,)``: the largest output, or whether its score reaches its threshold.

    Args:
        outputs: What the model gave.
        kind: What that is.
        thresholds: By group, or one as ``""``; without any, 0.5.
        groups: Names of the samples' groups, ``(n,)``, where thresholds differ between groups.

    Raises:
        ModelFolderError: Thresholds differ between groups, and a sample has none of them.
    """
    if kind != "score":
        return np.asarray(outputs.argmax(axis=1))
    if set(thresholds) <= {""}:
        return (outputs >= thresholds.get("", 0.5)).astype(int)
    names = np.asarray(() if groups is None else groups).astype(str)
    if len(names) != len(outputs) or not np.isin(names, list(thresholds)).all():
        strange = ", ".join(sorted(set(names.tolist()) - thresholds.keys())[:3]) or "no groups"
        raise ModelFolderError(
            f"`groups` must name the group of each sample, since thresholds differ between {', '.join(thresholds)}, "
            f"but has {strange}"
        )
    return (outputs >= np.array([thresholds[name] for name in names.tolist()])).astype(int)


def quality(
    outputs: Array, labels: Array, kind: Outputs, thresholds: Mapping[str, float], groups: Array | None, of: str
) -> dict[str, Promise]:
    """Judge outputs by labels ``(n,)``: each metric with its interval of 95 %.

    The interval of the accuracy is Wilson's (1927, "Probable Inference"), those of all others are percentiles of 1,000
    bootstrap samples (Efron 1979), drawn with seed 0.

    Args:
        outputs: What the model gave.
        labels: Classes from 0, or values.
        kind: What the outputs are.
        thresholds: See ``decided``.
        groups: Names of the samples' groups, ``(n,)``; with them gaps between groups are measured.
        of: What it is measured with, in words.

    Raises:
        ModelFolderError: See ``decided``.
    """
    of = f"{of}, {len(labels):,} samples"
    if kind == "values":
        errors = np.abs(np.asarray(outputs).reshape(len(labels), -1) - labels.reshape(len(labels), -1)).mean(axis=1)
        return {"mean_absolute_error": _resampled(lambda rows: float(errors[rows].mean()), len(labels), "min", of)}
    classes = decided(outputs, kind, thresholds, groups)
    right = classes == labels
    interval = binomtest(int(right.sum()), len(labels)).proportion_ci(method="wilson")
    share = Promise(value=right.mean(), low=interval.low, high=interval.high, direction="max", of=of)
    found = {"accuracy": share}
    present = np.unique(labels)
    if kind == "score":

        def balanced(rows: Array) -> float:
            kept, wanted = right[rows], labels[rows]
            return float(np.mean([kept[wanted == label].mean() for label in present if (wanted == label).any()]))

        found["balanced_accuracy"] = _resampled(balanced, len(labels), "max", of)
    if groups is not None:
        names = np.unique(groups)

        def worst(rows: Array) -> float:
            kept, those = right[rows], groups[rows]
            return float(min(kept[those == name].mean() for name in names if (those == name).any()))

        found["worst_group_accuracy"] = _resampled(worst, len(labels), "max", of)
    if groups is not None and kind == "score":

        def gap(rows: Array) -> float:
            kept, those = classes[rows], groups[rows]
            rates = [kept[those == name].mean() for name in names if (those == name).any()]
            return float(max(rates) - min(rates))

        found["demographic_parity_difference"] = _resampled(gap, len(labels), "min", of)
    return found


def _resampled(metric: Callable[[Array], float], n: int, direction: str, of: str) -> Promise:
    rng, all_rows = np.random.default_rng(0), np.arange(n)
    drawn = [metric(rng.integers(n, size=n)) for _ in range(N_RESAMPLES)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Promise.model_validate(
        {"value": metric(all_rows), "low": low, "high": high, "direction": direction, "of": of}
    )


def speed(predict: Predict, inputs: Array, runtime: str) -> dict[str, Promise]:
    """Measure latency and throughput of a batch, in this host's measurement slot."""
    latency = measure_latency(lambda: predict(inputs), effort=Effort(), batch_size=len(inputs))
    of = f"a batch of {len(inputs)} by {runtime} on one thread"
    low, high = latency.ci_ms
    n = len(inputs) * 1e3
    return {
        "latency_ms": Promise(value=latency.corrected_ms, low=low, high=high, direction="min", unit="ms", of=of),
        "throughput_per_s": Promise(
            value=latency.throughput_per_s, low=n / high, high=n / low, direction="max", unit="1/s", of=of
        ),
    }


def footprint(folder: ModelFolder, runtime: str, *, trust: bool = False) -> dict[str, Promise]:
    """Measure size, and cold start and memory in processes of their own.

    The cold start is the time from loading the file to the first answer, the runtime already imported; the memory is
    what the process grows by meanwhile.

    Raises:
        ModelFolderError: The process fails.
    """
    file = folder.path / RUNTIMES[runtime]
    of = f"{file.name} in {runtime}; median and range of {N_PROBES} processes"
    command = [sys.executable, "-m", "evo_moo.deployment.probe", str(folder.path), runtime, *(["trust"] * trust)]
    probes: dict[str, list[float]] = {"cold_start_ms": [], "memory_mb": []}
    for _ in range(N_PROBES):
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PROBE_LIMIT_S)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise ModelFolderError(f"`{file}` must be loaded by a process of its own, but that failed: {last}")
        probe = json.loads(done.stdout.splitlines()[-1])
        for name, values in probes.items():
            values.append(probe[name])
    found = {
        name: Promise(
            value=float(np.median(values)), low=min(values), high=max(values), direction="min", unit=unit, of=of
        )
        for (name, values), unit in zip(probes.items(), ("ms", "MB"), strict=True)
    }
    size = file.stat().st_size / 1e6
    of = f"{file.name}, of 10^6 bytes"
    return found | {"size_mb": Promise(value=size, low=size, high=size, direction="min", unit="MB", of=of)}


def agreement(folder: ModelFolder, runtime: str, *, trust: bool = False) -> float:
    """Return the largest difference of a runtime's outputs from those when the model was built, by the largest output.

    Raises:
        ModelFolderError: See ``predict_of``; or it fails, or gives another shape.
    """
    inputs, outputs = folder.examples()
    predict = predict_of(folder, runtime, trust=trust)
    try:
        found = predict(inputs)
    except Exception as error:  # each runtime refuses in its own way
        reason = f"{type(error).__name__}: {error}"
        raise ModelFolderError(f"`{folder.path / RUNTIMES[runtime]}` must run, but fails: {reason}") from error
    if found.shape != outputs.shape:
        raise ModelFolderError(
            f"`{folder.path / RUNTIMES[runtime]}` must give outputs of shape {outputs.shape}, but gives {found.shape}"
        )
    return float(np.abs(found - outputs).max() / max(np.abs(outputs).max(), 1e-12))


def read_data(path: Path) -> tuple[Array, Array, Array | None]:
    """Read inputs ``(n, ...)``, labels ``(n,)`` and, if there are some, groups ``(n,)`` of an ``.npz`` file.

    Raises:
        ModelFolderError: They are not there, or their lengths differ.
    """
    from evo_moo.deployment.model_folder import read_arrays

    arrays = read_arrays(path)
    if missing := [name for name in ("inputs", "labels") if name not in arrays]:
        raise ModelFolderError(f"`{path}` must hold arrays `inputs` and `labels`, but lacks {', '.join(missing)}")
    lengths = {name: len(arrays[name]) if arrays[name].ndim else 0 for name in arrays}
    if len(set(lengths.values())) != 1 or not lengths["labels"]:
        raise ModelFolderError(f"`{path}` must hold arrays of one length, but they are {lengths}")
    return arrays["inputs"], arrays["labels"], arrays.get("groups")

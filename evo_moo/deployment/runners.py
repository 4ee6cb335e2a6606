"""What runs a built model: ONNX Runtime, torch or scikit-learn.

ONNX Runtime executes no code of the file. A program of torch.export may, when it is loaded, and so may an estimator
with types that nobody knows: both need trust.
"""

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from evo_moo.deployment.card import Input
from evo_moo.deployment.model_folder import ESTIMATOR, ONNX, TORCH, Array, ModelFolder
from evo_moo.errors import ModelFolderError, to_install

Predict = Callable[[Array], Array]
RUNTIMES = {"onnxruntime": ONNX, "torch": TORCH, "scikit-learn": ESTIMATOR}
"""Runtimes to the files that they run, the first that is there by default."""
_MODULES = {"onnxruntime": ("onnxruntime",), "torch": ("torch",), "scikit-learn": ("sklearn", "skops")}
KNOWN_TYPES = frozenset(
    {
        "numpy.dtype",
        "sklearn.compose._column_transformer.make_column_selector",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.tree._tree.Tree",
    }
)
"""Types of scikit-learn's own that skops does not list, and that run nothing when they are made."""


def runtimes_here(folder: ModelFolder) -> list[str]:
    """Return the runtimes that are installed here and have a file in a folder, the default first."""
    return [name for name, file in RUNTIMES.items() if folder.has(file) and not missing_module(name)]


def predict_of(folder: ModelFolder, runtime: str, *, trust: bool = False) -> Predict:
    """Load a model for one runtime, on one thread of the CPU.

    Args:
        folder: The folder.
        runtime: One of ``RUNTIMES``.
        trust: Whether the code that its files may run is trusted.

    Returns:
        A function of inputs ``(n, ...)`` that gives outputs ``(n, ...)``.

    Raises:
        ModelFolderError: The runtime is not installed or has no file, or the file cannot be loaded or needs trust.
    """
    if not folder.has(RUNTIMES[runtime]):
        there = [name for name, file in RUNTIMES.items() if folder.has(file)]
        raise ModelFolderError(f"`runtime` must have a file in `{folder.path}`, {', '.join(there)}, but is {runtime}")
    if missing := missing_module(runtime):
        raise ModelFolderError(f"`runtime` {runtime} needs {missing!r}, but it is missing; {to_install('deployment')}")
    try:
        return _LOADERS[runtime](folder, trust)
    except ModelFolderError:
        raise
    except Exception as error:  # a file of a stranger breaks each library in its own way
        raise ModelFolderError(
            f"`{folder.path / RUNTIMES[runtime]}` must be a model for {runtime}, but cannot be loaded: "
            f"{type(error).__name__}: {error}"
        ) from error


def _input(folder: ModelFolder) -> Input:
    if folder.card.input is None:
        raise ModelFolderError(f"`{folder.path}` must say what its model takes, to be run, but its card does not")
    return folder.card.input


def missing_module(runtime: str) -> str:
    """Return the first module that a runtime needs and that is not installed; nothing where all are."""
    return next((name for name in _MODULES[runtime] if importlib.util.find_spec(name) is None), "")


def onnx_session(file: bytes) -> Any:
    """Load a file of ONNX into ONNX Runtime, on one thread of the CPU.

    From bytes and not by its path: weights in other files, wherever a stranger lets them lie, are not read.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what it would print is in the exception
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def _onnx(folder: ModelFolder, trust: bool) -> Predict:
    session = onnx_session((folder.path / ONNX).read_bytes())
    (put,) = session.get_inputs()
    output = session.get_outputs()[-1].name  # of a classifier, labels come first
    dtype, outputs = np.dtype(_input(folder).dtype), folder.card.outputs

    def predict(inputs: Array) -> Array:
        found = np.asarray(session.run([output], {put.name: inputs.astype(dtype, copy=False)})[0])
        return found[:, 1] if outputs == "score" and found.ndim == 2 else found

    return predict


def _torch(folder: ModelFolder, trust: bool) -> Predict:
    if not trust:
        raise ModelFolderError(
            f"`{folder.path / TORCH}` must be trusted, since a program of torch.export may run code, but is not; "
            "name --trust if it is yours (from Python, trust=True)"
        )
    import torch

    torch.set_num_threads(1)
    module = torch.export.load(folder.path / TORCH).module()
    dtype = np.dtype(_input(folder).dtype)

    def predict(inputs: Array) -> Array:
        with torch.inference_mode():
            return np.asarray(module(torch.from_numpy(np.ascontiguousarray(inputs.astype(dtype, copy=False)))))

    return predict


def _sklearn(folder: ModelFolder, trust: bool) -> Predict:
    estimator, outputs = load_skops(folder, ESTIMATOR, trust=trust), folder.card.outputs

    def predict(inputs: Array) -> Array:
        if outputs == "values":
            return np.asarray(estimator.predict(inputs))
        scores = np.asarray(estimator.predict_proba(inputs))
        return scores[:, 1] if outputs == "score" else scores

    return predict


def load_skops(folder: ModelFolder, name: str, *, trust: bool = False) -> Any:
    """Load what skops wrote, such as ``estimator.skops`` or ``preprocessing.skops``.

    Raises:
        ModelFolderError: It holds types that are not trusted; they are named.
    """
    import skops.io

    unknown = skops.io.get_untrusted_types(file=folder.path / name)
    if not trust and (foreign := [each for each in unknown if each not in KNOWN_TYPES]):
        raise ModelFolderError(
            f"`{folder.path / name}` must hold known types, but has {', '.join(foreign)}; "
            "name --trust if it is yours (from Python, trust=True)"
        )
    return skops.io.load(folder.path / name, trusted=unknown)


_LOADERS: dict[str, Callable[[ModelFolder, bool], Predict]] = {
    "onnxruntime": _onnx,
    "torch": _torch,
    "scikit-learn": _sklearn,
}

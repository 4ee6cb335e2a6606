"""A trained model as files: ONNX, a program of torch.export, weights as safetensors, an estimator by skops."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from evo_moo.deployment.model_folder import (
    ESTIMATOR,
    EXAMPLES,
    ONNX,
    OWN_FILES,
    PREPROCESSING,
    TORCH,
    WEIGHTS,
    Array,
)
from evo_moo.errors import ProblemError, to_install
from evo_moo.files import write_whole
from evo_moo.problem.optional_methods import TrainedModel

MOST_EXAMPLES, FEW_EXAMPLES = 64, 8
_DTYPES = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16"}


def write_model(trained: TrainedModel, folder: Path) -> dict[str, str]:
    """Write a model in every format that fits it, and some examples of what it gives.

    Args:
        trained: The model.
        folder: Where to.

    Returns:
        Files that could not be made to the reasons.

    Raises:
        ProblemError: It is neither a network nor an estimator.
        ImportError: A library that writes it is not installed.
    """
    for name, content in trained.files.items():
        if Path(name).name != name or name in OWN_FILES:
            raise ProblemError(f"`files` of a trained model must have names of their own, but one is {name!r}")
        write_whole(folder / name, content)
    if trained.model is None:
        if ONNX in trained.files:
            _write_examples(trained.files[ONNX], folder)
        return {}
    inputs = arrays_of(trained.example)[:MOST_EXAMPLES]
    if not len(inputs):
        raise ProblemError("`example` of a trained model must hold at least one sample, but has none")
    if hasattr(trained.model, "state_dict"):
        outputs, left_out = _write_network(trained, inputs, folder)
    elif hasattr(trained.model, "predict"):
        outputs, left_out = _write_estimator(trained, inputs, folder)
    else:
        kind = type(trained.model).__name__
        raise ProblemError(f"`model` must be a torch module or an estimator of scikit-learn's, but is a {kind}")
    np.savez(folder / EXAMPLES, inputs=inputs, outputs=outputs)
    return left_out


def _write_examples(file: bytes, folder: Path) -> None:
    """Write inputs drawn at random, with seed 0, and what a file of ONNX that somebody else made gives of them."""
    from evo_moo.deployment.runners import onnx_session

    session = onnx_session(file)
    puts = session.get_inputs()
    if len(puts) != 1 or puts[0].type not in _DTYPES or not puts[0].shape:
        kinds = ", ".join(f"{put.name} of {put.type}" for put in puts)
        raise ProblemError(f"`{ONNX}` must take one input of floating-point numbers, but takes {kinds}")
    shape = [size if isinstance(size, int) else 1 for size in puts[0].shape]
    batch = shape[0] if isinstance(puts[0].shape[0], int) else FEW_EXAMPLES
    inputs = np.random.default_rng(0).normal(size=(batch, *shape[1:])).astype(_DTYPES[puts[0].type])
    outputs = session.run([session.get_outputs()[-1].name], {puts[0].name: inputs})[0]
    np.savez(folder / EXAMPLES, inputs=inputs, outputs=np.asarray(outputs))


def arrays_of(values: Any) -> Array:
    """Return tensors, frames or lists as an array on the CPU."""
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)


def _write_network(trained: TrainedModel, inputs: Array, folder: Path) -> tuple[Array, dict[str, str]]:
    import copy

    import torch
    from safetensors.torch import save_model

    from evo_moo.toolkit.compression.served_model import ServedModel, served_model
    from evo_moo.toolkit.training import inference

    network, batch = copy.deepcopy(trained.model).cpu().eval(), torch.from_numpy(inputs)
    save_model(network, str(folder / WEIGHTS))
    if trained.onnx is not None:  # of another precision than the network's: it alone is what was chosen
        write_whole(folder / ONNX, trained.onnx)
        return ServedModel(trained.onnx).predict(batch).numpy(), {TORCH: "the choice is a file of ONNX"}
    with inference(network):
        outputs = network(batch).numpy()
    example = batch[:2] if len(batch) > 1 else batch.repeat(2, *[1] * (batch.ndim - 1))

    def write_onnx() -> None:
        write_whole(folder / ONNX, served_model(network, "float32", example).file)

    def write_program() -> None:
        with torch.no_grad():
            program = torch.export.export(network, (example,), dynamic_shapes=({0: torch.export.Dim.AUTO},))
        torch.export.save(program, folder / TORCH)

    return outputs, _made({ONNX: write_onnx, TORCH: write_program}, folder)


def _write_estimator(trained: TrainedModel, inputs: Array, folder: Path) -> tuple[Array, dict[str, str]]:
    try:
        import skops.io
    except ImportError as error:
        raise ImportError(f"An estimator is kept by skops, but it is missing; {to_install('deployment')}") from error
    skops.io.dump(trained.model, folder / ESTIMATOR)
    if trained.preprocessing is not None:
        skops.io.dump(trained.preprocessing, folder / PREPROCESSING)
    if trained.outputs == "values":
        outputs = np.asarray(trained.model.predict(inputs))
    else:
        outputs = np.asarray(trained.model.predict_proba(inputs))
        outputs = outputs[:, 1] if trained.outputs == "score" else outputs

    def write_onnx() -> None:
        from skl2onnx import to_onnx

        options = None if trained.outputs == "values" else {"zipmap": False}
        model = to_onnx(trained.model, inputs[:1].astype(np.float32), options=options)
        write_whole(folder / ONNX, model.SerializeToString())

    return outputs, _made({ONNX: write_onnx}, folder)


def _made(writers: dict[str, Callable[[], None]], folder: Path) -> dict[str, str]:
    """Write files that other libraries convert; what one cannot is left out with its reason."""
    left_out = {}
    for name, write in writers.items():
        try:
            with warnings.catch_warnings(action="ignore"):
                write()
        except Exception as error:  # converters refuse in their own ways
            (folder / name).unlink(missing_ok=True)
            root: BaseException = error
            while (cause := root.__cause__ or root.__context__) is not None:
                root = cause
            left_out[name] = f"{type(root).__name__}: {(str(root) or 'no reason').splitlines()[0][:200].rstrip('.')}"
    return left_out

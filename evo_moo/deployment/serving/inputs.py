"""What a client sends: inputs as JSON or as a plain NumPy array, held to what the models take."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from evo_moo.deployment.card import Input
from evo_moo.deployment.model_folder import Array

JSON, NPY = "application/json", "application/x-npy"


class RefusedError(Exception):
    """A request cannot be answered, by its own fault or since too many are here.

    Args:
        status: Status of HTTP.
        faults: Every fault.
        headers: More headers of the answer.
    """

    def __init__(self, status: int, *faults: str, headers: dict[str, str] | None = None) -> None:
        super().__init__("\n".join(faults))
        self.status, self.faults, self.headers = status, faults, headers or {}


@dataclass(frozen=True)
class Rules:
    """What a request may hold.

    Attributes:
        input: What the models take.
        groups: Groups that thresholds know; empty where inputs need none.
        most_inputs: Number of inputs of a request.
    """

    input: Input
    groups: tuple[str, ...]
    most_inputs: int


def read_inputs(body: bytes, kind: str, rules: Rules) -> tuple[Array, list[str] | None]:
    """Read inputs ``(n, ...)`` and, where the request names them, their groups.

    Args:
        body: The body.
        kind: Its media type.
        rules: What it may hold.

    Raises:
        RefusedError: It is not so; all faults are listed.
    """
    if kind == NPY:
        inputs, groups, faults = _of_npy(body, rules), None, list[str]()
    elif kind == JSON:
        inputs, groups, faults = _of_json(body, rules)
    else:
        raise RefusedError(415, f"the content type must be {JSON} or {NPY}, but is {kind or 'missing'}")
    if groups is None and rules.groups:
        faults.append(f"`groups` must name the group of each input, one of {', '.join(rules.groups)}, but is missing")
    if groups is not None and len(groups) != len(inputs):
        faults.append(f"`groups` must have one name for each of {len(inputs)} inputs, but has {len(groups)}")
    if faults:
        raise RefusedError(422, *faults)
    return _of_type(inputs, rules.input.dtype), groups


def _of_json(body: bytes, rules: Rules) -> tuple[Array, list[str] | None, list[str]]:
    data = parsed(body)
    faults = [f"`{key[:40]}` must be inputs or groups" for key in data if key not in ("inputs", "groups")]
    groups: Any = data.get("groups")
    if groups is not None and not (isinstance(groups, list) and all(isinstance(name, str) for name in groups)):
        faults.append("`groups` must be a list of names")
        groups = None
    elif groups and rules.groups and (unknown := sorted(set(groups) - set(rules.groups))):
        faults.append(f"`groups` must be of {', '.join(rules.groups)}, but has {unknown[0][:40]!r}")
    if "inputs" not in data:
        raise RefusedError(422, "`inputs` must be a list of inputs, but is missing", *faults)
    try:
        inputs = np.array(data["inputs"])
    except (ValueError, OverflowError):
        raise RefusedError(422, "`inputs` must be lists of equal lengths", *faults) from None
    faults += _faults(inputs.shape, inputs.dtype, rules)
    if faults:
        raise RefusedError(422, *faults)
    return inputs, groups, faults


def parsed(body: bytes) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        RefusedError: It is none.
    """
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RefusedError(400, f"the body must be JSON, but is not: {error}") from None
    if not isinstance(data, dict):
        raise RefusedError(422, f"the body must be a JSON object, but is a {type(data).__name__}")
    return data


def _of_npy(body: bytes, rules: Rules) -> Array:
    """Read an array without ``np.load``: its header is judged before any memory is taken for it."""
    file = io.BytesIO(body)
    try:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version}")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, by_columns, dtype = read(file)
    except Exception:  # a damaged header raises errors of many kinds
        raise RefusedError(400, "the body must be an .npy file of version 1 or 2, but is not") from None
    if faults := _faults(shape, dtype, rules):
        raise RefusedError(422, *faults)
    data = body[file.tell() :]
    if len(data) != (wanted := int(np.prod(shape)) * dtype.itemsize):
        raise RefusedError(400, f"the .npy file must have {wanted} bytes of data, but has {len(data)}")
    flat = np.frombuffer(data, dtype)
    return flat.reshape(shape[::-1]).T if by_columns else flat.reshape(shape)


def _faults(shape: Sequence[int], dtype: np.dtype[Any], rules: Rules) -> list[str]:
    faults, wanted = [], rules.input.shape
    words = f"(n, {', '.join(map(str, wanted))})" if wanted else "(n,)"
    if tuple(shape[1:]) != wanted or not shape:
        faults.append(f"`inputs` must have the shape {words}, but has {tuple(shape)}")
    elif not 1 <= shape[0] <= rules.most_inputs:
        faults.append(f"`inputs` must be 1 to {rules.most_inputs} of them, but are {shape[0]}")
    if dtype.kind not in ("iufb" if rules.input.dtype == "bool" else "iuf"):
        faults.append("`inputs` must be numbers, but are not all")
    return faults


def _of_type(inputs: Array, dtype: str) -> Array:
    """Return finite inputs in the type that the models take.

    Raises:
        RefusedError: A value is not finite, or the type cannot have it.
    """
    with np.errstate(all="ignore"):
        found = inputs.astype(dtype)
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        raise RefusedError(422, f"`inputs` must be finite in {dtype}, but are not all")
    if found.dtype.kind != "f" and not (found == inputs).all():
        raise RefusedError(422, f"`inputs` must be values of {dtype}, but are not all")
    return found

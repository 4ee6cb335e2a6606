"""Saved state as JSON text, arrays included: nothing in it can run code when it is read."""

import base64
import json
from typing import Any

import numpy as np

from evo_moo.errors import StateError

_DTYPES = ("<f8", "<i8", "|b1")


def to_json(state: Any) -> str:
    """Write plain data with NumPy arrays inside as JSON; arrays keep their dtype and every bit."""
    return json.dumps(state, default=_encoded)


def from_json(text: str) -> Any:
    """Read what ``to_json`` wrote.

    Raises:
        StateError: The text is damaged, or holds an array of a type that is never written.
    """
    try:
        return json.loads(text, object_hook=_decoded)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StateError(f"a saved state must be JSON as evo-moo writes it, but reading it fails: {error}") from None


def _encoded(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.str in _DTYPES:
        data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode("ascii")
        return {"__array__": value.dtype.str, "shape": value.shape, "base64": data}
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a state may hold plain data and numeric arrays, but holds {type(value).__name__}")


def _decoded(data: dict[str, Any]) -> Any:
    if "__array__" not in data:
        return data
    if data["__array__"] not in _DTYPES:
        raise ValueError(f"an array's type must be one of {', '.join(_DTYPES)}, but is {data['__array__']!r}")
    raw = base64.b64decode(data["base64"], validate=True)
    return np.frombuffer(raw, dtype=data["__array__"]).reshape(data["shape"]).copy()

"""What a client may send, and what is refused."""

import io
from typing import Any

import numpy as np
import orjson
import pytest

from evo_moo.deployment.card import Input
from evo_moo.deployment.serving.inputs import JSON, NPY, RefusedError, Rules, read_inputs

RULES = Rules(Input(shape=(2, 3), dtype="float32"), (), most_inputs=4)
OF_GROUPS = Rules(Input(shape=(1,), dtype="int64"), ("a", "b"), most_inputs=4)
GOOD = np.arange(12, dtype=">f8").reshape(2, 2, 3)


def npy(array: Any, **settings: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **settings)
    return file.getvalue()


def bomb() -> bytes:
    """A header that promises 8 TB."""
    return npy(np.zeros(10**6, dtype="u1")).replace(b"(1000000,), }      ", b"(8000000000000,), }")[:200]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (orjson.dumps({"inputs": GOOD.tolist()}), JSON),
        (npy(GOOD), NPY),
        (npy(np.asfortranarray(GOOD)), NPY),
    ],
    ids=["json", "npy", "columns"],
)
def test_inputs_come_as_the_models_take_them(body: bytes, kind: str) -> None:
    inputs, groups = read_inputs(body, kind, RULES)
    assert inputs.dtype == np.float32 and groups is None
    np.testing.assert_array_equal(inputs, GOOD)


@pytest.mark.parametrize(
    ("body", "kind", "status", "words"),
    [
        (b"", "text/plain", 415, "content type must be"),
        (b"{", JSON, 400, "must be JSON"),
        (b'{"inputs": NaN}', JSON, 400, "must be JSON"),
        (b"[" * 5000, JSON, 400, "must be JSON"),
        (b"[1]", JSON, 422, "must be a JSON object"),
        (b"{}", JSON, 422, "`inputs` must be a list of inputs, but is missing"),
        (b'{"inputs": [[1], [1, 2]]}', JSON, 422, "lists of equal lengths"),
        (b'{"inputs": ' + b"[" * 99 + b"]" * 99 + b"}", JSON, 422, "`inputs` must"),
        (b'{"inputs": [[["1", 2, 3], [4, 5, 6]]]}', JSON, 422, "must be numbers"),
        (b'{"inputs": [[[null, 2, 3], [4, 5, 6]]]}', JSON, 422, "must be numbers"),
        (b'{"inputs": [[[1e99, 2, 3], [4, 5, 6]]]}', JSON, 422, "must be finite in float32"),
        (b'{"inputs": [1, 2], "x": 1}', JSON, 422, r"`x` must be[^$]*must have the shape \(n, 2, 3\), but has \(2,\)"),
        (orjson.dumps({"inputs": np.zeros((5, 2, 3)).tolist()}), JSON, 422, "must be 1 to 4 of them, but are 5"),
        (npy(GOOD * np.nan), NPY, 422, "must be finite"),
        (npy(np.zeros((0, 2, 3))), NPY, 422, "must be 1 to 4"),
        (npy(GOOD.astype("datetime64[s]")), NPY, 422, "must be numbers"),
        (npy(np.array([{}]), allow_pickle=True), NPY, 422, "must be numbers"),
        (npy(GOOD)[:-1], NPY, 400, "must have 96 bytes of data, but has 95"),
        (b"no array", NPY, 400, "must be an .npy file"),
        (bomb(), NPY, 422, r"but has \(8000000000000,\)"),
    ],
)
def test_wrong_inputs_are_refused_in_words(body: bytes, kind: str, status: int, words: str) -> None:
    with pytest.raises(RefusedError, match=words) as caught:
        read_inputs(body, kind, RULES)
    assert caught.value.status == status


def test_groups_are_named_where_thresholds_know_them() -> None:
    assert read_inputs(b'{"inputs": [[1], [2]], "groups": ["a", "b"]}', JSON, OF_GROUPS)[1] == ["a", "b"]
    for body, words in (
        (b'{"inputs": [[1]]}', "but is missing"),
        (b'{"inputs": [[1]], "groups": ["c"]}', "must be of a, b, but has 'c'"),
        (b'{"inputs": [[1]], "groups": ["a", "b"]}', "one name for each of 1 inputs"),
        (b'{"inputs": [[1.5]], "groups": ["a"]}', "must be values of int64"),
    ):
        with pytest.raises(RefusedError, match=words):
            read_inputs(body, JSON, OF_GROUPS)

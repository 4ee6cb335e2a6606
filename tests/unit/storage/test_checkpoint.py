import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from evo_moo.errors import StateError
from evo_moo.storage.checkpoint import from_json, to_json

SHAPES = npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
ARRAYS = st.one_of(*(npst.arrays(dtype, SHAPES) for dtype in ("<f8", "<i8", "|b1")))
TEXT = to_json({"X": np.arange(6.0).reshape(2, 3), "n": [1, 2.5, None, True, "é"], "inner": {"mask": np.ones(3, bool)}})


def assert_same_bits(a, b):
    assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())


@given(ARRAYS)
def test_an_array_comes_back_bit_for_bit_and_writable(array):
    back = from_json(to_json({"a": [array]}))["a"][0]
    assert_same_bits(array, back)
    assert back.flags.writeable


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308, 0.1])
def test_every_float_comes_back(value):
    back = from_json(to_json({"plain": value, "array": np.array([value])}))
    assert_same_bits(np.array(value), np.array(back["plain"]))
    assert_same_bits(np.array([value]), back["array"])


@given(npst.arrays("<f8", (3, 4)))
def test_the_layout_in_memory_does_not_matter(array):
    for view in (array.T, array[:, ::2], np.asfortranarray(array)):
        assert_same_bits(view, from_json(to_json(view)))


def test_plain_data_and_numpy_scalars_come_back():
    state = {"n": np.int64(3), "x": np.float64(0.5), "on": np.bool_(True), "list": [None, "é", {"big": 2**127}]}
    assert from_json(to_json(state)) == {"n": 3, "x": 0.5, "on": True, "list": [None, "é", {"big": 2**127}]}


def test_the_state_of_a_generator_comes_back():
    before = np.random.default_rng(3)
    before.random(5)
    after = np.random.default_rng(0)
    after.bit_generator.state = from_json(to_json(before.bit_generator.state))
    assert_same_bits(before.random(9), after.random(9))


@pytest.mark.parametrize(
    "value",
    [
        np.array([object()]),
        np.array(["text"]),
        np.array([1j]),
        np.zeros(2, ">f8"),
        np.zeros(2, "<f4"),
        object(),
        {1, 2},
    ],
)
def test_only_plain_data_and_numeric_arrays_are_written(value):
    with pytest.raises(TypeError, match="a state may hold plain data and numeric arrays, but holds"):
        to_json({"a": value})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"__array__": "|O", "shape": [1], "base64": "AAAAAAAAAAA="}',
        '{"__array__": "<f4", "shape": [2], "base64": "AAAAAAAAAAA="}',
        '{"__array__": "<f8", "shape": [2], "base64": "AAAAAAAAAAA="}',
        '{"__array__": "<f8", "shape": "?", "base64": "AAAAAAAAAAA="}',
        '{"__array__": "<f8", "shape": [1], "base64": "AAAA"}',
        '{"__array__": "<f8", "shape": [1], "base64": "not base64!"}',
        '{"__array__": "<f8", "shape": [1], "base64": null}',
        '{"__array__": "<f8", "shape": [1]}',
    ],
)
def test_damaged_text_is_refused(text):
    with pytest.raises(StateError, match="a saved state must be JSON as evo-moo writes it"):
        from_json(text)


@given(st.integers(0, len(TEXT) - 1))
@settings(max_examples=50)
def test_a_text_that_was_cut_is_refused(length):
    with pytest.raises(StateError):
        from_json(TEXT[:length])


@given(st.integers(0, len(TEXT) - 1), st.characters())
@settings(max_examples=80)
def test_a_changed_character_raises_nothing_but_a_state_error(at, character):
    text = TEXT[:at] + character + TEXT[at + 1 :]
    try:
        state = from_json(text)
    except StateError:
        return
    assert isinstance(state, dict)

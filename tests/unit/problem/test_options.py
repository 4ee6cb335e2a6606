import enum
import tomllib
from pathlib import Path
from typing import Any, Literal, Optional

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from evo_moo.problem.options import Text, read_options


class Kind(enum.Enum):
    SMALL = "small"
    LARGE = "large"


class Target:
    def __init__(
        self,
        flag=False,
        number=1,
        word="a",
        free=None,
        *,
        wait: float = 0.0,
        cap: float | None = None,
        count: int = 2,
        path: Path = Path(),
        kind: Kind = Kind.SMALL,
        act: Literal["relu", "gelu"] = "relu",
        shape: tuple[int, int] = (1, 1),
        mixed: bool | str = "auto",
        rate: Optional[float] = 0.5,  # noqa: UP045
        later: "Unknown" = 0,  # noqa: F821
        **more: Any,
    ) -> None:
        self.given = more


class Strict:
    def __init__(self, path: str, scale: float = 1.0) -> None:
        self.given = path, scale


def read(**texts):
    return read_options(Target, {name: Text(text) for name, text in texts.items()})


@pytest.mark.parametrize(
    ("name", "text", "plain"),
    [
        *[("flag", text, True) for text in ("true", "True", "yes", "on", "1")],
        *[("flag", text, False) for text in ("false", "False", "no", "off", "0")],
        ("number", "3", 3),
        ("number", ".5", 0.5),
        ("word", "3", "3"),
        ("word", "False", "False"),
        ("word", '"3"', "3"),
        ("wait", ".5", 0.5),
        ("wait", "3", 3),
        ("cap", "1e3", 1000.0),
        ("count", "3", 3),
        ("path", "a b/c.csv", "a b/c.csv"),
        ("kind", "large", "large"),
        ("act", "gelu", "gelu"),
        ("shape", "(3, 4)", [3, 4]),
        ("shape", "[3, 4]", [3, 4]),
        ("mixed", "False", False),
        ("mixed", "no", "no"),
        ("free", "8", 8),
        ("free", "a text", "a text"),
        ("later", "[1, 2]", [1, 2]),
        ("other", "true", True),
    ],
)
def test_a_text_means_what_the_options_type_says(name, text, plain):
    options = read(**{name: text})
    assert options.faults == []
    assert options.plain == {name: plain} and type(options.plain[name]) is type(plain)


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("flag", "maybe", "`flag` must be bool, as the default False is, but is 'maybe'"),
        ("wait", "long", "`wait` must be float, but is 'long'"),
        ("count", ".5", "`count` must be int, but is '.5'"),
        ("kind", "huge", "`kind` must be one of 'small', 'large', but is 'huge'"),
        ("act", "tanh", "`act` must be Literal['relu', 'gelu'], but is 'tanh'"),
        ("shape", "[1]", "`shape` must be tuple[int, int], but is '[1]'"),
        ("free", "False", "but is False; write free=false, or write free='\"False\"' for the text"),
        ("free", "None", "but is None; leave it out, or write"),
        ("other", ".5", "but is .5; write other=0.5, or write"),
        ("other", "(1, .5)", "write other=[1, 0.5], or write"),
        ("other", "[a, b]", "but is [a, b]; write other='\"[a, b]\"' for the text"),
    ],
)
def test_a_text_that_means_nothing_is_a_fault_with_the_way_out(name, text, fault):
    (found,) = read(**{name: text}).faults
    assert fault in found


@pytest.mark.parametrize(
    ("name", "value", "typed"),
    [
        ("wait", 3, 3),
        ("cap", None, None),
        ("path", "x", Path("x")),
        ("kind", "large", Kind.LARGE),
        ("shape", [3, 4], (3, 4)),
        ("later", {"a": [1]}, {"a": [1]}),
        ("free", [None], [None]),
    ],
)
def test_a_value_reaches_the_class_as_declared(name, value, typed):
    options = read_options(Target, {name: value})
    assert options.faults == [] and options.typed == {name: typed}
    assert type(options.typed[name]) is type(typed)


@pytest.mark.parametrize(
    ("name", "value"),
    [("wait", "long"), ("wait", True), ("count", 2.5), ("count", "3"), ("flag", 0), ("word", 3), ("shape", [1])],
)
def test_a_value_of_another_type_is_a_fault(name, value):
    (fault,) = read_options(Target, {name: value}).faults
    assert fault.startswith(f"`{name}` must be ") and f"but is {value!r}" in fault


def test_every_fault_of_options_is_listed():
    faults = read_options(Strict, {"scale": "big", "extra": 1}).faults
    assert faults == [
        "`scale` must be float, but is 'big'",
        "`extra` is no option of Strict; its options: `path`, `scale`",
        "`path` must be given, but is missing",
    ]


def test_a_none_that_is_the_default_needs_no_word():
    assert read(cap="None").plain == {} and read(cap="None").typed == {"cap": None}
    assert read_options(Target, {"rate": None}).plain == {"rate": None}


@given(st.recursive(st.booleans() | st.integers(-9, 9) | st.text("ab'\"\\ ", max_size=4), st.lists, max_leaves=5))
def test_a_value_written_as_toml_is_read_as_it_is(value):
    text = tomli_w.dumps({"v": value}).removeprefix("v = ")
    assert tomllib.loads(f"v = {text}") == {"v": value}
    assert read(other=text).plain == {"other": value}

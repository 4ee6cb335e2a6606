import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from evo_moo.object_code import changed_parts, modules_of, object_code
from evo_moo.plugins import ProblemSource

TEXT = """
import functools
import numpy as np
from evo_moo import FunctionProblem, Real, SearchProblem

SHIFT = 1
SEEN = []

@functools.lru_cache
def helper(x):
    return x + SHIFT

def twice(function):
    @functools.wraps(function)
    def doubled(config):
        return {k: 2 * v for k, v in function(config).items()}
    return doubled

@twice
def plain(config):
    SEEN.append(config)
    return {"f": helper(config["x"])}

class Base(SearchProblem):
    slope = 3
    forbidden = {"odd": lambda config: config["x"] == 0.125}

    def __init__(self, weights=(1, 2), name="a"):
        self.weights, self.kind, self.n_calls, self.table, self.log = weights, name, 0, np.arange(3.0), []
        self.cached = None

class Mine(Base):
    variables = {"x": Real(0, 1)}
    objectives = {"f": "min"}

    def evaluate(self, config):
        self.n_calls += 1
        self.cached = 4.0
        self.log.append(config)
        # a comment
        return {"f": helper(config["x"]) * self.slope + sum(self.weights)}

FUNCTION = FunctionProblem(plain, {"x": Real(0, 1)}, {"f": "min"})
OBJECT = Mine()
"""
Run = Callable[..., Mapping[str, str]]


def parts(text: str = TEXT, name: str = "OBJECT", work: bool = False) -> Mapping[str, str]:
    """The parts of an object that is defined by a text, as in a notebook."""
    module = ModuleType("__main__")
    exec(compile(text, "<cell>", "exec"), module.__dict__)
    problem = module.__dict__[name]
    if work:
        problem.call_evaluate({"x": 0.5}, seed=0)
    return object_code(problem)


@pytest.mark.parametrize("name", ["OBJECT", "FUNCTION"])
def test_the_same_text_is_the_same_code(name: str) -> None:
    text = TEXT.replace("# a comment", "# another one\n\n").replace("SHIFT = 1", "\n\nSHIFT = 1")
    assert parts(name=name) == parts(text, name)
    assert changed_parts(parts(name=name), parts(name=name, work=True)) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("return x + SHIFT", "return x - SHIFT", ["`helper` has changed"]),
        ("SHIFT = 1", "SHIFT = 1000", ["`SHIFT`: 1 there, 1000 here"]),
        ("* self.slope +", "* self.slope -", ["`Mine.evaluate` has changed"]),
        ("slope = 3", "slope = 4", ["`Base.slope`: 3 there, 4 here"]),
        ("== 0.125", "== 0.25", ["`Base.<lambda>` has changed"]),
        ("Mine()", "Mine((1, 3))", ["`Mine.weights`: [1, 2] there, [1, 3] here"]),
        ("Mine()", "Mine(name='b')", ["`Mine.kind`: 'a' there, 'b' here"]),
        ("np.arange(3.0)", "np.arange(1.0, 4.0)", ["`Base.__init__` has changed", "`Mine.table` has changed"]),
    ],
)
def test_every_part_that_counts_is_seen(old: str, new: str, said: list[str]) -> None:
    assert changed_parts(parts(), parts(TEXT.replace(old, new))) == said


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("2 * v", "3 * v", "`twice.<locals>.doubled` has changed"),
        ('{"f": helper', '{"f": -helper', "`plain` has changed"),
        ("SHIFT = 1", "SHIFT = 2", "`SHIFT`: 1 there, 2 here"),
    ],
)
def test_a_function_is_seen_with_all_that_it_uses(old: str, new: str, said: str) -> None:
    assert changed_parts(parts(name="FUNCTION"), parts(TEXT.replace(old, new), "FUNCTION")) == [said]


def test_another_process_sees_the_same(tmp_path: Path) -> None:
    script = TEXT + "from evo_moo.object_code import object_code\nprint(sorted(object_code(OBJECT).items()))"
    (tmp_path / "script.py").write_text(script)
    outputs = {
        subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert len(outputs) == 1 and "Mine.evaluate" in outputs.pop()


def test_modules_are_those_of_the_parts() -> None:
    module = ModuleType("__main__")
    text = "import tests.conftest as c\ndef f(x):\n    return c.pytest_collection_modifyitems"
    exec("from evo_moo import FunctionProblem\n" + text, module.__dict__)
    assert modules_of(ProblemSource("pymoo:zdt1").build()) == []
    held = module.__dict__["FunctionProblem"](module.__dict__["f"], {}, {})
    assert modules_of(held) == ["tests.conftest"]


def test_code_of_another_python_is_not_compared() -> None:
    here = parts()
    there = {name: value.replace("code of Python 3", "code of Python 2") + "0" for name, value in here.items()}
    assert not any("has changed" in said and "evaluate" in said for said in changed_parts(there, here))


def test_a_pymoo_problem_is_seen_by_its_values() -> None:
    def of(n_var: int) -> Mapping[str, str]:
        return ProblemSource.of_object(ProblemSource("pymoo:zdt1", {"n_var": n_var}).build().plain).parts

    assert changed_parts(of(5), of(5)) == [] != changed_parts(of(5), of(6))


def test_values_of_every_kind_are_told_apart() -> None:
    class Holder:
        def __init__(self, value: Any) -> None:
            self.value = value

    values: list[Any] = [1, True, 1.5, "1", b"1", None, (1,), [2], {"a": 1}, np.eye(2), np.eye(2)[::-1], Path("a")]
    told = {object_code(Holder(value))[f"{Holder.__qualname__}.value"] for value in values}
    assert len(told) == len(values)
    assert object_code(Holder(np.float64(1.5))) == object_code(Holder(1.5))
    assert object_code(Holder(tempfile.mkdtemp())) == object_code(Holder(Path(tempfile.mkdtemp())))
    me: list[Any] = [1]
    me.append(me)
    object_code(Holder(me))


class Model:
    def fit(self) -> int:
        return 3


class Holder:
    def __init__(self) -> None:
        self.model_class = Model


def test_a_class_that_is_a_value_is_looked_into() -> None:
    assert "Model.fit" in object_code(Holder())

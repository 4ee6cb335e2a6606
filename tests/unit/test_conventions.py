"""How tests are named, and where they stand."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FILES = sorted(TESTS.rglob("test_*.py"))
NO_SUBJECT = re.compile(
    r"test_(after|as|at|before|by|for|from|if|in|it|neither|of|on|outside|there|to|wh(at|en|ere|ile|o)|with(out)?)_"
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TESTS)))
def test_names_are_short_and_begin_with_their_subject(path: Path) -> None:
    names = [
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    assert len(set(names)) == len(names), "a test of the same name is hidden"
    assert [name for name in names if len(name) > 60 or NO_SUBJECT.match(name)] == []


def test_unit_tests_mirror_the_modules() -> None:
    several = {"problem/true_front.py", "problems/image_problems.py", "surrogate/families.py"}
    of_the_tree = {"architecture.py", "conventions.py", "safety.py"}
    tested = {str(path.relative_to(TESTS / "unit")).replace("test_", "") for path in FILES if "unit" in path.parts}
    root = TESTS.parent
    missing = {name for name in tested if not any((root / place / name).exists() for place in ("evo_moo", "."))}
    assert missing == several | of_the_tree


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TESTS)))
def test_no_private_name_is_tested(path: Path) -> None:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    # `_do` is what an operator of pymoo overrides; of others than ours, some names look private and are not.
    names = [node.attr for node in nodes if isinstance(node, ast.Attribute) and ast.unparse(node.value) != "self"]
    names += [alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names]
    names += [
        word
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("evo_moo.")
        for word in node.value.split(".")
    ]
    public = {"_do", "_dynamo", "_exit", "_replace", "_asdict", "_fields", "_repr_html_", "_repr_png_"}
    assert [name for name in names if re.match(r"_[A-Za-z]", name) and name not in public] == []

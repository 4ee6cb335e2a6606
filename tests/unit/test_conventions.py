"""How tests are named."""

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

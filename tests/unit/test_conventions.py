"""How tests are named, and where they stand."""

import ast
import functools
import re
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parents[1]
FILES = sorted(TESTS.rglob("test_*.py"))
NO_SUBJECT = re.compile(
    r"test_(after|as|at|before|by|for|from|if|in|it|neither|of|on|outside|there|to|wh(at|en|ere|ile|o)|with(out)?)_"
)


@functools.cache
def nodes_of(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text())))


def test_names_are_short_and_begin_with_their_subject() -> None:
    names = [
        (path, node.name)
        for path in FILES
        for node in nodes_of(path)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    assert [name for name, n in Counter(names).items() if n > 1] == [], "a test of the same name is hidden"
    assert [(path, name) for path, name in names if len(name) > 60 or NO_SUBJECT.match(name)] == []


def test_unit_tests_mirror_the_modules() -> None:
    several = {"problem/true_front.py", "problems/image_problems.py", "surrogate/families.py"}
    of_the_tree = {"architecture.py", "conventions.py", "safety.py"}
    tested = {str(path.relative_to(TESTS / "unit")).replace("test_", "") for path in FILES if "unit" in path.parts}
    root = TESTS.parent
    missing = {name for name in tested if not any((root / place / name).exists() for place in ("evo_moo", "."))}
    assert missing == several | of_the_tree


def names_used(path: Path) -> list[str]:
    """Attributes of others, names that are imported, and the words of dotted names in texts."""
    nodes = nodes_of(path)
    names = [
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and not (isinstance(node.value, ast.Name) and node.value.id == "self")
    ]
    names += [alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names]
    return names + [
        word
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("evo_moo.")
        for word in node.value.split(".")
    ]


def test_no_private_name_is_tested() -> None:
    # `_do` is what an operator of pymoo overrides; of others than ours, some names look private and are not.
    public = {"_do", "_dynamo", "_exit", "_replace", "_asdict", "_fields", "_field_defaults"}
    public |= {"_repr_html_", "_repr_png_"}
    private = [(path, name) for path in FILES for name in names_used(path) if re.match(r"_[A-Za-z]", name)]
    assert [(path, name) for path, name in private if name not in public] == []

"""Which room may import which, and what keeps a room's inside its own."""

import ast
import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GROUND = {
    *("by_value", "errors", "files", "lazy", "object_code", "pareto", "scalarisation", "seeding"),
    *("source_texts", "text", "threads", "user_code", "values"),
}
ALLOWED = {
    "space": set(),
    "problem": {"space"},
    "surrogate": {"space", "problem"},
    "plugins": {"problem", "surrogate"},
    "optimizer": {"space", "problem", "surrogate", "plugins"},
    "evaluation": {"problem", "plugins"},
    "storage": {"problem"},
    "job": {"space", "problem", "surrogate", "plugins", "optimizer"},
    "analysis": {"space", "problem", "surrogate", "plugins", "optimizer", "storage"},
    "run": {"space", "problem", "surrogate", "plugins", "optimizer", "evaluation", "storage", "job", "analysis"},
    "report": {"problem", "storage", "analysis", "run"},
    "toolkit": {"problem", "evaluation"},
    "cli": {"problem", "plugins", "optimizer", "evaluation", "storage", "job", "analysis", "run", "report", "toolkit"},
    "testing": {"surrogate", "evaluation", "storage"},
}
"""Room to the rooms that it may import, beside itself and the ground."""
FOR_PROBLEMS = {"problem", "space", "toolkit", "evaluation", "errors", "threads"}
FOR_SURROGATES = {"surrogate", "threads"}
FILES = sorted((ROOT / "evo_moo").rglob("*.py"))
PLUGINS = {folder: sorted((ROOT / folder).glob("*.py")) for folder in ("problems", "surrogates")}


def imported(path: Path) -> Iterator[str]:
    """Dotted names below evo_moo that a file imports anywhere in it; of `from a import b`, both a and a.b."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name.removeprefix("evo_moo.") for name in names if name.startswith("evo_moo."))


def room_of(path: Path) -> str:
    return path.relative_to(ROOT / "evo_moo").with_suffix("").parts[0]


def own_modules() -> dict[str, Path]:
    return {".".join(path.relative_to(ROOT / "evo_moo").with_suffix("").parts): path for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT / "evo_moo")))
def test_a_room_imports_only_what_lies_below(path: Path) -> None:
    room = room_of(path)
    if room in ("__init__", "__main__"):  # the public names, and the command
        return
    rooms = {name.partition(".")[0] for name in imported(path)} - {room}
    allowed = GROUND - {room} if room in GROUND else ALLOWED[room] | GROUND
    assert rooms <= allowed, f"{path} must not import {rooms - allowed}"


def test_the_rooms_lie_in_order() -> None:
    order = list(ALLOWED)
    for room, allowed in ALLOWED.items():
        assert all(order.index(below) < order.index(room) for below in allowed), room


def test_no_circle_of_files() -> None:
    modules = own_modules()
    graph = {
        name: {m for i in imported(path) for m in (i, i.rpartition(".")[0]) if m in modules} - {name}
        for name, path in modules.items()
    }
    while graph:
        free = {name for name, below in graph.items() if not below & graph.keys()}
        assert free, f"in a circle, or above one: {sorted(graph)}"
        graph = {name: below for name, below in graph.items() if name not in free}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT / "evo_moo")))
def test_no_module_uses_another_ones_private_names(path: Path) -> None:
    private = [name for name in imported(path) if name.rpartition(".")[2].startswith("_")]
    assert private == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT / "evo_moo")))
def test_no_room_asks_for_a_class_of_a_room_below(path: Path) -> None:
    """Behaviour that differs is a method of the class; value classes may be told apart where they are defined."""
    homes = {name.rpartition(".")[2]: name.partition(".")[0] for name in imported(path)}
    asked = [
        name.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance"
        for name in ast.walk(node.args[1])
        if isinstance(name, ast.Name)
    ]
    above = [name for name in asked if name in homes and homes[name] not in {room_of(path), "errors"}]
    assert above == []


def test_no_room_is_crowded() -> None:
    for folder in {path.parent for path in FILES}:
        assert len(list(folder.glob("*.py"))) <= 20, folder


def test_the_engine_names_no_problem_and_no_surrogate() -> None:
    for path in FILES:
        assert not {name.partition(".")[0] for name in imported(path)} & {"problems", "surrogates"}, path


@pytest.mark.parametrize("path", PLUGINS["problems"], ids=lambda path: path.stem)
def test_problems_import_only_what_users_do(path: Path) -> None:
    assert {name.partition(".")[0] for name in imported(path)} <= FOR_PROBLEMS


@pytest.mark.parametrize("path", PLUGINS["surrogates"], ids=lambda path: path.stem)
def test_surrogates_import_only_the_protocol(path: Path) -> None:
    assert {name.partition(".")[0] for name in imported(path)} <= FOR_SURROGATES


def test_problems_and_surrogates_are_flat() -> None:
    for folder in PLUGINS:
        assert [p.name for p in (ROOT / folder).iterdir() if p.is_dir() and p.name != "__pycache__"] == []


@pytest.mark.parametrize("folder", PLUGINS)
def test_every_plugin_file_is_registered(folder: str) -> None:
    registered = {point.value for point in importlib.metadata.entry_points(group=f"evo_moo.{folder}")}
    modules = {value.partition(":")[0].rpartition(".")[2] for value in registered}
    assert modules == {path.stem for path in PLUGINS[folder]} - {"__init__"}

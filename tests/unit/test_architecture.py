"""Which room may import which, and what keeps a room's inside its own."""

import ast
import functools
import tomllib
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
    "toolkit": {"space", "problem", "evaluation"},
    "deployment": {"problem", "evaluation", "storage", "job", "analysis", "run", "toolkit"},
    "optuna": {"space", "problem", "optimizer"},
    "sklearn": {"space", "problem", "evaluation", "storage", "analysis", "run", "toolkit"},
    "cli": {
        *("problem", "plugins", "optimizer", "evaluation", "storage", "job", "analysis", "run", "report", "toolkit"),
        "deployment",
    },
    "testing": {"surrogate", "evaluation", "storage"},
}
"""Room to the rooms that it may import, beside itself and the ground."""
FOR_PROBLEMS = {"problem", "space", "toolkit", "evaluation", "errors", "threads"}
FOR_SURROGATES = {"surrogate", "threads"}
FILES = sorted((ROOT / "evo_moo").rglob("*.py"))
PLUGINS = {folder: sorted((ROOT / folder).glob("*.py")) for folder in ("problems", "surrogates")}


@functools.cache
def nodes_of(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text())))


def imported(path: Path) -> Iterator[str]:
    """Dotted names below evo_moo that a file imports anywhere in it; of `from a import b`, both a and a.b."""
    for node in nodes_of(path):
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


def test_a_room_imports_only_what_lies_below() -> None:
    forbidden = {}
    for path in FILES:
        room = room_of(path)
        if room not in ("__init__", "__main__"):  # the public names, and the command
            allowed = GROUND - {room} if room in GROUND else ALLOWED[room] | GROUND
            forbidden[path] = {name.partition(".")[0] for name in imported(path)} - {room} - allowed
    assert {path: rooms for path, rooms in forbidden.items() if rooms} == {}


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


def test_no_module_uses_another_ones_private_names() -> None:
    private = [(path, name) for path in FILES for name in imported(path) if name.rpartition(".")[2].startswith("_")]
    assert private == []


def test_no_room_asks_for_a_class_of_a_room_below() -> None:
    """Behaviour that differs is a method of the class; value classes may be told apart where they are defined."""
    above = []
    for path in FILES:
        homes = {name.rpartition(".")[2]: name.partition(".")[0] for name in imported(path)}
        asked = [
            name.id
            for node in nodes_of(path)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance"
            for name in ast.walk(node.args[1])
            if isinstance(name, ast.Name)
        ]
        above += [(path, name) for name in asked if homes.get(name, "errors") not in {room_of(path), "errors"}]
    assert above == []


def test_no_room_is_crowded() -> None:
    for folder in {path.parent for path in FILES}:
        assert len(list(folder.glob("*.py"))) <= 20, folder


def test_the_engine_names_no_problem_and_no_surrogate() -> None:
    for path in FILES:
        assert not {name.partition(".")[0] for name in imported(path)} & {"problems", "surrogates"}, path


@pytest.mark.parametrize(("folder", "allowed"), [("problems", FOR_PROBLEMS), ("surrogates", FOR_SURROGATES)])
def test_plugins_import_only_what_users_do(folder: str, allowed: set[str]) -> None:
    used = {(path, name.partition(".")[0]) for path in PLUGINS[folder] for name in imported(path)}
    assert {(path, room) for path, room in used if room not in allowed} == set()


def test_problems_and_surrogates_are_flat() -> None:
    for folder in PLUGINS:
        assert [p.name for p in (ROOT / folder).iterdir() if p.is_dir() and p.name != "__pycache__"] == []


@pytest.mark.parametrize("folder", PLUGINS)
def test_every_plugin_file_is_registered(folder: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    modules = {
        value.partition(":")[0].rpartition(".")[2] for value in project["entry-points"][f"evo_moo.{folder}"].values()
    }
    assert modules == {path.stem for path in PLUGINS[folder]} - {"__init__"}

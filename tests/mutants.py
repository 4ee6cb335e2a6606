"""Random mutants of the core rooms, each judged by the tests of its room: ``make mutants ARGS="--n 20 --seed 2"``.

Cosmic Ray changes an operator, a number, a comparison or a branch at a place drawn at random, in a copy of the tree.
A mutant that no test kills is printed with its change.
"""

import argparse
import ast
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from difflib import unified_diff
from pathlib import Path

import pytest
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names
from hypothesis import HealthCheck, Phase, settings

ROOT = Path(__file__).parents[1]
LAWS = "tests/property/test_{}_laws.py"
ROOMS = {
    "run/engine.py": ["tests/unit/run", "tests/integration/test_search.py", "tests/integration/test_callbacks.py"],
    "optimizer": ["tests/unit/optimizer", LAWS.format("optimizer"), LAWS.format("refinement")],
    "surrogate": ["tests/unit/surrogate", *map(LAWS.format, ("target", "feature", "surrogate_search"))],
    "problem/goals.py": ["tests/unit/problem", "tests/unit/analysis/test_choice.py"],
    "storage/ledger.py": ["tests/unit/storage", "tests/integration/test_search.py"],
    "space": ["tests/unit/space", LAWS.format("space")],
}
"""A room or a module of evo_moo, and the tests that are to kill its mutants."""
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["hypothesis", "pymoo.optimize", "pytest", "scipy.stats", "sklearn.ensemble", "torch"])
"""Each mutant's tests run in a fork of a process that has imported what costs time, but nothing of evo_moo."""
OPERATORS = [name for name in operator_names() if not get_operator(name).arguments() and "Decorator" not in name]


def places(source: str) -> list[list[tuple[str, int]]]:
    """List the mutations of each place, as operators and occurrences; what only annotates types is no place."""
    found = [getattr(node, key, None) for node in ast.walk(ast.parse(source)) for key in ("annotation", "returns")]
    notes = [((n.lineno, n.col_offset), (n.end_lineno, n.end_col_offset)) for n in found if n is not None]
    nodes, at = list(ast_nodes(get_ast(source))), {}
    for name in OPERATORS:
        spots = [spot for node in nodes for spot in get_operator(name)().mutation_positions(node)]
        for occurrence, (start, end) in enumerate(spots):
            if not any(low <= start and end <= high for low, high in notes):
                at.setdefault((start, end), []).append((name, occurrence))
    return list(at.values())


def test(tree: Path, arguments: list[str]) -> None:
    """Run pytest in a copy of the tree, in this process, and end it with pytest's exit code."""
    os.chdir(tree)
    sys.path.insert(0, str(tree))
    os.environ |= {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    sys.dont_write_bytecode = True
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    patient = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
    settings.register_profile("first fault", phases=[Phase.explicit, Phase.generate], **patient)
    os._exit(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-profile", "first fault", *arguments]))


def fate(room: str, limit_s: float | None, markers: list[str], path: str = "README.md", text: str = "") -> str:
    """Return what a room's tests say of a copy of the tree where a file is another: LIVES, killed, over the limit."""
    with tempfile.TemporaryDirectory() as folder:
        tree = shutil.copytree(ROOT, Path(folder, "tree"), ignore=shutil.ignore_patterns(".*", "runs", "build"))
        (tree / path).write_text(text)
        mirror = Path("tests/unit", *Path(path).parts[1:-1], f"test_{Path(path).name}")
        own = [str(mirror)] if (tree / mirror).is_file() else []  # of the module itself first: they kill most
        for marker in markers:  # the quick ones first
            process = FORKS.Process(target=test, args=(tree, ["-m", marker, *own, *ROOMS[room]]))
            process.start()
            process.join(limit_s)
            if process.exitcode is None:
                process.kill()
                process.join()
                return "over the limit"
            if process.exitcode not in (0, 5):  # 5: a room without slow tests
                return "killed"
    return "LIVES"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, default=30, help="number of mutants")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=float, default=3.0, help="how much longer tests may take than with no mutant")
    parser.add_argument("--jobs", type=int, default=1, help="number of mutants tried at once")
    parser.add_argument("--quick", action="store_true", help="leave out the slow tests")
    options = parser.parse_args()
    markers = ["not slow"] if options.quick else ["not slow", "slow"]
    rng, core = random.Random(options.seed), ROOT / "evo_moo"
    files = [(room, path) for room in ROOMS for path in sorted([core / room, *(core / room).glob("*.py")])]
    at = [(room, path, each) for room, path in files if path.is_file() for each in places(path.read_text())]
    drawn = [(room, path, *rng.choice(each)) for room, path, each in rng.sample(at, options.n)]
    limit_s = {}
    for room in sorted({room for room, *_ in drawn}):
        began = time.monotonic()
        if fate(room, None, markers) != "LIVES":
            sys.exit(f"the tests must pass without a mutant, but those of {room} fail")
        limit_s[room] = 30 + options.limit * (time.monotonic() - began)

    def judge(mutant: tuple[str, Path, str, int]) -> tuple[str, list[str]]:
        room, path, operator, occurrence = mutant
        name, before = str(path.relative_to(ROOT)), path.read_text()
        after = mutate_code(before, get_operator(operator)(), occurrence)
        diff = unified_diff(before.split("\n"), after.split("\n"), name, "mutant", lineterm="", n=0)
        return fate(room, limit_s[room], markers, name, after), list(diff)

    with ThreadPoolExecutor(options.jobs) as pool:
        fates = []
        for i, done in enumerate(as_completed([pool.submit(judge, each) for each in drawn]), 1):
            each, diff = done.result()
            fates.append(each)
            print(f"{i} {each}", *diff, sep="\n", flush=True)
    counts = ", ".join(f"{n} {each}" for each, n in Counter(fates).most_common())
    print(f"{counts}; {len(at)} places, seed {options.seed}")


if __name__ == "__main__":
    main()

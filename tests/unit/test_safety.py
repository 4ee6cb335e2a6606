"""Nothing that the packages read can run code, but for the problem that the user names."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(path for folder in ("evo_moo", "problems", "surrogates") for path in (ROOT / folder).rglob("*.py"))
UNSAFE_MODULES = {"pickle", "dill", "shelve", "marshal", "cPickle", "jsonpickle", "yaml"}
UNSAFE_CALLS = {"eval", "exec", "__import__", "compile"}
TRANSPORT = {(file, "cloudpickle") for file in ("plugins.py", "by_value.py", "terms.py")}
"""Python objects on their way to a process of the same run."""


def name_of(node: ast.AST) -> str:
    return ast.unparse(node) if isinstance(node, ast.Attribute | ast.Name) else ""


def keyword(call: ast.Call, name: str) -> object:
    found = [k.value for k in call.keywords if k.arg == name]
    return found[0].value if found and isinstance(found[0], ast.Constant) else None


def unsafe(tree: ast.AST, file: str) -> list[str]:
    found = []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        modules = {name.partition(".")[0] for name in names}
        found += sorted(modules & UNSAFE_MODULES)
        if "cloudpickle" in modules and (file, "cloudpickle") not in TRANSPORT:
            found.append("cloudpickle")
        if isinstance(node, ast.Call):
            called = name_of(node.func)
            if called in UNSAFE_CALLS or called.endswith(("joblib.load", "read_pickle")):
                found.append(called)
            if called in ("np.load", "numpy.load") and keyword(node, "allow_pickle") is not False:
                found.append(f"{called} without allow_pickle=False")
            if called == "torch.load" and keyword(node, "weights_only") is not True:
                found.append(f"{called} without weights_only=True")
    return found


def test_nothing_unsafe_is_called() -> None:
    found = {path: unsafe(ast.parse(path.read_text()), path.name) for path in FILES}
    assert {path: calls for path, calls in found.items() if calls} == {}


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from pickle import loads",
        "import cloudpickle",
        "eval(text)",
        "np.load(f)",
        "np.load(f, allow_pickle=True)",
        "torch.load(f)",
        "torch.load(f, weights_only=False)",
        "import joblib\njoblib.load(f)",
    ],
)
def test_unsafe_calls_would_be_detected(code: str) -> None:
    assert unsafe(ast.parse(code), "any.py")


def test_safe_calls_pass() -> None:
    code = "import json\nmodel.eval()\nre.compile(p)\nnp.load(f, allow_pickle=False)\ntorch.load(f, weights_only=True)"
    assert unsafe(ast.parse(code), "any.py") == []

import importlib
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from evo_moo.errors import PluginError
from evo_moo.plugins import ProblemSource, load_problem
from evo_moo.user_code import UserCode, module_label

PROBLEM = """
from evo_moo import Real, SearchProblem

class Mine(SearchProblem):
    variables = {"x": Real(0, 1)}
    objectives = {"f": "min"}

    def evaluate(self, config):
        return {"f": shift()}

"""
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write files below a folder of the test's own, by their names."""

    def write(**texts: str) -> Path:
        for name, text in texts.items():
            path = tmp_path / f"{name.replace('__in__', '/')}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(textwrap.dedent(text))
        return tmp_path

    return write


def value(problem_or_source: object) -> float:
    problem = load_problem(problem_or_source) if isinstance(problem_or_source, str) else problem_or_source.build()
    return float(problem.call_evaluate({"x": 0.5}, seed=0).metrics["f"])


def loaded(folder: Path, name: str = "mine") -> ModuleType:
    return UserCode.of_file(folder / f"{name}.py").load()


def test_an_edited_file_is_loaded_anew(write: Write) -> None:
    for number in (1, 2, 1):
        folder = write(mine=PROBLEM + f"def shift(): return {number}")
        assert value(f"{folder / 'mine.py'}:Mine") == number


@pytest.mark.parametrize("imported", ["from helper_of_code import SHIFT", "from lib_of_code.nets import SHIFT"])
def test_an_edited_helper_is_loaded_anew(write: Write, imported: str) -> None:
    for number in (1, 2):
        text = f"SHIFT = {number}\n"
        folder = write(helper_of_code=text, lib_of_code__in____init__="", lib_of_code__in__nets=text)
        write(mine=f"{imported}\n{PROBLEM}def shift(): return SHIFT")
        assert value(f"{folder / 'mine.py'}:Mine") == number


def test_an_edited_package_is_loaded_anew(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(pack_of_code__in____init__="", pack_of_code__in__base="from . import deep")
    monkeypatch.syspath_prepend(folder)
    for number in (1, 2):
        write(pack_of_code__in__deep=f"SHIFT = {number}")
        write(pack_of_code__in__mine=f"from .base import deep\n{PROBLEM}def shift(): return deep.SHIFT")
        assert value("pack_of_code.mine:Mine") == number


def test_a_module_imported_before_an_edit_makes_room(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(
        early_of_code="SHIFT = 1", mine=f"import early_of_code\n{PROBLEM}def shift(): return early_of_code.SHIFT"
    )
    monkeypatch.syspath_prepend(folder)
    import early_of_code

    write(early_of_code="SHIFT = 2")
    assert early_of_code.SHIFT == 1 and value(f"{folder / 'mine.py'}:Mine") == 2


def test_a_reload_takes_what_the_file_has_now(write: Write) -> None:
    text = f"import again_of_code\n{PROBLEM}def shift(): return again_of_code.SHIFT"
    folder = write(again_of_code="SHIFT = 1", mine=text)
    assert value(f"{folder / 'mine.py'}:Mine") == 1
    helper = sys.modules["again_of_code"]
    write(again_of_code="SHIFT = 23")
    assert importlib.reload(helper).SHIFT == 23
    assert value(f"{folder / 'mine.py'}:Mine") == 23
    write(again_of_code="SHIFT = 1")
    assert value(f"{folder / 'mine.py'}:Mine") == 1


def test_helpers_of_one_name_stay_with_their_problems(tmp_path: Path) -> None:
    for folder, number in (("a", 1), ("b", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "twin_of_code.py").write_text(f"SHIFT = {number}\n")
        text = PROBLEM + "def shift():\n    from twin_of_code import SHIFT\n    return SHIFT\n"
        (tmp_path / folder / "mine.py").write_text(text)
    assert [value(f"{tmp_path / folder / 'mine.py'}:Mine") for folder in "aba"] == [1, 2, 1]


def test_a_source_keeps_the_text_it_was_made_of(write: Write) -> None:
    folder = write(kept_of_code="SHIFT = 1", mine=f"from kept_of_code import SHIFT\n{PROBLEM}def shift(): return SHIFT")
    source = ProblemSource(f"{folder / 'mine.py'}:Mine")
    write(kept_of_code="SHIFT = 2")
    later = ProblemSource(f"{folder / 'mine.py'}:Mine")
    write(mine="syntax error", kept_of_code="SHIFT = 3")
    assert [value(source), value(later), value(source)] == [1, 2, 1]


def test_an_unchanged_file_is_loaded_once(write: Write) -> None:
    folder = write(once_of_code="", mine="import once_of_code")
    module = loaded(folder)
    assert loaded(folder) is module
    other = write(other="import once_of_code")
    assert loaded(other, "other").once_of_code is module.once_of_code
    write(once_of_code="a = 1")
    assert loaded(folder) is not module


def test_a_module_that_fails_is_tried_again(write: Write) -> None:
    folder = write(mine=f"import bad_of_code\n{PROBLEM}def shift(): return 1", bad_of_code="1 / 0")
    for _ in range(2):
        with pytest.raises(PluginError, match="ZeroDivisionError"):
            load_problem(f"{folder / 'mine.py'}:Mine")
    write(bad_of_code="")
    assert value(f"{folder / 'mine.py'}:Mine") == 1


def test_the_digests_name_own_files_only(write: Write) -> None:
    folder = write(
        mine="import os, numpy, dig_of_code, lib_of_digest.nets\nfrom evo_moo import Real",
        dig_of_code="def late():\n    import deep_of_digest",
        deep_of_digest="",
        stranger="",
        lib_of_digest__in____init__="",
        lib_of_digest__in__nets="from . import layers",
        lib_of_digest__in__layers="",
    )
    packed = {f"lib_of_digest/{name}.py" for name in ("__init__", "nets", "layers")}
    files = UserCode.of_file(folder / "mine.py").digests
    assert files.keys() == {"mine.py", "dig_of_code.py", "deep_of_digest.py", *packed}


def test_a_modules_label_is_that_of_its_file(write: Write) -> None:
    names = [loaded(write(my_own=""), "my_own").__name__, "package.module", "__main__"]
    assert [module_label(name) for name in names] == ["my_own", "package.module", "__main__"]


def test_built_in_and_missing_modules_have_no_code() -> None:
    assert UserCode.of_module("sys") is UserCode.of_module("no.such") is UserCode.of_module("") is None


def test_a_ready_problem_keeps_the_module_that_is_there() -> None:
    problem = load_problem("evo_moo.problems.flops_mlp:FlopsMLP")
    assert load_problem("flops_mlp").__class__ is problem.__class__
    assert sys.modules[problem.__class__.__module__].FlopsMLP is problem.__class__

import pickle
import re
import threading

import numpy as np
import pytest
from pymoo.problems import get_problem

from evo_moo.errors import EvoMooError, PluginError, ProblemError, SpaceError
from evo_moo.plugins import (
    ProblemSource,
    absolute_reference,
    job_file_of,
    load_problem,
    load_surrogate,
    problem_names,
)
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.space.variables import Real
from evo_moo.surrogate.protocol import Columns

SOUND = """
from evo_moo import Real, SearchProblem

class Mine(SearchProblem):
    variables = {"x": Real(0, 1)}
    objectives = {"f": "min"}

    def __init__(self, shift=0, *, name="mine"):
        self.shift = shift

    def evaluate(self, config):
        return {"f": config["x"] + self.shift}

THE_ONE = Mine(shift=5)
"""


class Unpicklable(SearchProblem):
    variables = {"x": Real(0, 1)}
    objectives = {"f": "min"}

    def __init__(self):
        self.lock = threading.Lock()

    def evaluate(self, config):
        return {"f": 0}


@pytest.fixture
def write(tmp_path):
    """Write a problem's file; each test has a folder of its own, so no module is met twice."""

    def write(code, name="mine.py"):
        path = tmp_path / name
        path.write_text(code)
        return path

    return write


def value(problem):
    return problem.call_evaluate({"x": 0.5}, seed=0).metrics


@pytest.mark.parametrize("build", [load_problem, lambda *args: ProblemSource(*args).build()])
def test_a_class_in_a_file(write, build):
    path = write(SOUND)
    assert value(build(f"{path}:Mine")) == {"f": 0.5}
    assert value(build(f"{path}:Mine", {"shift": 2, "name": "other"})) == {"f": 2.5}


def test_a_path_is_relative_to_the_working_folder(write, monkeypatch):
    monkeypatch.chdir(write(SOUND).parent)
    assert value(load_problem("mine.py:Mine")) == {"f": 0.5}


def test_an_object_in_a_file_takes_no_options(write):
    path = write(SOUND)
    assert value(load_problem(f"{path}:THE_ONE")) == {"f": 5.5}
    with pytest.raises(ProblemError, match="is an object and takes no options, but got shift"):
        load_problem(f"{path}:THE_ONE", {"shift": 1})


def test_a_file_may_import_its_neighbours(write):
    write("SHIFT = 4\n", "neighbour_of_mine_in_test_plugins.py")
    path = write(SOUND + "from neighbour_of_mine_in_test_plugins import SHIFT\nMine.variables = {'x': Real(0, SHIFT)}")
    assert load_problem(f"{path}:Mine").space.xu.tolist() == [4.0]


def test_a_class_of_a_module(write, monkeypatch):
    monkeypatch.syspath_prepend(write(SOUND, "module_of_test_plugins.py").parent)
    assert value(load_problem("module_of_test_plugins:Mine", {"shift": 1})) == {"f": 1.5}


def test_two_files_of_one_name_are_two_modules(tmp_path):
    for folder, shift in (("a", 1), ("b", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.py").write_text(SOUND.replace("shift=0", f"shift={shift}"))
    assert [value(load_problem(f"{tmp_path / folder / 'same.py'}:Mine"))["f"] for folder in "ab"] == [1.5, 2.5]


def test_a_registered_name_and_its_job_file():
    assert "digits_cnn" in problem_names()
    assert type(load_problem("digits_cnn")).__name__ == "DigitsCNN"
    path = job_file_of("digits_cnn")
    assert path.name == "digits_cnn.toml" and path.is_file()


@pytest.mark.parametrize("reference", ["nothing", "pymoo:zdt1", "digits_cnn.py:DigitsCNN", "a.b:C"])
def test_other_references_have_no_job_file(reference):
    assert job_file_of(reference) is None


def test_a_pymoo_problem_with_options():
    assert load_problem("pymoo:zdt1", {"n_var": 5}).n_var == 5
    assert load_problem("pymoo:dtlz2", {"n_obj": 4}).n_obj == 4
    assert load_problem("pymoo:zdt1").n_var == get_problem("zdt1").n_var


def line_of(path, text):
    return 1 + next(i for i, line in enumerate(path.read_text().splitlines()) if text in line)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (SOUND + "def f(:  # here\n", "invalid syntax"),
        ("import no_such_module_at_all  # here\n", "ModuleNotFoundError: No module named 'no_such_module_at_all'"),
        (SOUND + "raise SystemExit(0)  # here\n", "SystemExit: 0"),
        (SOUND.replace("self.shift = shift", "import json; json.loads('?')  # here"), "JSONDecodeError: "),
    ],
    ids=["syntax", "import", "exit", "in a library"],
)
def test_fault_in_a_users_file_is_one_message_with_the_line(write, code, message):
    path = write(code)
    for _ in range(2):
        with pytest.raises(PluginError) as raised:
            load_problem(f"{path}:Mine")
        assert message in str(raised.value)
        assert f"({path}, line {line_of(path, '# here')})" in str(raised.value)
        assert "\n" not in str(raised.value)


def test_a_fault_in_a_neighbour_names_the_neighbour(write):
    neighbour = write("x = 1\nx.y  # here\n", "broken_neighbour_of_test_plugins.py")
    path = write("import broken_neighbour_of_test_plugins\n" + SOUND)
    with pytest.raises(PluginError, match=re.escape(f"({neighbour}, line 2)")):
        load_problem(f"{path}:Mine")


def test_a_missing_class_is_an_error_that_lists_those_there_are(write):
    path = write(SOUND)
    with pytest.raises(PluginError) as raised:
        load_problem(f"{path}:Yours")
    assert f"there is no `Yours` in {path}; it defines Mine" in str(raised.value)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("digits_cn", "did you mean `digits_cnn`? use one of "),
        ("digits_cnn.py", "name the class too, as in `digits_cnn.py:MyProblem`"),
        ("", "names no problem; use one of"),
        ("missing.py:Mine", "must be a Python file, but there is no such file"),
        ("pymoo:zdt99", "`pymoo:zdt99` must be a problem that pymoo's get_problem knows"),
        ("no.such.package:Mine", "ModuleNotFoundError: No module named 'no'"),
        (":Mine", "`:Mine`: ValueError: Empty module name"),
    ],
)
def test_unknown_reference_is_refused_with_a_way_out(reference, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PluginError, match=re.escape(message)):
        load_problem(reference)


def test_options_that_pymoo_refuses_are_shown():
    with pytest.raises(PluginError, match=re.escape('with options {"n_var": "many"}')):
        load_problem("pymoo:zdt1", {"n_var": "many"})


def test_an_unknown_option_is_refused_with_those_there_are(write):
    path = write(SOUND)
    with pytest.raises(ProblemError, match=r"option `b` is no option of Mine; its options: `shift`, `name`"):
        load_problem(f"{path}:Mine", {"shft": 1, "b": 2, "name": "x"})


def test_a_missing_option_is_refused(write):
    path = write(SOUND.replace("shift=0", "shift").replace("THE_ONE", "").replace("= Mine(shift=5)", ""))
    with pytest.raises(ProblemError, match="option `shift` must be given, but is missing"):
        load_problem(f"{path}:Mine")


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ("Real(0, 1)", "Real(1, 0)", SpaceError, "`x`: low must be below high"),
        ('"min"', '"down"', ProblemError, "`objectives.f` must be 'min' or 'max', but is 'down'"),
        ("def evaluate", "def evaluates", ProblemError, "must define `evaluate(self, config)`"),
        ("(SearchProblem)", "", ProblemError, "must be a SearchProblem or a pymoo Problem, but is the class Mine"),
    ],
)
def test_a_wrong_definition_is_refused_naming_the_reference(write, old, new, error, message):
    path = write(SOUND.replace(old, new))
    with pytest.raises(error) as raised:
        load_problem(f"{path}:Mine")
    assert str(raised.value).startswith(f"`{path}:Mine`: ") and message in str(raised.value)


def test_a_file_that_raises_an_error_of_ours_raises_it_again(write):
    path = write("from evo_moo import SearchSpace\nSPACE = SearchSpace({})\n" + SOUND)
    for _ in range(2):
        with pytest.raises(EvoMooError, match="at least one variable"):
            load_problem(f"{path}:Mine")


@pytest.mark.parametrize("reference", ["sys:Mine", "builtins:dict"])
def test_built_in_modules_and_classes_are_refused(reference):
    with pytest.raises(EvoMooError, match=reference):
        load_problem(reference)


@pytest.mark.parametrize(
    ("reference", "absolute"),
    [
        ("mine.py:Mine", "{base}/mine.py:Mine"),
        ("../b/mine.py:Mine", "{parent}/b/mine.py:Mine"),
        ("{parent}/c.py:Mine", "{parent}/c.py:Mine"),
        ("~/mine.py:Mine", "{home}/mine.py:Mine"),
        ("package.module:Class", "package.module:Class"),
        ("pymoo:zdt1", "pymoo:zdt1"),
        ("digits_cnn", "digits_cnn"),
    ],
)
def test_only_paths_become_absolute(reference, absolute, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    names = {"base": tmp_path.resolve() / "base", "parent": tmp_path.resolve(), "home": (tmp_path / "home").resolve()}
    assert absolute_reference(reference.format(**names), tmp_path / "base") == absolute.format(**names)


def test_a_source_travels_and_builds_the_same_problem(write):
    for source in (ProblemSource(f"{write(SOUND)}:Mine", {"shift": 3}), ProblemSource("pymoo:zdt1", {"n_var": 3})):
        sent = pickle.loads(pickle.dumps(source))
        assert sent == source
        assert sent.build().space.names == source.build().space.names


def test_an_object_travels_with_its_state(write):
    module_problem = load_problem("pymoo:zdt1", {"n_var": 4})

    class Local(SearchProblem):
        variables = {"x": Real(0, 1)}
        objectives = {"f": "min"}

        def evaluate(self, config):
            return {"f": self.shift}

    local = Local()
    local.shift = 7
    sent = pickle.loads(pickle.dumps(ProblemSource.of_object(local)))
    assert value(sent.build()) == {"f": 7}
    assert ProblemSource.of_object(module_problem.plain).build().n_var == 4


def test_an_object_that_cannot_travel_is_refused_with_a_way_out():
    with pytest.raises(ProblemError, match=r"must be picklable .* name the problem by a reference instead"):
        ProblemSource.of_object(Unpicklable())


def test_a_source_of_nothing_is_refused():
    with pytest.raises(PluginError, match="must be named by a reference"):
        ProblemSource().build()


MODEL = """
from evo_moo.surrogates.gaussian_process import GaussianProcess
from evo_moo.surrogate import Surrogate

class Mine(GaussianProcess):
    pass

class Half(Surrogate):
    def predict(self, X): ...

class Other: ...

mine = 5
"""


def test_surrogates_by_name_and_from_a_file(write):
    assert [load_surrogate(name).__name__ for name in ("gp", "rf")] == ["GaussianProcess", "RandomForest"]
    model = load_surrogate(f"{write(MODEL)}:Mine")(Columns.numeric(2), seed=3)
    assert model.fit(np.eye(2), np.array([0.0, 1.0])).predict(np.eye(2)).mean.shape == (2,)
    assert load_surrogate("evo_moo.surrogates.random_forest:RandomForest") is load_surrogate("rf")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Other", "must be a class that inherits evo_moo.surrogate.protocol.Surrogate, but is Other"),
        ("mine", "must be a class that inherits evo_moo.surrogate.protocol.Surrogate, but is a int"),
        ("Half", "must define all of a surrogate's methods, but lacks condition, dump, fit"),
        ("None_", "there is no `None_` in"),
    ],
)
def test_object_that_is_no_surrogate_is_refused(write, name, message):
    with pytest.raises(PluginError, match=re.escape(message)):
        load_surrogate(f"{write(MODEL)}:{name}")


def test_an_unknown_surrogate_is_refused_with_those_there_are():
    with pytest.raises(
        PluginError, match=r"^`gpp` names no surrogate; did you mean `gp`\? use one of gp, rf, `package"
    ):
        load_surrogate("gpp")
    with pytest.raises(PluginError, match=r"as in `mine\.py:MySurrogate`"):
        load_surrogate("mine.py")


@pytest.mark.parametrize("deep", ["(" * 300, "{'a':" * 500, "-" * 100_000 + "1"])
def test_code_nested_too_deep_is_one_clear_message(tmp_path, deep):
    (tmp_path / "deep.py").write_text(f"x = {deep}\n")
    with pytest.raises(PluginError, match=r"deep\.py`: "):
        load_problem(f"{tmp_path / 'deep.py'}:Deep")

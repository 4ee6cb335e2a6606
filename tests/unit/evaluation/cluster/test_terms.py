import pytest

from evo_moo.errors import UsageError
from evo_moo.evaluation.cluster import terms as module
from evo_moo.evaluation.cluster.terms import Terms, versions_here
from evo_moo.evaluation.problem_version import problem_parts, problem_version
from evo_moo.plugins import ProblemSource

TEXT = """
from evo_moo import Real, SearchProblem

class P(SearchProblem):
    variables = {"x": Real(0, 1)}
    objectives = {"a": "min"}
    def __init__(self, data="there.txt"):
        self.version = open(data).read()
    def evaluate(self, config):
        return {"a": config["x"]}
"""


@pytest.fixture
def terms(tmp_path):
    """The terms of a run whose problem reads a file of the run's host."""
    (tmp_path / "p.py").write_text(TEXT)
    (tmp_path / "data").write_text("1")
    source = ProblemSource(f"{tmp_path / 'p.py'}:P", {"data": str(tmp_path / "data")})
    problem = source.build()
    return Terms("t", source, problem_version(problem, source), problem_parts(problem, source), None, False)


def test_terms_arrive_as_they_were_sent(terms):
    assert Terms.of_message(terms.to_message()) == (terms, [])


def test_the_code_is_sent_and_need_not_lie_on_the_host(terms, tmp_path):
    (tmp_path / "p.py").unlink()
    assert terms.fault_of_problem() == ""


def test_a_problem_of_another_version_is_named(terms, tmp_path):
    (tmp_path / "data").write_text("2")
    assert "on this host it is another: " in terms.fault_of_problem() and "version" in terms.fault_of_problem()


def test_a_problem_that_cannot_be_built_is_the_hosts_fault(terms, tmp_path):
    (tmp_path / "data").unlink()
    assert "must be able to build the problem of its run, but this host cannot: " in terms.fault_of_problem()


def test_other_programs_are_refused_before_anything_is_unpickled(terms, monkeypatch):
    message = terms.to_message() | {"terms": b"no pickle"}
    message["versions"] = versions_here() | {"evo-moo": "0.1.0 (other)", "python": "2.7", "numpy": "0"}
    with pytest.raises(UsageError) as told:
        Terms.of_message(message)
    assert [fault.split(" of its run")[0] for fault in told.value.faults] == [
        "a worker must have the python",
        "a worker must have the evo-moo",
    ]


def test_other_libraries_are_said(terms, monkeypatch):
    monkeypatch.setattr(module, "versions_here", lambda: versions_here() | {"numpy": "0"})
    message = terms.to_message()
    monkeypatch.undo()
    assert Terms.of_message(message)[1] == [f"numpy is {versions_here()['numpy']} here, but 0 where the run is"]

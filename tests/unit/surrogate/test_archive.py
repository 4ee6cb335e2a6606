import numpy as np

from evo_moo.problem.points import numbered
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.space.variables import Real
from evo_moo.surrogate.archive import Archive

A, B, C = np.array([[0.0, 1.0], [0.5, 1.0], [0.75, 0.0]])


class Sized(SearchProblem):
    variables = {"a": Real(0, 1), "b": Real(0, 1)}
    objectives = {"error": "min"}
    constraints = {"size": {"at_most": 3}}


def filled():
    archive = Archive(Sized(), Sized().goals)
    archive.record(4, A, numbered((), {"error": 5.0, "size": 2.0}))
    archive.record(2, B, None)
    archive.record(3, B, numbered((), {"error": 7.0, "size": 1.0}))
    archive.record(1, A, numbered((), {"error": 1.0, "size": 2.0}))
    archive.record(5, A, numbered((), {"size": 9.0}))
    return archive


def test_outcomes_are_in_the_order_of_asking():
    assert [observation.id for observation in filled().observations] == [1, 2, 3, 4, 5]


def test_replicates_of_a_row_are_counted_and_averaged():
    archive = filled()
    assert [list(archive.ids_of(x)) for x in (A, B, C)] == [[1, 4, 5], [2, 3], []]
    assert archive.mean_of(A) == numbered((), {"error": 3.0, "size": 2.0})
    assert archive.mean_of(B) == numbered((), {"error": 7.0, "size": 1.0})
    X, replicates = archive.with_objectives()
    assert X.tolist() == [A.tolist(), B.tolist()] and [len(metrics) for metrics in replicates] == [2, 1]


def test_outcome_that_is_recorded_again_replaces_the_first():
    archive = filled()
    archive.record(2, B, numbered((), {"error": 9.0, "size": 1.0}))
    assert len(archive.ids_of(B)) == 2 and archive.mean_of(B)[0].metrics["error"] == 8.0

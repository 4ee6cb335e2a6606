import numpy as np

from evo_moo.problem.points import Point, numbered
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.space.variables import Choice, Integer, Real
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


class Chosen(Sized):
    post_training = {"bits": Integer(2, 8), "mode": Choice(["x", "y"], ordered=False)}


def offered(*bits):
    made = [Point({"bits": b, "mode": "y"}, {"error": float(b), "size": 1.0}) for b in bits]
    return numbered([*made, Point({"bits": 8, "mode": "x"}, fault="no")], {})


def chosen():
    archive = Archive(Chosen(), Chosen().goals)
    archive.record(1, A, offered(2, 4))
    archive.record(2, B, None)
    archive.record(3, A, offered(4))
    return archive


def test_each_point_is_a_row_with_its_choices():
    rows = chosen().points()
    space = Chosen().point_space
    decoded = [(c["a"], c["bits"], c["mode"], m and m["error"]) for (x, m) in rows for c in space.decode(x[None])]
    assert decoded[:3] == [(0.0, 2, "y", 2.0), (0.0, 4, "y", 4.0), (0.0, 8, "x", None)]
    assert decoded[3][0] == 0.5 and decoded[3][3] is None  # a failed training is one point in the middle
    X, replicates = chosen().with_objectives()
    assert len(X) == 2 and sorted(len(each) for each in replicates) == [1, 2] and chosen().n_replicates() == 1


def test_mean_of_a_training_is_that_of_its_points():
    assert [p.metrics["error"] for p in chosen().mean_of(A).values()] == [4.0]  # both trainings offer 4 bits
    assert chosen().metrics_at(1, chosen().points()[1][0]) == {"error": 4.0, "size": 1.0}
    assert chosen().metrics_at(1, chosen().points()[2][0]) is None


def test_expected_points_have_choices_that_were_offered():
    offers, rng = chosen().offers(), np.random.default_rng(1)
    assert len(offers.choices) == 3 and len(offers.of(np.array([A, B]))) == 6 and len(offers.of(np.array([A]), 2)) == 2
    for X in (
        offers.drawn(np.array([A, B]), rng),
        offers.mended(rng.random((5, 4)), offers.of(np.array([A, B]))[:5], rng),
    ):
        assert {row[2:].tobytes() for row in X} <= {row.tobytes() for row in offers.choices}
    plain = filled().offers()
    assert plain.of(np.array([A])).tolist() == [A.tolist()] == plain.drawn(np.array([A]), rng).tolist()

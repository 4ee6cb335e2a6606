import pytest

from evo_moo import Choice, Integer, Metric, Point, ProblemError, Real, SearchProblem, UsageError
from evo_moo.evaluation.evaluate import evaluate_task
from evo_moo.evaluation.task import Task
from evo_moo.problem.points import (
    evaluation_of,
    in_pairs,
    key_of,
    mean_offer,
    numbered,
    of_state,
    place_of_key,
    read_key,
    to_state,
)


class Served(SearchProblem):
    variables = {"width": Integer(1, 8)}
    post_training = {
        "precision": Choice(["float32", "int8"]),
        "bits": Integer(2, 8, when={"precision": "int8"}),
        "sparsity": Real(0, 0.9),
    }
    objectives = {"error": "min", "size": "min"}
    returned: object = ()

    def evaluate(self, config):
        return self.returned


WHOLE = {"precision": "float32", "sparsity": 0.0}
SMALL = {"precision": "int8", "bits": 4, "sparsity": 0.5}
GOOD = {"error": 0.1, "size": 2.0}


def ended(returned, problem=Served):
    made = problem()
    made.returned = returned
    return evaluate_task(made, made.goals, Task(1, {"width": 2}, 0))


def test_points_come_with_their_choices_and_metrics():
    outcome = ended([Point(WHOLE, GOOD), Point(SMALL, {"error": 0.2, "size": 1.0, "note": "text"})])
    assert (outcome.status, outcome.metrics) == ("ok", {})
    assert "point 2 (precision=int8, bits=4, sparsity=0.5) has no `note`: it must be a number" in outcome.reason
    assert outcome.points == (Point(WHOLE, GOOD), Point(SMALL, {"error": 0.2, "size": 1.0}))
    assert list(outcome.offered) == [1, 2]


def test_point_that_cannot_be_made_leaves_the_others():
    outcome = ended([Point(WHOLE, GOOD), Point(SMALL, fault="int8 needs\n a new CPU")])
    assert outcome.status == "ok" and outcome.points[1] == Point(SMALL, {}, "int8 needs a new CPU")


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ([], "an evaluation must return at least one point, but its list is empty"),
        (GOOD, "an evaluation must return a list of points, but it returned dict"),
        (None, "an evaluation must return a list of points, but it returned NoneType"),
        ([GOOD], "point 1: must be a Point(choices, metrics), but is dict"),
        ([Point(WHOLE, {"error": 0.1})], "point 1 (precision=float32, sparsity=0): an evaluation must return `size`"),
        (
            [Point(WHOLE, GOOD), Point(WHOLE, GOOD)],
            "point 2 (precision=float32, sparsity=0) must have other choices than every other point, but has those of "
            "point 1",
        ),
        (
            [Point(WHOLE | {"sparsity": 0.95}, GOOD)],
            "point 1 (precision=float32, sparsity=0.95): `sparsity`: must lie between 0 and 0.9, but is 0.95",
        ),
        ([Point({"precision": "int8", "sparsity": 0.0}, GOOD)], "point 1 (precision=int8, sparsity=0): `bits`: must"),
        ([Point(WHOLE | {"width": 2}, GOOD)], "choices must be of post-training variables, but width is of the"),
        ([Point(WHOLE, fault="no"), Point(SMALL, fault="never")], "no point could be made; point 1 (precision=float32"),
    ],
)
def test_wrong_points_are_one_clear_reason(returned, reason):
    outcome = ended(returned)
    assert outcome.status == "failed" and outcome.traceback == "" and reason in outcome.reason.replace("0.0", "0")


def test_all_faults_of_points_are_named_at_once():
    outcome = ended([Point(WHOLE, {"error": 0.1}), Point(SMALL, {"size": float("nan"), "error": 1})])
    assert "point 1" in outcome.reason and "point 2" in outcome.reason and "must be finite" in outcome.reason


def test_problem_that_profiles_by_point_is_profiled_for_each():
    class Profiled(Served):
        architecture = ["width", "precision"]
        asked: list[dict] = []

        def profile(self, config):
            self.asked.append(config)
            return {"size": config["width"] * (1 if config["precision"] == "int8" else 4)}

    outcome = ended([Point(WHOLE, {"error": 0.1}), Point(SMALL, {"error": 0.2})], Profiled)
    assert [point.metrics["size"] for point in outcome.points] == [8, 2]
    assert Profiled.asked == [{"width": 2, **WHOLE}, {"width": 2, **SMALL}]


def test_metrics_known_before_a_training_are_of_every_point():
    class Limited(Served):
        constraints = {"weight": {"at_most": 3}}
        metrics = {"weight": Metric(cheap=True)}

        def profile(self, config):
            return {"weight": config["width"] + 1.0}

    outcome = ended([Point(WHOLE, GOOD), Point(SMALL, GOOD)], Limited)
    assert [point.metrics["weight"] for point in outcome.points] == [3.0, 3.0]
    made = Limited()
    too_heavy = evaluate_task(made, made.goals, Task(1, {"width": 3}, 0))
    assert too_heavy.status == "infeasible" and too_heavy.points == ()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            {"post_training": {"width": Integer(1, 2)}},
            "must have names that `variables` has not, but both have `width`",
        ),
        ({"post_training": []}, "`post_training` of `Wrong` must be a dict"),
        ({"architecture": ["depth"]}, "its variables: width, precision, bits, sparsity"),
    ],
)
def test_wrong_declarations_are_refused(change, fault):
    with pytest.raises(ProblemError, match=fault.replace("[", r"\[")):
        type("Wrong", (Served,), change)().check()


def test_pymoos_own_algorithms_are_refused():
    problem = Served()
    with pytest.raises(ProblemError, match="must be searched by evo-moo"):
        problem.evaluate(problem.space.encode([{"width": 2}]), return_as_dictionary=True)


def test_keys_name_evaluations_and_points():
    keys = ["10.1", 2, "2.10", "2.9", 12]
    assert sorted(keys, key=place_of_key) == [2, "2.9", "2.10", "10.1", 12]
    assert [evaluation_of(key) for key in keys] == [10, 2, 2, 2, 12]
    assert (key_of(3, None), key_of(3, 0), key_of(3, 2)) == (3, 3, "3.2")
    assert [read_key(text) for text in ("12", "12.3")] == [12, "12.3"]
    for text in ("", "a", "1.", ".5", "1.2.3", "-1"):
        with pytest.raises(UsageError, match="must be that of an evaluation, as 12, or of a point"):
            read_key(text)


def test_offers_are_averaged_and_paired_by_choices():
    one = numbered([Point(WHOLE, {"error": 1.0}), Point(SMALL, {"error": 2.0})], {})
    other = numbered([Point(SMALL, {"error": 4.0}), Point(WHOLE, {"error": 3.0})], {})
    assert mean_offer([one, other]) == {1: Point(WHOLE, {"error": 2.0}), 2: Point(SMALL, {"error": 3.0})}
    assert in_pairs(one, other) == [({"error": 1.0}, {"error": 3.0}), ({"error": 2.0}, {"error": 4.0})]
    broken = numbered([Point(WHOLE, fault="no")], {})
    assert mean_offer([one, broken]) == {} and in_pairs(broken, one) == []


@pytest.mark.parametrize(
    "offered", [None, numbered((), GOOD), numbered([Point(WHOLE, GOOD), Point(SMALL, {}, "no")], {})]
)
def test_saved_offers_come_back(offered):
    assert of_state(to_state(offered)) == offered

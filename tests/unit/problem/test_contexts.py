import numpy as np
import pytest

from evo_moo.errors import MetricError, ProblemError
from evo_moo.problem.contexts import ByContext, Context, names_of
from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metric
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.space.variables import Real

DEVICES = ByContext(("server", "phone"), ("latency_ms",))
CONTEXTS = (Context("server", 3.0), Context("phone", 1.0))
GOALS = Goals.declared(
    {"error": "min", "latency_ms": "min"}, {"latency_ms": {"at_most": 20}}, CONTEXTS, DEVICES.metrics
)


def row(error, server, phone):
    return {"error": error, "latency_ms@server": server, "latency_ms@phone": phone}


class TwoDevices(SearchProblem):
    variables = {"x": Real(0, 1)}
    objectives = {"error": "min", "latency_ms": "min"}
    contexts = {"device": ["server", "phone"]}
    metrics = {"latency_ms": Metric("ms", by_context=True)}

    def evaluate(self, config):
        return {"error": config["x"], "latency_ms": {"server": 1.0, "phone": 2.0}}


@pytest.mark.parametrize(
    ("returned", "spread"),
    [
        ({"latency_ms": {"server": 1, "phone": 2}}, {"latency_ms@server": 1, "latency_ms@phone": 2}),
        ({"latency_ms": 3}, {"latency_ms@server": 3, "latency_ms@phone": 3}),
        ({"error": 1, "latency_ms": {"phone": 2}}, {"error": 1, "latency_ms@phone": 2}),
        ({"notes": {"any": "thing"}}, {"notes": {"any": "thing"}}),
    ],
)
def test_metric_has_a_value_for_each_context(returned, spread):
    assert DEVICES.spread(returned) == spread


def test_part_of_a_context_means_all_with_it():
    names = names_of({"device": ["server", "phone"], "load": ["idle", "busy"]})
    assert names == ["server/idle", "server/busy", "phone/idle", "phone/busy"]
    spread = ByContext(tuple(names), ("ms",)).spread({"ms": {"server": 1, "phone/busy": 9}})
    assert spread == {"ms@server/idle": 1, "ms@server/busy": 1, "ms@phone/busy": 9}


def test_wrong_contexts_of_metrics_are_named_all_at_once():
    with pytest.raises(MetricError) as error:
        DEVICES.spread({"latency_ms": {"tablet": 1}, "size_mb": {"server": 1}})
    assert str(error.value) == (
        "metric `latency_ms` must be by server, phone, but has 'tablet'; metric `size_mb` must be declared as "
        "Metric(by_context=True) to have a value for each context, but is not"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"contexts": ["server"]}, "must be a dict such as"),
        ({"contexts": {"device": "server"}}, "`device` must be a list of names, but is 'server'"),
        ({"contexts": {"device": ["a@b"]}}, "must be names without @ and /, but has 'a@b'"),
        ({"contexts": {"device": ["a", "a"]}}, "must name each once"),
        ({"metrics": {}}, "need a metric that differs"),
        ({"contexts": {}}, "must say where latency_ms differ, but are empty"),
    ],
)
def test_declared_contexts_are_checked(changes, words):
    problem = type("Wrong", (TwoDevices,), changes)()
    with pytest.raises(ProblemError, match=words):
        problem.check()


def test_problem_records_a_metric_for_each_context():
    problem = TwoDevices()
    problem.check()
    assert [*problem.known_metrics] == ["error", "latency_ms@server", "latency_ms@phone"]
    assert problem.call_evaluate({"x": 0.5}).metrics == row(0.5, 1.0, 2.0)
    assert problem.goals.metric_names == ("error", "latency_ms@server", "latency_ms@phone")


def test_goals_within_a_context_are_those_of_it_alone():
    phone = GOALS.within("phone")
    assert phone.metric_names == ("error", "latency_ms@phone") and not phone.contexts and phone.views == (phone,)
    assert GOALS.views == (GOALS.within("server"), phone)
    assert GOALS.weights.tolist() == [0.75, 0.25] and [c.tolist() for c in GOALS.columns_of_views] == [[0, 1], [0, 2]]
    with pytest.raises(MetricError, match="must be one of server, phone, but is 'tablet'"):
        GOALS.within("tablet")
    with pytest.raises(MetricError, match="must go with a search that has contexts, but this has none"):
        phone.within("phone")


def test_row_is_feasible_where_one_context_keeps_the_limits():
    on_server, nowhere = row(0.1, 10, 50), row(0.1, 30, 50)
    assert GOALS.violation(on_server) == 0 and not GOALS.broken_limits(on_server)
    assert GOALS.within("phone").violation(on_server) > 0
    assert GOALS.violation(nowhere) == GOALS.within("server").violation(nowhere) > 0
    assert len(GOALS.broken_limits(nowhere)) == 2


def test_front_is_that_of_any_context():
    rows = [row(0.1, 10, 19), row(0.2, 11, 5), row(0.3, 5, 30), row(0.4, 12, 21)]
    assert GOALS.front_rows(rows).tolist() == [0, 1, 2]
    assert GOALS.within("phone").front_rows(rows).tolist() == [0, 1]
    assert np.isin(GOALS.within("server").front_rows(rows), [0, 2]).all()


def test_goals_with_contexts_survive_a_file():
    assert Goals.from_json(GOALS.to_json()) == GOALS
    assert "contexts" not in GOALS.within("phone").to_json()

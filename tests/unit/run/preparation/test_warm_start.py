import pytest

import evo_moo
from evo_moo.errors import JobError
from evo_moo.problem.contexts import Context
from evo_moo.problem.goals import Goals
from evo_moo.run.preparation.earlier_runs import EarlierRun, Observation, read_earlier_runs
from evo_moo.run.preparation.warm_start import warm_start
from evo_moo.space.search_space import SearchSpace
from evo_moo.space.variables import Real

GOALS = Goals.declared({"f": "min", "g": "min"}, {"h": {"at_most": 0}})


def observation(i, f, g, h=0.0, reusable=None):
    metrics = {"f": f, "g": g, "h": h}
    return Observation("r", {"x": i / 100}, metrics, metrics if reusable is None else reusable, seed=i)


def start_of(observations, pop_size=8, goals=GOALS, old_goals=GOALS, **options):
    space = SearchSpace({"x": Real(0, 1)})
    return warm_start([EarlierRun(old_goals, observations, len(observations))], space, goals, pop_size, **options)


def ids(start):
    return [round(configuration["x"] * 100) for configuration in start.start]


def test_start_takes_the_front_then_ranks_then_least_violation():
    front = [observation(i, i, 10 - i) for i in range(1, 4)]
    second = [observation(10 + i, i + 1, 12 - i) for i in range(1, 4)]
    broken = [observation(20, 0, 0, h=2.0), observation(21, 0, 0, h=1.0)]
    found = ids(start_of([*broken, *second, *front], pop_size=16))
    assert set(found[:3]) == {1, 2, 3} and set(found[3:6]) == {11, 12, 13} and found[6:] == [21, 20]


def test_start_takes_the_ends_and_a_spread_of_a_large_front():
    front = [observation(i, i, 100 - i) for i in range(1, 60)]
    found = ids(start_of(front))
    assert len(found) == 4 and {1, 59} <= set(found)


def test_runs_without_the_new_metrics_rank_by_their_own_goals():
    goals = Goals.declared({"new": "min"}, {})
    observations = [observation(1, 5, 5), observation(2, 1, 1), observation(3, 3, 3)]
    start = start_of(observations, goals=goals)
    assert ids(start) == [2, 3, 1] and start.known == []


@pytest.mark.parametrize("same_version", [False, True])
def test_runs_of_another_version_are_ranked_alone(same_version):
    easy = [observation(i, i, 10 - i) for i in range(1, 5)]
    hard = [observation(10 + i, 50 + i, 60 - i) for i in range(1, 3)]
    runs = [EarlierRun(GOALS, each, len(each), same_version=same_version) for each in (easy, hard)]
    found = ids(warm_start(runs, SearchSpace({"x": Real(0, 1)}), GOALS, 8))
    assert len(found) == 4 and set(found) == ({1, 2, 3, 4} if same_version else {1, 4, 11, 12})


@pytest.mark.parametrize("names", ["", "f", "fg", "fgh"])
def test_outcome_with_all_metrics_of_the_goals_is_reused(names):
    start = start_of([observation(1, 1, 1, reusable=dict.fromkeys(names, 1.0))])
    assert [known["seed"] for known in start.known] == ([1] if names == "fgh" else [])
    assert ids(start) == [1]


def test_outcomes_of_given_configurations_are_known_too():
    start = start_of([observation(i, i, 10 - i) for i in range(1, 9)], given=[{"x": 0.07}, {"x": 0.5}])
    assert ids(start)[:2] == [7, 50] and len(start.start) == 6
    assert {known["configuration"]["x"] for known in start.known} == {c["x"] for c in start.start} - {0.5}


def test_a_run_that_shares_no_variable_is_refused(tmp_path):
    evo_moo.search("pymoo:bnh", termination=("n_evals", 4), pop_size=4, workers=1, run_dir=tmp_path / "r")
    with pytest.raises(
        JobError, match=r"must share a variable with the problem, other, but those of .* are x1, x2; name"
    ):
        read_earlier_runs([tmp_path / "r"], SearchSpace({"other": Real(0, 1)}), {}, None, 1)


def in_contexts(i, error, cpu, phone):
    metrics = {"error": error, "ms@cpu": cpu, "ms@phone": phone}
    return Observation("r", {"x": i / 100}, metrics, metrics, seed=i)


def test_start_takes_the_best_of_each_context():
    contexts = [Context("cpu"), Context("phone")]
    goals = Goals.declared({"error": "min", "ms": "min"}, {"ms": {"at_most": 9}}, contexts, ["ms"])
    on_cpu, on_phone = (
        [in_contexts(i, i, 5 - i, 20) for i in (1, 2)],
        [in_contexts(10 + i, i, 20, 5 - i) for i in (1, 2)],
    )
    worse = [in_contexts(20 + i, i + 1, 6 - i, 30) for i in (1, 2, 3)]
    nowhere = [in_contexts(30, 0, 99, 99)]
    observations = [*nowhere, *worse, *on_cpu, *on_phone]
    found = ids(start_of(observations, goals=goals, old_goals=goals))
    assert set(found) == {1, 2, 11, 12}


def test_a_run_without_contexts_ranks_by_its_own_goals():
    contexts = [Context("cpu"), Context("phone")]
    goals = Goals.declared({"f": "min", "ms": "min"}, {}, contexts, ["ms"])
    start = start_of([observation(1, 5, 5), observation(2, 1, 1)], goals=goals)
    assert ids(start) == [2, 1] and start.known == []
    one = Goals.declared({"error": "min", "ms@cpu": "min"}, {})
    both = Goals.declared({"error": "min", "ms": "min"}, {}, contexts, ["ms"])
    start = start_of([in_contexts(1, 1, 2, 9), in_contexts(2, 3, 3, 1)], goals=one, old_goals=both)
    assert ids(start) == [1, 2] and len(start.known) == 2

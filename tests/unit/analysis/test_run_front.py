"""The front of a run with contexts: one for each, and the union of all."""

import numpy as np
import pytest

import evo_moo
from evo_moo.errors import MetricError, UsageError
from evo_moo.pareto import Box, share_of_front
from tests.integration.running import USER_FILE

DEVICES = USER_FILE.with_name("devices.py")
NAMES = ("server", "phone", "chip")


def search(kind, tmp_path, n_evals=60, **options):
    problem, run_dir = f"{DEVICES}:{kind}", tmp_path / kind
    budget = {"pop_size": 12, "termination": ("n_evals", n_evals), "seed": 2}
    evo_moo.search(problem, run_dir=run_dir, workers=1, surrogate="none", **budget | options)
    return evo_moo.Result.read(run_dir)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return search("Devices", tmp_path_factory.mktemp("devices"))


@pytest.fixture(scope="module")
def hard(tmp_path_factory):
    return search("Hard", tmp_path_factory.mktemp("hard"))


def test_each_context_has_the_front_of_its_own_goals(result):
    assert result.contexts == NAMES
    rows = [e.metrics for e in result.evaluations]
    for name in NAMES:
        within, goals = result.within(name), result.goals.within(name)
        assert type(within) is type(result) and within.context == name and within.goals == goals
        kept = [metrics for metrics in rows if metrics[f"latency_ms@{name}"] <= 60]
        F = goals.F(kept)
        dominated = [((f >= F).all(axis=1) & (f > F).any(axis=1)).any() for f in F]
        assert np.array_equal(np.unique(within.F, axis=0), np.unique(F[~np.array(dominated)], axis=0))
        assert np.array_equal(within.archive, within.F) and within.feasible
        assert [e.feasible for e in within.evaluations] == [metrics in kept for metrics in rows]


def test_the_union_says_which_members_serve_which_contexts(result):
    fronts = {name: {e.id for e in result.within(name).front} for name in NAMES}
    assert {e.id for e in result.front} == set.union(*fronts.values())
    assert result.serves == {e.id: tuple(n for n in NAMES if e.id in fronts[n]) for e in result.front}
    rows = [e.metrics for e in result.evaluations]
    assert [e.metrics for e in result.front] == [rows[i] for i in result.goals.front_rows(rows)]
    assert [row["contexts"] for row in result.rows()] == [", ".join(result.serves[e.id]) for e in result.front]


def test_the_hypervolume_is_the_mean_of_shares_of_each_box(result):
    shares = [result.within(name).hypervolume() for name in NAMES]
    assert result.hypervolume() == pytest.approx(np.mean(shares))
    first = [e.metrics for e in result.evaluations if e.generation == 1]
    for name in NAMES:
        within = result.within(name)
        kept = within.goals.F([metrics for metrics in first if metrics[f"latency_ms@{name}"] <= 60])
        assert np.array_equal(within.box, Box.around(kept)) and within.box_of == "the first generation's box"
    words = result.hypervolume_in_words()
    assert "of the first generation's boxes of 3 contexts, on average (server " in words


def test_weights_of_contexts_weigh_their_hypervolumes(tmp_path):
    result = search("Devices", tmp_path, contexts={"server": 3, "chip": 1})
    shares = {name: result.within(name).hypervolume() for name in result.contexts}
    assert result.contexts == ("server", "chip")
    assert result.hypervolume() == pytest.approx((3 * shares["server"] + shares["chip"]) / 4)
    with pytest.raises(MetricError, match="a context must be one of server, chip, but is 'phone'"):
        result.within("phone")


def test_a_reference_point_is_that_of_each_context(result):
    ref = {"error": 2.0, "latency_ms@server": 30.0, "latency_ms@phone": 50.0, "latency_ms@chip": 70.0}
    each = [
        result.within(name).hypervolume({"error": 2.0, f"latency_ms@{name}": ref[f"latency_ms@{name}"]})
        for name in NAMES
    ]
    assert result.hypervolume(ref) == result.hypervolume(list(ref.values())) == pytest.approx(np.mean(each))


def test_each_context_has_its_own_true_front(result):
    each = [result.within(name) for name in NAMES]
    assert [within.true_front.shape[1] for within in each] == [2, 2, 2]
    shares = [share_of_front(within.F, within.true_front) for within in each]
    assert result.share_of_true_hypervolume() == pytest.approx(np.mean(shares)) and result.true_front is None


def test_nearest_of_a_context_without_a_way_serve_nobody(hard):
    chip = hard.within("chip")
    assert not chip.feasible and chip.hypervolume() == 0 and chip.box is None
    assert chip.in_words().startswith("nothing keeps the limits; nearest of")
    least = min(chip.goals.violation(e.metrics) for e in hard.evaluations)
    assert {e.violation for e in chip.front} == {least}
    assert hard.feasible and all("chip" not in names for names in hard.serves.values())
    served = [hard.serves[e.id] for e in hard.front]
    assert all(served) and {name for names in served for name in names} == {"server", "phone"}


def test_a_context_is_named_exactly_where_there_are_some(result, tmp_path):
    with pytest.raises(MetricError, match="a context must be one of server, phone, chip, but is 'cpu'"):
        result.in_one("cpu")
    with pytest.raises(UsageError, match="`context` must be one of server, phone, chip, each with its own front"):
        result.in_one(None)
    assert result.in_one("phone").front == result.within("phone").front
    plain = evo_moo.search("pymoo:bnh", pop_size=8, termination=("n_evals", 8), workers=1)
    assert plain.in_one(None) is plain and plain.contexts == () and plain.serves == {}
    with pytest.raises(MetricError, match="must go with a search that has contexts, but this has none: 'phone'"):
        plain.within("phone")

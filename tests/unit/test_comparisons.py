import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import evo_moo
from evo_moo.comparisons import holm, paired_tests
from evo_moo.errors import MetricError

SEEDS = (42, 43, 44)
VALUES = {
    "a": (0.91, 0.92, 0.93),
    "b": (0.95, 0.97, 0.96),
    "c": (0.91, 0.92, 0.93),
    "d": (0.90, 0.93, 0.94),
}


class Study(evo_moo.SearchProblem):
    variables = {"kind": evo_moo.Choice(list(VALUES))}
    objectives = {"accuracy": "max", "size": "min"}

    def evaluate(self, config):
        values = VALUES[config["kind"]]
        by_seed = {f"accuracy_seed_{seed}": value for seed, value in zip(SEEDS, values, strict=True)}
        return {"accuracy": math.fsum(values) / 3, "size": float(ord(config["kind"])), **by_seed}


@pytest.fixture(scope="module")
def result():
    return evo_moo.search(Study(), "grid", termination=("n_evals", 4), workers=1)


def kinds(result, ids):
    by_id = {e.id: e.configuration["kind"] for e in result.evaluations}
    return tuple(by_id[i] for i in ids)


def test_every_two_are_compared_seed_by_seed(result):
    tests = paired_tests(result.evaluations, "accuracy")
    assert len(tests) == 6
    for test in tests:
        one, other = (np.array(VALUES[kind]) for kind in kinds(result, test[:2]))
        assert test.difference == pytest.approx((one - other).mean())
        if (one == other).all():
            assert (test.t, test.p, test.p_holm) == (0.0, 1.0, 1.0)
        else:
            # Student's formula, and the distribution with two degrees of freedom.
            t = (one - other).mean() / ((one - other).std(ddof=1) / math.sqrt(3))
            assert test.t == pytest.approx(t) and test.p == pytest.approx(2 * stats.t.sf(abs(t), 2))
            assert test.p <= test.p_holm <= 1


def test_without_values_by_seed_it_is_said_how_they_are_to_be_recorded(result):
    with pytest.raises(
        MetricError, match="share at least two seeds of size, recorded as size_seed_N, but 1 and 2 share 0"
    ):
        paired_tests(result.evaluations, "size")


def test_holm_on_the_numbers_of_a_textbook():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.sampled_from([0.01, 0.05, 0.5]))
@settings(max_examples=50, deadline=None)
def test_holm_rejects_what_the_steps_down_reject(p_values, alpha):
    rejected = set()
    for step, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[i] * (len(p_values) - step) > alpha:
            break
        rejected.add(i)
    assert {i for i, p in enumerate(holm(p_values)) if p <= alpha} == rejected

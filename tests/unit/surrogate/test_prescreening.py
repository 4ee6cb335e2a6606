from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evo_moo.errors import JobError
from evo_moo.job.check import check_job
from evo_moo.surrogate.prescreening import best_offspring

ROWS = arrays(float, st.tuples(st.integers(0, 12), st.just(3)), elements=st.integers(0, 4).map(float))


def believing(std):
    """A posterior that the first two columns are the objectives, and the third the doubt that all limits hold."""
    return SimpleNamespace(
        objectives=lambda X: (X[:, :2], np.full((len(X), 2), std)), log_probability=lambda X: -X[:, 2]
    )


@given(ROWS, st.integers(1, 12))
def test_nothing_that_is_left_out_is_better(X, n):
    X = np.unique(X, axis=0)
    chosen = best_offspring(believing(0.0), X, n, np.random.default_rng(0))
    assert len(chosen) == min(n, len(X)) == len(np.unique(chosen, axis=0))
    kept = {tuple(row) for row in chosen}
    for out in (row for row in X if tuple(row) not in kept):
        for row in chosen:
            if row[2] == out[2] == 0:
                assert not ((out[:2] <= row[:2]).all() and (out[:2] < row[:2]).any())
            else:
                assert row[2] <= out[2]


def test_an_uncertain_row_has_its_turn():
    X = np.array([[1.0, 1.0, 0.0], [2.0, 2.0, 0.0]])
    worse = [best_offspring(believing(2.0), X, 1, np.random.default_rng(seed))[0, 0] == 2 for seed in range(50)]
    assert 0 < sum(worse) < 25


def job(**section):
    return check_job({"problem": {"use": "pymoo:bnh"}, "budget": {"n_evals": 9}, "surrogate": section})[0]


def test_the_batch_is_the_population_only_to_prescreen():
    assert job().surrogate.batch == 4 and job(batch=7, infill="prescreen").surrogate.batch == 7
    assert job(infill="prescreen").surrogate.batch is None


def test_wrong_settings_are_refused():
    with pytest.raises(JobError, match=r"surrogate\.infill"):
        job(infill="eic")
    with pytest.raises(JobError, match=r"`surrogate\.repeats` must be true or false, but is 'yes'"):
        job(repeats="yes")

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, kstest

from evo_moo.deployment.watch.evidence import chance_of_rows, of_gap, of_mean, of_ranks, of_share, uniform_ranks


@given(limit=st.floats(0.0, 1.0), part=st.floats(0.0, 1.0))
def test_a_share_within_its_limit_gives_no_evidence_in_the_mean(limit: float, part: float) -> None:
    yes, no = np.exp(of_share(np.array([1, 0]), limit))
    share = limit * part
    assert np.all(share * yes + (1 - share) * no <= 1 + 1e-5)


@given(limit=st.floats(0.0, 0.9), mean=st.floats(-1.0, 1.0))
def test_a_mean_within_its_limit_gives_no_evidence(limit: float, mean: float) -> None:
    mean = min(mean, limit)
    high, low = np.exp(of_mean(np.array([1.0, -1.0]), limit))
    p = (mean + 1) / 2
    assert np.all(p * high + (1 - p) * low <= 1 + 1e-9)


@pytest.mark.parametrize("upwards_only", [True, False])
def test_uniform_ranks_give_no_evidence_in_the_mean(upwards_only: bool) -> None:
    ranks = (np.arange(20_000) + 0.5)[:, None] / 20_000
    assert np.exp(of_ranks(ranks, upwards_only=upwards_only)).mean(axis=0) == pytest.approx(1, abs=1e-6)


@given(
    limit=st.floats(0.0, 0.5),
    low=st.floats(0.0, 1.0),
    gap=st.floats(-1.0, 1.0),
    expected=st.floats(0.05, 0.95),
    n=st.tuples(st.integers(1, 12), st.integers(1, 12)),
)
def test_a_gap_within_its_limit_gives_no_evidence(limit, low, gap, expected, n) -> None:
    """The mean of a block's factor over all that may happen in it is at most 1: exactly, not by chance."""
    shares = np.array([min(max(low + min(gap, limit), 0.0), 1.0), low])
    shares[0] = min(shares[0], low + limit)
    k = np.stack(np.meshgrid(np.arange(n[0] + 1), np.arange(n[1] + 1), indexing="ij"), axis=2).reshape(-1, 2)
    factors = np.exp(of_gap(np.tile(n, (len(k), 1)), k, np.full(len(k), expected), limit))
    weights = binom.pmf(k[:, 0], n[0], shares[0]) * binom.pmf(k[:, 1], n[1], shares[1])
    assert np.all(weights @ factors <= 1 + 1e-3)


def test_a_gap_beyond_its_limit_gives_evidence() -> None:
    log_e = of_gap(np.array([[50, 50]]), np.array([[40, 20]]), np.array([0.6]), 0.1)
    assert log_e.max() > 2
    assert np.all(of_gap(np.array([[50, 0]]), np.array([[40, 0]]), np.array([0.6]), 0.1) == 0)


@pytest.mark.parametrize("share_of_one_value", [0.0, 0.9])
def test_ranks_of_exchangeable_values_are_uniform(share_of_one_value: float) -> None:
    rng = np.random.default_rng(1)
    codes = np.where(rng.random((3000, 2)) < share_of_one_value, 0, rng.integers(8, size=(3000, 2)))
    counts = np.zeros((2, 8), dtype=np.int64)
    ranks = uniform_ranks(counts, codes, chance_of_rows(np.arange(3000), 2, 7))
    assert counts.sum(axis=1).tolist() == [3000, 3000]
    assert min(kstest(ranks[:, j], "uniform").pvalue for j in range(2)) > 1e-3


def test_chance_depends_on_row_column_and_salt_alone() -> None:
    whole = chance_of_rows(np.arange(1000), 3, 5)
    assert np.array_equal(whole[500:], chance_of_rows(np.arange(500, 1000), 3, 5))
    assert kstest(whole.ravel(), "uniform").pvalue > 1e-3
    assert not np.isclose(whole, chance_of_rows(np.arange(1000), 3, 6)).any()

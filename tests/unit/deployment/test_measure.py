import numpy as np
import pytest
from scipy.stats import binom

from evo_moo.deployment.measure import decided, quality
from evo_moo.errors import ModelFolderError


def test_the_interval_of_an_accuracy_covers_the_truth() -> None:
    rng, p, n, hits = np.random.default_rng(1), 0.9, 200, 0
    for _ in range(400):
        right = rng.random(n) < p
        logits = np.where(right[:, None], [0.0, 1.0], [1.0, 0.0])
        found = quality(logits, np.ones(n, dtype=int), "logits", {}, None, "samples")["accuracy"]
        hits += found.low <= p <= found.high
    assert binom.cdf(hits, 400, 0.95) > 1e-3


def test_each_group_has_its_threshold() -> None:
    score, groups = np.array([0.4, 0.4, 0.6, 0.6]), np.array(["a", "b", "a", "b"])
    assert decided(score, "score", {"a": 0.3, "b": 0.5}, groups).tolist() == [1, 0, 1, 1]
    assert decided(score, "score", {"": 0.5}, None).tolist() == [0, 0, 1, 1]
    assert decided(score, "score", {}, None).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("groups", [None, np.array(["a", "c"])], ids=["none", "unknown"])
def test_a_sample_without_a_threshold_is_refused(groups) -> None:
    with pytest.raises(ModelFolderError, match="`groups` must name the group of each sample"):
        decided(np.array([0.2, 0.8]), "score", {"a": 0.3, "b": 0.5}, groups)


def test_gaps_between_groups_are_those_of_the_decisions() -> None:
    score, labels = np.array([0.9, 0.9, 0.1, 0.9]), np.array([1, 1, 1, 1])
    found = quality(score, labels, "score", {}, np.array(["a", "a", "b", "b"]), "rows")
    assert found["accuracy"].value == 0.75
    assert found["worst_group_accuracy"].value == 0.5
    assert found["demographic_parity_difference"].value == 0.5


def test_values_are_judged_by_their_error() -> None:
    found = quality(np.array([1.0, 2.0]), np.array([1.5, 2.5]), "values", {}, None, "rows")
    assert found["mean_absolute_error"].value == 0.5

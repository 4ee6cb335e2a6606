"""A predictor learns to rank architectures from few labels."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from evo_moo import Integer
from evo_moo.errors import MetricError
from evo_moo.space import SearchSpace
from evo_moo.toolkit.modnas.decisions import Decisions
from evo_moo.toolkit.modnas.predictor import fit_ensemble

SPACE = SearchSpace({name: Integer(0, 4) for name in "abc"})
DECISIONS = Decisions(SPACE)
X = DECISIONS.all_rows()
ONE_HOTS, VALUES = DECISIONS.one_hots(X), 50 + 10 * (X[:, 0] - X[:, 1] * (X[:, 2] > 1))
KNOWN = np.random.default_rng(0).permutation(len(X))[:60]


def test_few_labels_rank_the_others() -> None:
    ensemble = fit_ensemble(ONE_HOTS[KNOWN], VALUES[KNOWN], seed=0, steps=150)
    others = np.setdiff1d(np.arange(len(X)), KNOWN)
    predicted = ensemble(ONE_HOTS[others]).numpy()
    assert spearmanr(predicted, VALUES[others]).statistic > 0.9
    assert abs(predicted.mean() - VALUES[others].mean()) < 5


def test_an_ensemble_is_frozen_but_has_a_gradient() -> None:
    ensemble = fit_ensemble(ONE_HOTS[KNOWN], VALUES[KNOWN], seed=0, steps=5)
    soft = torch.full((1, 15), 0.2, requires_grad=True)
    ensemble(soft, torch.zeros(10)).sum().backward()
    assert soft.grad is not None
    assert soft.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in ensemble.parameters())


def test_the_seed_decides_an_ensemble() -> None:
    state = torch.get_rng_state()
    one, same, other = (
        fit_ensemble(ONE_HOTS[KNOWN], VALUES[KNOWN], seed=seed, steps=5)(ONE_HOTS) for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_equal_labels_are_predicted_as_such() -> None:
    ensemble = fit_ensemble(ONE_HOTS[KNOWN], np.full(len(KNOWN), 7.0), seed=0, steps=2)
    assert torch.allclose(ensemble(ONE_HOTS), torch.full((len(X),), 7.0))


@pytest.mark.parametrize("values", [[1.0, np.nan], [1.0], []], ids=["nan", "few", "none"])
def test_labels_that_do_not_fit_are_refused(values: list[float]) -> None:
    one_hots = ONE_HOTS[:2] if values else ONE_HOTS[:0]
    with pytest.raises(MetricError, match="one finite label for each architecture, at least one, but"):
        fit_ensemble(one_hots, values, seed=0)

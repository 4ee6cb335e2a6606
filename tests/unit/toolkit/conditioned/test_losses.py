import functools
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from evo_moo.toolkit.conditioned.losses import LOSSES, Batch, Samples, bce, ce, cosmos_objective, eo_rate, robust  # noqa: E402

LOGITS = [2.0, -1.0, 0.5, 3.0, -2.0, 1.0, 0.0, -0.5]
LABELS = [1, 1, 1, 1, 1, 0, 0, 1]
GROUPS = [0, 0, 0, 1, 1, 1, 0, 0]


def batch_of(logits, labels=LABELS, groups=GROUPS):
    outputs = torch.tensor(logits, dtype=torch.float64)
    return Batch(Samples(outputs[:, None], torch.tensor(labels), torch.tensor(groups)), outputs, lambda X: X[:, 0])


def sigmoid(logit):
    return 1 / (1 + math.exp(-logit))


def by_hand(soft, n_first, n_second):
    first = sum(soft(LOGITS[i]) for i in (0, 1, 2, 7))  # positive labels of group 0
    second = sum(soft(LOGITS[i]) for i in (3, 4))
    return abs(first / n_first - second / n_second)


def test_fairness_losses_are_those_computed_by_hand():
    batch = batch_of(LOGITS)
    counts = {"deo_count": lambda z: math.tanh(sigmoid(z)), "deo_count_eq6": lambda z: math.tanh(max(0.0, z))}
    for name, soft in counts.items():
        assert LOSSES[name](batch).item() == pytest.approx(by_hand(soft, 8, 8))
    assert LOSSES["eo_rate"](batch).item() == pytest.approx(by_hand(sigmoid, 4, 2))
    assert eo_rate(batch, 4.0).item() == pytest.approx(by_hand(lambda z: sigmoid(4 * z), 4, 2) / 4)
    first, second = np.mean([sigmoid(LOGITS[i]) for i in (0, 1, 2, 6, 7)]), np.mean([sigmoid(z) for z in (3, -2, 1)])
    assert LOSSES["dp_rate"](batch).item() == pytest.approx(abs(first - second))


def test_counts_and_rates_disagree_on_groups_of_unequal_size():
    batch = batch_of([3.0] * 8, [1] * 8, [0] * 6 + [1] * 2)  # all alike, but three times as many of one group
    assert LOSSES["eo_rate"](batch).item() == pytest.approx(0)
    assert LOSSES["deo_count"](batch).item() > 0.3


def test_rate_losses_without_one_group_count_nothing():
    logits = torch.tensor(LOGITS, requires_grad=True)
    batch = Batch(Samples(logits[:, None], torch.tensor(LABELS), torch.zeros(8)), logits, lambda X: X[:, 0])
    loss = eo_rate(batch)
    assert loss.item() == 0
    assert (torch.autograd.grad(loss, logits)[0] == 0).all()


def test_cross_entropy_takes_one_head_of_several():
    outputs = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(1))
    samples = Samples(outputs, torch.tensor([[0, 2]] * 5), torch.empty(0))
    batch = Batch(samples, outputs, lambda X: X)
    expected = -outputs[:, 1].log_softmax(1)[:, 2].mean()
    assert ce(batch, head=1).item() == pytest.approx(expected.item())
    one = Batch(samples._replace(y=samples.y[:, 1]), outputs[:, 1], lambda X: X)
    assert LOSSES["ce"](one).item() == pytest.approx(expected.item())


def test_robust_loss_is_that_of_the_attacked_inputs():
    batch = batch_of(LOGITS)
    signs = torch.tensor(LABELS) * 2 - 1
    attacked = batch._replace(outputs=batch.outputs - 0.1 * signs)  # of a network that is the identity
    assert robust(batch, epsilon=0.1).item() == pytest.approx(bce(attacked).item())
    assert LOSSES["robust"](batch).item() > bce(batch).item()


@pytest.mark.parametrize("penalty", [0.0, 0.01, 2.0])
def test_the_objective_has_the_gradient_of_its_differences(penalty):
    preference = torch.tensor([0.3, 0.7], dtype=torch.float64)
    losses = torch.tensor([0.4, 0.05], dtype=torch.float64, requires_grad=True)
    r, values = preference.numpy(), losses.detach().numpy()
    cosine = r @ values / (np.linalg.norm(r) * np.linalg.norm(values))
    objective = cosmos_objective(preference, losses, penalty)
    assert objective.item() == pytest.approx(r @ values - penalty * cosine)
    assert torch.autograd.gradcheck(functools.partial(cosmos_objective, preference, penalty=penalty), losses)


def test_the_cosine_may_be_to_another_aim():
    preference, aim, losses = torch.tensor([0.9, 0.1]), torch.tensor([0.1, 0.9]), torch.tensor([1.0, 9.0])
    assert cosmos_objective(preference, losses, 3.0, aim).item() == pytest.approx(0.9 + 0.9 - 3.0)


def test_no_penalty_leaves_the_weighted_sum():
    preference, losses = torch.tensor([0.3, 0.7]), torch.tensor([2.0, 4.0])
    assert cosmos_objective(preference, losses, 0.0) == torch.dot(preference, losses)


def test_losses_of_zero_have_a_finite_gradient():
    losses = torch.zeros(2, requires_grad=True)
    (gradient,) = torch.autograd.grad(cosmos_objective(torch.tensor([0.5, 0.5]), losses, 1.0), losses)
    assert torch.isfinite(gradient).all()

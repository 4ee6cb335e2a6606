import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pymoo.indicators.hv import HV  # noqa: E402

from evo_moo.pareto import hypervolume  # noqa: E402
from evo_moo.toolkit.conditioned import scores  # noqa: E402
from evo_moo.toolkit.conditioned.losses import Samples  # noqa: E402

LABELS, GROUPS = [1, 1, 1, 1, 1, 0, 0, 1], [0, 0, 0, 1, 1, 1, 0, 0]
LOGITS = torch.tensor([[2.0, -1.0, 0.5, 3.0, 2.0, 1.0, 0.0, -0.5], [-1.0] * 8])
SAMPLES = Samples(torch.empty(8, 1), torch.tensor(LABELS), torch.tensor(GROUPS))


def test_hard_scores_are_those_computed_by_hand():
    found = {
        name: getattr(scores, name)(LOGITS, SAMPLES).tolist() for name in ("error", "deo_count", "eo_gap", "dp_gap")
    }
    # Of group 0 two of four positive labels are decided positive, of group 1 both of two; the second ray says no.
    assert found["error"] == pytest.approx([3 / 8, 6 / 8])
    assert found["deo_count"] == pytest.approx([0, 0])
    assert found["eo_gap"] == pytest.approx([0.5, 0])
    assert found["dp_gap"] == pytest.approx([1 - 2 / 5, 0])


def test_cross_entropies_are_those_of_torch():
    found = scores.mean_bce(LOGITS, SAMPLES)
    for logits, value in zip(LOGITS, found, strict=True):
        expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, SAMPLES.y.float())
        assert value.item() == pytest.approx(expected.item())
    outputs = torch.randn(2, 8, 2, 3, generator=torch.Generator().manual_seed(1))
    samples = SAMPLES._replace(y=torch.tensor([[0, 2]] * 8))
    expected = torch.nn.functional.cross_entropy(outputs[1, :, 1], samples.y[:, 1])
    assert scores.mean_ce(outputs, samples, head=1)[1].item() == pytest.approx(expected.item())


def test_means_over_batches_weigh_a_small_last_one_alike():
    halves = [Samples(SAMPLES.X[part], SAMPLES.y[part], SAMPLES.group[part]) for part in (slice(0, 6), slice(6, 8))]
    whole = scores.front_of(LOGITS, SAMPLES, [scores.mean_bce, scores.deo_count], batch_size=6)
    parts = [
        scores.front_of(LOGITS[:, part], samples, [scores.mean_bce, scores.deo_count])
        for part, samples in zip((slice(0, 6), slice(6, 8)), halves, strict=True)
    ]
    assert whole.shape == (2, 2)
    np.testing.assert_allclose(whole, np.mean(parts, axis=0))


def test_hypervolumes_are_those_of_pymoo():
    front = np.random.default_rng(0).uniform(0, 3, (40, 2))  # some beyond the reference point
    assert hypervolume(front, (2, 2)) == pytest.approx(HV(np.array([2.0, 2.0]))(front))
    assert scores.tight_volume(front, (0.5, 2)) == pytest.approx(HV(np.array([0.5, 2.0]))(front))
    assert scores.tight_volume(np.zeros((1, 2)), (0.5, 0.1)) == pytest.approx(1)


def test_width_and_size_of_a_front():
    front = np.array([[0.3, 0.5], [0.4, 0.1], [0.5, 0.2]])
    assert scores.width(front) == pytest.approx(0.2)
    assert scores.n_on_front(front) == 2

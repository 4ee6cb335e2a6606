import numpy as np
import pytest

torch = pytest.importorskip("torch")

from evo_moo.errors import StateError  # noqa: E402
from evo_moo.problem.weights import Weights  # noqa: E402
from evo_moo.toolkit.conditioned.model import ConditionedModel  # noqa: E402
from evo_moo.toolkit.conditioned.networks import ConditionedCNN, ConditionedMLP  # noqa: E402
from evo_moo.toolkit.conditioned.preferences import rays  # noqa: E402

RAYS = rays(2, 5)
METRICS = [{"accuracy": 0.9 - 0.1 * i, "gap": 0.3 - 0.05 * i} for i in range(5)]


def test_the_knob_turns_between_measured_rays():
    model, X = ConditionedModel(ConditionedMLP(4, 2, (6,)), RAYS, METRICS), torch.randn(7, 4)
    at = model.at(0.9)
    np.testing.assert_allclose(at.preference, [0.9, 0.1])
    assert at.metrics == METRICS[0]
    np.testing.assert_array_equal(at.ray, RAYS[0])
    torch.testing.assert_close(at.network(X), model.network(X, torch.tensor([0.9, 0.1])))
    assert model.at([1, 1]).metrics == METRICS[2]
    with pytest.raises(ValueError, match="`preference` must be a share from 0 to 1, or 2 weights"):
        model.at(2)


@pytest.mark.parametrize(
    ("network", "shape"),
    [(ConditionedMLP(4, 2, (6,)), (3, 4)), (ConditionedCNN(12, 2, (2, 3), 4, 3, 1), (3, 1, 12, 12))],
)
def test_a_saved_model_answers_as_before(network, shape, tmp_path):
    ConditionedModel(network, RAYS, METRICS).save(tmp_path / "model")
    loaded, X = ConditionedModel.load(tmp_path / "model"), torch.randn(shape)
    torch.testing.assert_close(loaded.at(0.3).network(X), network(X, torch.tensor([0.3, 0.7])))
    np.testing.assert_array_equal(loaded.rays, RAYS)
    assert loaded.metrics == METRICS


def test_folders_without_a_model_are_refused(tmp_path):
    with pytest.raises(StateError, match="must hold a saved model, but holds none"):
        ConditionedModel.load(tmp_path)
    Weights(own=tmp_path).save({"network": {"kind": "tree"}})
    with pytest.raises(StateError, match="must hold a conditioned model, but holds something else: 'tree'"):
        ConditionedModel.load(tmp_path)

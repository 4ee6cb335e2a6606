import pytest

torch = pytest.importorskip("torch")

from evo_moo.toolkit.conditioned.canvases import canvas_size, two_on_a_canvas  # noqa: E402


def test_canvases_are_those_of_multi_mnist():
    assert canvas_size(28) == 36 and canvas_size(8) == 12


def test_two_images_of_different_classes_lie_on_a_canvas():
    images = torch.arange(1, 7).reshape(6, 1, 1, 1) / 10 * torch.ones(1, 1, 4, 4)
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    X, y, group = two_on_a_canvas(images, labels, 50, seed=1)
    assert X.shape == (50, 1, 6, 6) and y.shape == (50, 2) and len(group) == 0
    assert (y[:, 0] != y[:, 1]).all()
    value = dict(enumerate([{0.1, 0.2, 0.3}, {0.4, 0.5}, {0.6}]))
    for canvas, (first, second) in zip(X[:, 0], y.tolist(), strict=True):
        top_left, bottom_right = round(canvas[0, 0].item(), 1), round(canvas[-1, -1].item(), 1)
        assert top_left in value[first] and bottom_right in value[second]
        assert round(canvas[3, 3].item(), 1) == max(top_left, bottom_right)
        assert canvas[0, -1] == canvas[-1, 0] == 0
    assert torch.equal(X, two_on_a_canvas(images, labels, 50, seed=1).X)
    assert not torch.equal(X, two_on_a_canvas(images, labels, 50, seed=2).X)

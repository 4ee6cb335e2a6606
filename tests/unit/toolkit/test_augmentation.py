import pytest

torch = pytest.importorskip("torch")

from evo_moo.toolkit.augmentation import Augmentation, distorted  # noqa: E402

IMAGES = torch.rand(30, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def test_no_strength_changes_nothing():
    assert torch.equal(Augmentation(0.0, mirror=True)(IMAGES), IMAGES)


def test_augmentation_depends_on_the_seed_and_differs_by_batch():
    first, second, other = Augmentation(1.0, seed=1), Augmentation(1.0, seed=1), Augmentation(1.0, seed=2)
    a, b = first(IMAGES), first(IMAGES)
    assert torch.equal(a, second(IMAGES)) and torch.equal(b, second(IMAGES))
    assert not torch.equal(a, b) and not torch.equal(a, other(IMAGES))


def test_each_image_is_changed_by_itself_and_stays_in_its_range():
    same = IMAGES[:1].expand(20, -1, -1, -1)
    changed = Augmentation(0.8, seed=3)(same)
    assert changed.shape == same.shape and changed.min() >= 0 and changed.max() <= 1
    assert len({tuple(image.flatten().tolist()) for image in changed}) == 20


def test_more_strength_changes_more():
    changes = [(Augmentation(s, seed=0)(IMAGES) - IMAGES).abs().mean().item() for s in (0.05, 0.3, 1.0)]
    assert changes == sorted(changes) and changes[0] < changes[2] / 2


def test_a_spot_moves_by_an_eighth_at_the_most():
    spot = torch.zeros(200, 1, 33, 33)
    spot[:, :, 16, 16] = 1.0
    moved = Augmentation(1.0, seed=0)(spot)
    assert moved.sum((1, 2, 3)).min() > 0.5
    places = torch.arange(33.0) - 16
    for axis in (2, 3):
        mass = moved.sum(tuple({1, 2, 3} - {axis}))
        centre = (mass * places).sum(1) / mass.sum(1)
        assert centre.abs().max() <= 33 / 8 * 1.3 and centre.std() > 1  # zoom and rotation add a little


def test_half_of_the_images_are_mirrored_where_that_is_asked_for():
    left = torch.zeros(400, 1, 16, 16)
    left[..., :5] = 1.0
    for mirror, least, most in ((False, 0, 0), (True, 120, 280)):
        changed = Augmentation(1.0, mirror=mirror, seed=0)(left)
        n_right = (changed[..., 8:].sum((1, 2, 3)) > changed[..., :8].sum((1, 2, 3))).sum().item()
        assert least <= n_right <= most


def test_a_strength_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"`strength` must lie between 0 and 1, but is 1\.5"):
        Augmentation(1.5)


def test_distorted_copies_keep_their_labels():
    images, labels = torch.rand(5, 2, 6, 6), torch.arange(5)
    canvases, repeated = distorted(images, labels, 3, seed=1)
    assert canvases.shape == (15, 2, 10, 10) and torch.equal(repeated, labels.repeat(3))
    assert torch.equal(canvases, distorted(images, labels, 3, seed=1)[0])
    assert len(torch.unique(canvases.flatten(1), dim=0)) == 15

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from evo_moo.toolkit.network_metrics import count_flops, count_parameters  # noqa: E402
from evo_moo.toolkit.networks import BACKBONES, BLOCKS, NORMS, Standardize, backbone, conv_block  # noqa: E402

IMAGES = torch.rand(4, 6, 8, 8)


def block(kind="plain", norm="batch", channels=6, width=10, kernel=3, stride=1):
    return conv_block(kind, channels, width, kernel, stride=stride, norm=norm, activation=nn.ReLU)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", BLOCKS)
def test_every_block_gives_its_width_and_halves_by_its_stride(kind, norm):
    for width, kernel, stride in ((10, 3, 1), (6, 1, 1), (7, 5, 2)):
        out = block(kind, norm, width=width, kernel=kernel, stride=stride)(IMAGES)
        assert out.shape == (4, width, 8 // stride, 8 // stride) and out.min() >= 0


@pytest.mark.parametrize(
    ("kind", "weights"),
    [("plain", 6 * 10 * 9), ("residual", 6 * 10 * 9 + 6 * 10), ("depthwise", 6 * 9 + 6 * 10)],
)
def test_parameters_and_flops_of_a_block_equal_a_hand_count(kind, weights):
    norms = 2 * 10 + (2 * 6 if kind == "depthwise" else 0)
    assert count_parameters(block(kind)) == weights + norms
    assert count_flops(block(kind), IMAGES[:1]) == 2 * 8 * 8 * weights
    halved = 2 * 4 * 4 * weights
    assert count_flops(block(kind, stride=2), IMAGES[:1]) == halved


def test_a_residual_block_passes_its_input_on():
    same = block("residual", channels=6, width=6)
    nn.init.zeros_(same[0].branch[0].weight)
    assert torch.equal(same(IMAGES), IMAGES)


def test_standardised_images_have_no_mean_and_unit_variance():
    std, mean = torch.std_mean(IMAGES, dim=(0, 2, 3))
    out = Standardize(mean, std)(IMAGES)
    assert torch.allclose(out.mean((0, 2, 3)), torch.zeros(6), atol=1e-5)
    assert torch.allclose(out.std((0, 2, 3)), torch.ones(6), atol=1e-4)


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_of_full_width_is_torchvisions_own(name):
    from evo_moo.toolkit.vision import torchvision

    models = torchvision().models
    own = {"resnet18": models.resnet18, "mobilenet_v3": models.mobilenet_v3_small}[name](num_classes=7)
    assert count_parameters(backbone(name, 3, 7)) == count_parameters(own)
    assert count_flops(backbone(name, 3, 7), torch.zeros(1, 3, 32, 32)) == count_flops(own, torch.zeros(1, 3, 32, 32))


@pytest.mark.parametrize("name", BACKBONES)
def test_a_narrow_backbone_is_smaller_and_takes_any_channels(name):
    sizes = [count_parameters(backbone(name, 1, 5, width)) for width in (0.125, 0.25, 0.5)]
    assert sizes == sorted(sizes) and sizes[0] < sizes[2] / 4
    narrow = backbone(name, 1, 5, 0.125)
    out = narrow(torch.rand(2, 1, 32, 32))
    assert out.shape == (2, 5)
    torch.autograd.backward(out.sum())
    assert all(parameter.grad is not None for parameter in narrow.parameters())


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="`kind` must be one of plain, residual, depthwise, but is 'dense'"):
        block("dense")
    with pytest.raises(ValueError, match="`norm` must be one of batch, group, none, but is 'layer'"):
        block(norm="layer")
    with pytest.raises(ValueError, match="`name` must be one of resnet18, mobilenet_v3, but is 'vgg'"):
        backbone("vgg", 3, 10)

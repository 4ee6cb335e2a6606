"""Parts of which image classifiers are made, and torchvision's networks at any width."""

import math
from collections.abc import Callable

from torch import Tensor, nn

from evo_moo.toolkit.checks import require_one_of
from evo_moo.toolkit.vision import torchvision

BLOCKS = ("plain", "residual", "depthwise")
NORMS = ("batch", "group", "none")
BACKBONES = ("resnet18", "mobilenet_v3")
_MOST_GROUPS, _MULTIPLE = 8, 8
Activation = Callable[[], nn.Module]


class Standardize(nn.Module):
    """Subtracts the mean and divides by the standard deviation of each channel.

    As the first layer it leaves the images themselves in [0, 1], where perturbations are defined.

    Args:
        mean: ``(channels,)``.
        std: ``(channels,)``.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.reshape(-1, 1, 1).clone())
        self.register_buffer("std", std.reshape(-1, 1, 1).clone())

    def forward(self, x: Tensor) -> Tensor:
        """Give ``(n, channels, height, width)`` images standardised."""
        return (x - self.mean) / self.std


class Residual(nn.Module):
    """Adds what a branch makes of its input to the input, which a 1 x 1 convolution brings to the same shape.

    He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, equations 1 and 2.

    Args:
        branch: Takes ``channels`` and gives ``width`` channels.
        channels: Channels of the input.
        width: Channels of the output.
        stride: Stride of the branch.
    """

    def __init__(self, branch: nn.Module, channels: int, width: int, stride: int) -> None:
        super().__init__()
        same = channels == width and stride == 1
        self.branch = branch
        self.shortcut = nn.Identity() if same else nn.Conv2d(channels, width, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum, ``(n, width, height, width)``."""
        total: Tensor = self.branch(x) + self.shortcut(x)
        return total


def conv_block(
    kind: str, channels: int, width: int, kernel: int, *, stride: int, norm: str, activation: Activation
) -> nn.Module:
    """Build one block of a convolutional network.

    Args:
        kind: ``"plain"``: a convolution; ``"residual"``: a convolution beside a shortcut; ``"depthwise"``: a
            convolution of each channel by itself and one of 1 x 1 (Howard et al., "MobileNets", 2017, section 3.1).
        channels: Channels of the input.
        width: Channels of the output.
        kernel: Height and width of the kernel; odd.
        stride: Stride of the convolution.
        norm: ``"batch"``, ``"group"`` (in up to 8 groups) or ``"none"``, after every convolution.
        activation: Makes an activation.

    Raises:
        ValueError: ``kind`` or ``norm`` is unknown.
    """
    require_one_of(BLOCKS, kind=kind)
    require_one_of(NORMS, norm=norm)

    def convolution(n_in: int, n_out: int, size: int, step: int, groups: int = 1) -> list[nn.Module]:
        conv = nn.Conv2d(n_in, n_out, size, step, size // 2, groups=groups, bias=norm == "none")
        if norm == "none":
            return [conv]
        return [conv, nn.BatchNorm2d(n_out) if norm == "batch" else nn.GroupNorm(math.gcd(n_out, _MOST_GROUPS), n_out)]

    if kind == "depthwise":
        each = convolution(channels, channels, kernel, stride, groups=channels)
        return nn.Sequential(*each, activation(), *convolution(channels, width, 1, 1), activation())
    branch = nn.Sequential(*convolution(channels, width, kernel, stride))
    if kind == "residual":
        return nn.Sequential(Residual(branch, channels, width, stride), activation())
    return branch.append(activation())


def backbone(name: str, channels: int, n_classes: int, width: float = 1.0) -> nn.Module:
    """Build a torchvision network without weights, as wide as wanted.

    Args:
        name: ``"resnet18"``, or ``"mobilenet_v3"`` (the small one).
        channels: Channels of the images.
        n_classes: Number of classes.
        width: Share of every layer's channels, rounded to a multiple of 8.

    Returns:
        A network that takes ``(n, channels, height, width)`` images, best of at least 32 x 32, and gives
        ``(n, n_classes)`` logits.

    Raises:
        ValueError: The name is unknown.
        ImportError: torchvision is not installed.
    """
    require_one_of(BACKBONES, name=name)
    models = torchvision().models
    model: nn.Module = {"resnet18": models.resnet18, "mobilenet_v3": models.mobilenet_v3_small}[name]()
    fixed = {3: channels, 1000: n_classes}  # of ImageNet

    def scaled(n: int) -> int:
        return fixed.get(n) or max(_MULTIPLE, round(n * width / _MULTIPLE) * _MULTIPLE)

    for parent in list(model.modules()):
        for key, layer in list(parent.named_children()):
            if isinstance(layer, nn.Conv2d | nn.BatchNorm2d | nn.Linear):
                setattr(parent, key, _rebuilt(layer, scaled))
    return model


def _rebuilt(layer: nn.Conv2d | nn.BatchNorm2d | nn.Linear, scaled: Callable[[int], int]) -> nn.Module:
    if isinstance(layer, nn.BatchNorm2d):
        # Statistics at PyTorch's own pace: that of mobilenet_v3 is too slow for a few hundred steps.
        return nn.BatchNorm2d(scaled(layer.num_features))
    if isinstance(layer, nn.Linear):
        return nn.Linear(scaled(layer.in_features), scaled(layer.out_features))
    n_in, n_out = scaled(layer.in_channels), scaled(layer.out_channels)
    groups = n_in if layer.groups > 1 else 1  # only depthwise ones have groups
    settings = (layer.kernel_size, layer.stride, layer.padding, layer.dilation, groups, layer.bias is not None)
    return nn.Conv2d(n_in, n_out, *settings)  # type: ignore[arg-type]

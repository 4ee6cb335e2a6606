"""Random changes of training images, drawn for each image by itself and computed for a whole batch at once."""

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from evo_moo.seeding import seed_for

ROTATION, ZOOM, SHIFT = math.radians(15), 0.1, 0.125
"""The largest changes at full strength: an angle, a share of the size, a share of the width and height."""
MARGIN, NOISE = 2, 0.05
"""Pixels around an image on its canvas, and the standard deviation of the noise of a pixel between 0 and 1."""


class Augmentation:
    """Turns, zooms, shifts and perhaps mirrors images at random, black beyond their edges.

    Args:
        strength: From 0, which changes nothing, to 1.
        mirror: Whether images may be mirrored left to right, half of them at full strength; wrong for digits.
        seed: Seed of the changes.

    Raises:
        ValueError: The strength is out of range.
    """

    def __init__(self, strength: float, *, mirror: bool = False, seed: int = 0) -> None:
        if not 0 <= strength <= 1:
            raise ValueError(f"`strength` must lie between 0 and 1, but is {strength!r}")
        self.strength, self.mirror = strength, mirror
        self._generator = torch.Generator().manual_seed(seed_for("augmentation", seed))

    def __call__(self, X: Tensor) -> Tensor:
        """Return changed images of the same shape, ``(n, channels, height, width)``."""
        if self.strength == 0:
            return X
        angle, zoom, right, down = self.strength * (2 * torch.rand(4, len(X), generator=self._generator) - 1)
        cos, sin = (1 + ZOOM * zoom) * torch.cos(ROTATION * angle), torch.sin(ROTATION * angle)
        # The grid's coordinates span 2 from edge to edge.
        rows = (cos, -sin, 2 * SHIFT * right, sin, cos, 2 * SHIFT * down)
        theta = torch.stack(rows, dim=1).reshape(-1, 2, 3)
        if self.mirror:
            mirrored = torch.rand(len(X), generator=self._generator) < self.strength / 2
            theta[mirrored, 0] *= -1
        grid = affine_grid(theta.to(X.device), list(X.shape), align_corners=False)
        return grid_sample(X, grid, padding_mode="zeros", align_corners=False)


def distorted(images: Tensor, labels: Tensor, copies: int, seed: int) -> tuple[Tensor, Tensor]:
    """Place copies of images on canvases, each moved, turned, zoomed and noisy in its own way.

    Args:
        images: ``(n, channels, side, side)``, with values between 0 and 1.
        labels: ``(n,)``.
        copies: Number of copies of each image.
        seed: Seed of the changes.

    Returns:
        Canvases ``(copies * n, channels, side + 4, side + 4)`` and their labels ``(copies * n,)``.
    """
    canvases = Augmentation(1.0, seed=seed)(torch.nn.functional.pad(images.repeat(copies, 1, 1, 1), [MARGIN] * 4))
    noise = torch.randn(canvases.shape, generator=torch.Generator().manual_seed(seed))
    return canvases + NOISE * noise, labels.repeat(copies)

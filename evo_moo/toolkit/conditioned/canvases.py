"""Two images on one canvas, each with a question of its own: the task of Multi-MNIST."""

import torch
from torch import Tensor

from evo_moo.toolkit.conditioned.losses import Samples

MOST_SHIFT = 8


def canvas_size(side: int) -> int:
    """Return height and width of the canvas for images of height and width ``side``: 36 for 28, 12 for 8."""
    return side + min(MOST_SHIFT, side // 2)


def two_on_a_canvas(images: Tensor, labels: Tensor, n: int, seed: int) -> Samples:
    """Draw pairs of images of different classes, one at the top left and one at the bottom right of a canvas.

    Where they overlap, the brighter pixel counts: as in Sabour et al., "Dynamic Routing Between Capsules", NeurIPS
    2017. Pairs for training and for judging must be drawn from disjoint images.

    Args:
        images: ``(n_images, 1, side, side)`` from 0 to 1.
        labels: ``(n_images,)``, of at least two classes.
        n: Number of pairs.
        seed: Seed of the draws.

    Returns:
        Canvases ``(n, 1, size, size)`` of ``canvas_size``, and labels ``(n, 2)``: top left, bottom right.
    """
    draw = torch.Generator().manual_seed(seed)
    first, second = (torch.randint(len(labels), (n,), generator=draw) for _ in range(2))
    while len(alike := (labels[first] == labels[second]).nonzero()[:, 0]):
        second[alike] = torch.randint(len(labels), (len(alike),), generator=draw)
    side = images.shape[-1]
    canvases = images.new_zeros(n, 1, canvas_size(side), canvas_size(side))
    canvases[:, :, :side, :side] = images[first]
    corner = canvases[:, :, -side:, -side:]
    torch.maximum(corner, images[second], out=corner)
    return Samples(canvases, torch.stack([labels[first], labels[second]], dim=1), labels.new_empty(0))

"""What is chosen of a network after its training, for those who count without torch."""

import math

PRECISIONS = ("float32", "float16", "int8", "int8_dynamic")
"""In which a network can be served; ``served_model`` says what they are."""


def n_kept(n_channels: int, share: float, n_parts: int = 1) -> int:
    """Return how many of a layer's channels ``without_channels`` keeps when about that share of them goes.

    A multiple of 8, or of 4 in layers of fewer than 32: runtimes compute so many at a time, and ONNX Runtime was seen
    to take three times as long for 22 channels as for 24. Layers of fewer than 8 are cut as finely as they can be.

    Args:
        n_channels: Number of channels of the whole layer.
        share: Share that goes, in ``[0, 1)``.
        n_parts: Number of parts of the layer that keep as many channels each.
    """
    if share == 0:
        return n_channels
    multiple = math.lcm(8 if n_channels >= 32 else 4 if n_channels >= 8 else 1, n_parts)
    return min(n_channels, multiple * max(1, round(n_channels * (1 - share) / multiple)))

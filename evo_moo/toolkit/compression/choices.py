"""What is chosen of a network after its training, for those who count without torch."""

PRECISIONS = ("float32", "float16", "int8", "int8_dynamic")
"""In which a network can be served; ``served_model`` says what they are."""


def n_kept(n_channels: int, share: float) -> int:
    """Return how many of a layer's channels ``without_channels`` keeps when that share of them goes."""
    return max(1, round(n_channels * (1 - share)))

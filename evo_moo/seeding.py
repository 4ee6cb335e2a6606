"""Seeds of evaluations, derived and never drawn, so that scheduling cannot change a result."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def evaluation_seed(run_seed: int, configuration: Mapping[str, Any], replicate: int = 0) -> int:
    """Return the seed of one evaluation: the same arguments always give the same seed.

    It is the same on all rungs, since a promoted training is the same training that goes on.

    Args:
        run_seed: The seed of the run.
        configuration: The configuration; the order of its keys does not matter.
        replicate: Number of the replicate.

    Returns:
        An integer in ``[0, 2**32)``, the range that NumPy, PyTorch and scikit-learn all take.
    """
    key = json.dumps([run_seed, configuration, None, replicate], sort_keys=True, separators=(",", ":"))
    return _digest(key)


def seed_for(purpose: str, seed: int) -> int:
    """Return a seed of its own for one purpose, so that its draws are not those of another with the same seed.

    Returns:
        An integer in ``[0, 2**32)``.
    """
    return _digest(f"{purpose} {seed}")


def _digest(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=4).digest(), "big")

"""Read-out: the architectures of a device along the rays of preferences, without any training."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from evo_moo.pareto import rank_and_crowding
from evo_moo.seeding import seed_for
from evo_moo.toolkit.checks import require_at_least_one
from evo_moo.toolkit.conditioned.preferences import rays
from evo_moo.toolkit.modnas.decisions import Decisions
from evo_moo.toolkit.modnas.losses import Loss
from evo_moo.toolkit.modnas.samplers import hard

Array = npt.NDArray[np.float64]
N_RAYS = 24
OUTERMOST = 1e-6
"""Angle between the outermost of two-dimensional rays and the axes, as published."""
AT_ONCE = 65_536


class ReadOut(NamedTuple):
    """Architectures that a hypernetwork recommends.

    Attributes:
        preferences: ``(n, n_objectives)`` preferences that they were read at.
        X: ``(n, n_var)`` canonical rows of the space; several preferences may share one.
    """

    preferences: Array
    X: Array

    @property
    def unique(self) -> Array:
        """The different rows, in the order of their first preference."""
        _, first = np.unique(self.X, axis=0, return_index=True)
        return np.asarray(self.X[np.sort(first)])

    @property
    def n_unique(self) -> int:
        """Number of different architectures, often much less than that of preferences."""
        return len(self.unique)


def read_out(
    hypernetwork: nn.Module, decisions: Decisions, features: Tensor, preferences: Array | None = None
) -> ReadOut:
    """Return the architecture of the largest logits for each preference.

    Args:
        hypernetwork: The hypernetwork.
        decisions: The decisions of the space.
        features: ``(n_features,)`` features of a device, known to the search or not.
        preferences: ``(n, n_objectives)`` weights that sum to 1, by default 24 rays of two objectives.
    """
    preferences = rays(2, N_RAYS, OUTERMOST) if preferences is None else preferences
    X = decisions.rows(_logits(hypernetwork, features, preferences))
    allowed = decisions.space.allowed(X)
    return ReadOut(preferences[allowed], X[allowed])


def sampled_read_out(
    hypernetwork: nn.Module,
    decisions: Decisions,
    losses: Sequence[Loss],
    features: Tensor,
    preferences: Array | None = None,
    *,
    n: int = N_RAYS,
    n_samples: int = 16,
    only_front: bool = True,
    seed: int = 0,
) -> ReadOut:
    """Return the best by the losses of many architectures, drawn for each preference; better than ``read_out``.

    Args:
        hypernetwork: The hypernetwork.
        decisions: The decisions of the space.
        losses: One for each objective; they need no gradient.
        features: ``(n_features,)`` features of a device.
        preferences: ``(n, n_objectives)`` weights that sum to 1, by default 24 rays of two objectives.
        n: The most architectures to return.
        n_samples: Number of draws for each preference, beside the largest logits.
        only_front: Leaves out what another one dominates by the losses, even if fewer than ``n`` remain.
        seed: Seed of the draws.

    Returns:
        Different architectures, the best first: ranks of non-domination, then those with most room around them.
    """
    require_at_least_one(n=n, n_samples=n_samples)
    best = read_out(hypernetwork, decisions, features, preferences)
    logits = _logits(hypernetwork, features, best.preferences)
    draw = functools.partial(hard, generator=torch.Generator().manual_seed(seed_for("read-out", seed)))
    drawn = decisions.rows(decisions.sample(logits.repeat_interleave(n_samples, dim=0), draw))
    _, first = np.unique(X := np.concatenate([best.X, drawn]), axis=0, return_index=True)
    first = np.sort(first)[decisions.space.allowed(X[np.sort(first)])]
    kept = first[best_rows(predicted(decisions, X[first], losses, features), n, only_front=only_front)]
    of_ray = np.concatenate([np.arange(len(best.X)), np.repeat(np.arange(len(best.X)), n_samples)])
    return ReadOut(best.preferences[of_ray[kept]], X[kept])


def best_rows(F: Array, n: int = N_RAYS, *, only_front: bool = True) -> npt.NDArray[np.int64]:
    """Return the numbers of the best rows of losses ``(m, n_losses)``.

    Without any hypernetwork it ranks what can be listed: all of a space (``Decisions.all_rows``) or a large sample.

    Args:
        F: ``(m, n_losses)`` losses, as ``predicted`` gives them.
        n: The most rows to return.
        only_front: Leaves out what another row dominates, even if fewer than ``n`` remain.

    Returns:
        Numbers of at most ``n`` rows, the best first: ranks of non-domination, then those with most room around them.
    """
    keys = rank_and_crowding(F, np.zeros(len(F)))
    order = sorted(range(len(F)), key=keys.__getitem__)[:n]
    return np.array([row for row in order if not only_front or keys[row][0] == 0], dtype=np.int64)


def predicted(decisions: Decisions, X: Array, losses: Sequence[Loss], features: Tensor) -> Array:
    """Return the losses ``(n, n_losses)`` of rows ``(n, n_var)`` on a device of some features."""
    with torch.no_grad():
        parts = [
            torch.stack([loss(one_hots, features) for loss in losses], dim=1)
            for one_hots in decisions.one_hots(X).split(AT_ONCE)
        ]
    return np.asarray(torch.cat(parts).double().numpy())


def _logits(hypernetwork: nn.Module, features: Tensor, preferences: Array) -> Tensor:
    with torch.no_grad():
        logits: Tensor = hypernetwork(torch.as_tensor(preferences, dtype=torch.float32), features)
    return logits

"""Architectures as vectors of decisions, each a one-hot over a few options, made from a search space."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from evo_moo.space import Configuration, SearchSpace

Array = npt.NDArray[np.float64]
PADDED = -1e9
"""Logit of an option that is none: its probability is exactly 0."""
MOST_ROWS = 1_000_000


class Decisions:
    """The decisions of a space: one for each variable, with one option for each value.

    A decision that does not exist in a configuration, by its ``when``, has zeros in all columns: so is the canonical
    form of one-hots. Soft one-hots are gated alike, and through the gate a loss feels what switches a decision off.

    Attributes:
        space: The search space.
        sizes: Number of options of each decision, in the order of the space's columns.
        n_columns: Number of columns of the one-hots, the sum of the sizes.
        n_combinations: Number of combinations of options, the product of the sizes.
    """

    def __init__(self, space: SearchSpace) -> None:
        """Lay out the columns.

        Raises:
            ValueError: A variable has no finite number of values.
        """
        if several := [f"`{name}`" for name in space.layout.compounds]:
            raise ValueError(
                f"decisions must be variables of one value each, but {', '.join(several)} have several parts; "
                "declare a Choice or a Boolean for each part instead"
            )
        if continuous := [f"`{name}`" for name, grid in zip(space.names, space.grid, strict=True) if not grid]:
            raise ValueError(
                f"decisions must have finitely many values, but {', '.join(continuous)} are real; "
                "declare a Choice of a few values instead"
            )
        if moving := [f"`{name}`" for name, kind in space.variables.items() if kind.named]:
            raise ValueError(
                f"bounds of decisions must be numbers, but {', '.join(moving)} name variables; write numbers"
            )
        if either := [f"`{name}`" for name, kind in space.variables.items() if len(kind.alternatives) > 1]:
            raise ValueError(
                f"conditions of decisions must not have alternatives, but {', '.join(either)} have some; "
                "declare a variable for each"
            )
        self.space = space
        self.sizes = [int(size) for size in space.high - space.low + 1]
        self.n_columns, self.n_combinations = sum(self.sizes), math.prod(self.sizes)
        options = torch.arange(max(self.sizes))
        self._exists = options < torch.tensor(self.sizes)[:, None]
        self._needs = {
            column: {
                ancestor: [
                    code - int(space.low[ancestor]) for low, high in region for code in range(int(low), int(high) + 1)
                ]
                for ancestor, region in needed.items()
            }
            for column in range(space.n_var)
            if (needed := space.needed(column))
        }

    def __repr__(self) -> str:
        return f"Decisions({', '.join(f'{n}: {s}' for n, s in zip(self.space.names, self.sizes, strict=True))})"

    def canonical(self, one_hots: Tensor) -> Tensor:
        """Return ``(n, n_columns)`` one-hots, soft ones too, times what lets each decision exist; differentiable."""
        if not self._needs:
            return one_hots
        blocks = one_hots.split(self.sizes, dim=1)
        gated = list(blocks)
        for column, needed in self._needs.items():
            for ancestor, options in needed.items():
                gated[column] = gated[column] * blocks[ancestor][:, options].sum(dim=1, keepdim=True)
        return torch.cat(gated, dim=1)

    def sample(self, logits: Tensor, draw: Callable[[Tensor], Tensor]) -> Tensor:
        """Draw an option of each decision.

        Args:
            logits: ``(n, n_columns)`` logits.
            draw: A sampler: takes logits ``(n, n_decisions, n_options)``, returns as many one-hots. Options that are
                none have the logit -1e9.

        Returns:
            ``(n, n_columns)`` canonical one-hots.
        """
        return self.canonical(draw(self._padded(logits))[:, self._exists])

    def entropy(self, logits: Tensor) -> Tensor:
        """Return the entropy of each decision, ``(n, n_decisions)``, in nats, of logits ``(n, n_columns)``."""
        padded = self._padded(logits)
        return -(padded.softmax(dim=-1) * padded.log_softmax(dim=-1)).sum(dim=-1)

    def one_hots(self, X: npt.ArrayLike) -> Tensor:
        """Return the canonical one-hots ``(n, n_columns)`` of rows ``(n, n_var)`` of the space."""
        options = torch.as_tensor(self.space.codes(X) - self.space.low).long()
        columns = options + torch.tensor(np.cumsum([0, *self.sizes[:-1]]))
        return self.canonical(torch.zeros(len(options), self.n_columns).scatter_(1, columns, 1.0))

    def rows(self, scores: Tensor) -> Array:
        """Return the canonical rows ``(n, n_var)`` of the options that have the highest scores.

        Args:
            scores: ``(n, n_columns)`` logits or one-hots, soft ones too; of equal scores the first counts.
        """
        options = [block.argmax(dim=1) for block in scores.detach().split(self.sizes, dim=1)]
        codes = torch.stack(options, dim=1).numpy() + self.space.low
        return self.space.canonical(self.space.columns(codes))

    def encode(self, configurations: Sequence[Mapping[str, Any]]) -> Tensor:
        """Return the canonical one-hots ``(n, n_columns)`` of configurations.

        Raises:
            SpaceError: A configuration is none of the space.
        """
        return self.one_hots(self.space.encode(configurations))

    def decode(self, scores: Tensor) -> list[Configuration]:
        """Return the configurations of ``(n, n_columns)`` logits or one-hots, as ``rows`` does."""
        return self.space.decode(self.rows(scores))

    def all_rows(self) -> Array:
        """Return the canonical rows ``(n, n_var)`` of all allowed configurations.

        Raises:
            ValueError: There are more than a million combinations of options.
        """
        if self.n_combinations > MOST_ROWS:
            rule = f"a space to enumerate must have at most {MOST_ROWS:,} combinations"
            raise ValueError(f"{rule}, but has {self.n_combinations:,}")
        codes = np.indices(self.sizes).reshape(len(self.sizes), -1).T + self.space.low
        X = np.unique(self.space.canonical(self.space.columns(codes)), axis=0)
        return X[self.space.allowed(X)]

    def _padded(self, logits: Tensor) -> Tensor:
        padded = logits.new_full((len(logits), *self._exists.shape), PADDED)
        padded[:, self._exists] = logits
        return padded

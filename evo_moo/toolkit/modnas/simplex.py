"""Knots on the simplex of preferences, and the weights that interpolate between them."""

import itertools

import torch
from torch import Tensor


class Lattice:
    """The points of the simplex whose coordinates are multiples of ``1 / n_partitions``.

    Das and Dennis, "Normal-Boundary Intersection", SIAM Journal on Optimization 8, 1998. Between them lie the simplices
    of Freudenthal's triangulation, in each of which a function is interpolated linearly (Kuhn, "Some combinatorial
    lemmas in topology", IBM Journal 4, 1960).

    Attributes:
        knots: ``(n_knots, n_objectives)`` points; rows sum to 1.
    """

    def __init__(self, n_objectives: int, n_partitions: int) -> None:
        """List the knots.

        Raises:
            ValueError: There is one objective or no partition.
        """
        for name, value, least in (("n_objectives", n_objectives, 2), ("n_partitions", n_partitions, 1)):
            if value < least:
                raise ValueError(f"`{name}` must be at least {least}, but is {value}")
        self._n = n_partitions
        # A point of the lattice by its running sums, which never fall: n_objectives - 1 of them, the last is known.
        sums = torch.tensor(list(itertools.combinations_with_replacement(range(n_partitions + 1), n_objectives - 1)))
        ends = torch.cat([torch.zeros(len(sums), 1), sums, torch.full((len(sums), 1), float(n_partitions))], dim=1)
        self.knots = ends.diff(dim=1) / n_partitions
        self._strides = (n_partitions + 1) ** torch.arange(n_objectives - 2, -1, -1)
        self._knot_at = torch.zeros((n_partitions + 1) ** (n_objectives - 1), dtype=torch.long)
        self._knot_at[(sums * self._strides).sum(dim=1)] = torch.arange(len(sums))

    def weights(self, preferences: Tensor) -> Tensor:
        """Return the ``(n, n_knots)`` barycentric weights of ``(n, n_objectives)`` preferences.

        At most ``n_objectives`` weights of a row are not 0, and rows sum to 1; at a knot one weight is 1.
        """
        sums = (preferences.double().cumsum(dim=1)[:, :-1] * self._n).clamp(0, self._n)
        below = sums.floor().clamp(max=self._n - 1)
        beyond = sums - below
        # From the corner below, the coordinate that is farthest along goes up first; of equal ones the last, so that
        # running sums never fall.
        order = beyond.flip(1).argsort(dim=1, descending=True, stable=True)
        order = beyond.shape[1] - 1 - order
        parts = torch.cat([torch.ones(len(sums), 1), beyond.gather(1, order), torch.zeros(len(sums), 1)], dim=1)
        ups = torch.nn.functional.one_hot(order, beyond.shape[1]).cumsum(dim=1)
        corners = below.long()[:, None] + torch.cat([torch.zeros_like(ups[:, :1]), ups], dim=1)
        knots = self._knot_at[(corners * self._strides).sum(dim=2)]
        weights = torch.zeros(len(sums), len(self.knots), dtype=torch.float64)
        return weights.scatter_add_(1, knots, -parts.diff(dim=1)).to(preferences.dtype)

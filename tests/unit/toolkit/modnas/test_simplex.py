"""Interpolation between the knots of a lattice on the simplex."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evo_moo.toolkit.modnas.simplex import Lattice

LATTICES = {(j, p): Lattice(j, p) for j in (2, 3, 4) for p in (1, 2, 5)}


@pytest.mark.parametrize(("n_objectives", "n_partitions"), LATTICES)
def test_knots_are_all_points_of_das_and_dennis(n_objectives: int, n_partitions: int) -> None:
    knots = LATTICES[n_objectives, n_partitions].knots
    assert len(knots.unique(dim=0)) == len(knots) == math.comb(n_partitions + n_objectives - 1, n_objectives - 1)
    assert (knots >= 0).all()
    assert torch.allclose(knots.sum(dim=1), torch.ones(len(knots)))


@pytest.mark.parametrize("lattice", LATTICES.values(), ids=map(str, LATTICES))
def test_a_knot_has_all_weight_at_its_place(lattice: Lattice) -> None:
    assert torch.allclose(lattice.weights(lattice.knots), torch.eye(len(lattice.knots)), atol=1e-5)


@given(st.sampled_from(sorted(LATTICES)), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_weights_are_barycentric(key: tuple[int, int], seed: int) -> None:
    lattice, generator = LATTICES[key], torch.Generator().manual_seed(seed)
    preferences = torch.rand(20, key[0], generator=generator) * (torch.rand(20, key[0], generator=generator) > 0.3)
    preferences = preferences + (preferences.sum(dim=1, keepdim=True) == 0)
    preferences /= preferences.sum(dim=1, keepdim=True)
    weights = lattice.weights(preferences)
    assert (weights >= 0).all()
    assert torch.allclose(weights.sum(dim=1), torch.ones(20))
    assert torch.allclose(weights @ lattice.knots, preferences, atol=1e-5)
    assert ((weights > 1e-6).sum(dim=1) <= key[0]).all()
    # Only knots less than a partition away take part.
    distance = (preferences[:, None] - lattice.knots).abs().amax(dim=2)
    assert not weights[distance > 1 / key[1] + 1e-5].any()


@pytest.mark.parametrize(("arguments", "name"), [((1, 4), "n_objectives"), ((2, 0), "n_partitions")])
def test_a_lattice_needs_objectives_and_partitions(arguments: tuple[int, int], name: str) -> None:
    with pytest.raises(ValueError, match=f"`{name}` must be at least"):
        Lattice(*arguments)

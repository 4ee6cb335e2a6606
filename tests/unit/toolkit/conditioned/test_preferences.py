import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo_moo.toolkit.conditioned.preferences import as_preference, dirichlet, inverse, rays


@given(n_objectives=st.integers(2, 6), n=st.integers(1, 60))
def test_rays_are_preferences_and_all_different(n_objectives, n):
    found = rays(n_objectives, n)
    assert found.shape[1] == n_objectives and (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert len(np.unique(found.round(9), axis=0)) == len(found)


def test_two_objectives_have_25_rays_by_angles():
    found = rays(2)
    assert len(found) == 25
    np.testing.assert_allclose(found[0], [0.909, 0.091], atol=5e-4)
    np.testing.assert_allclose(found[::-1, ::-1], found)
    angles = np.arctan2(found[:, 1], found[:, 0])
    np.testing.assert_allclose(np.diff(angles), angles[1] - angles[0])


def test_more_objectives_have_about_as_many_rays_as_asked():
    assert abs(len(rays(3, 100)) - 100) <= 10
    assert len(rays(4, 35)) == 35 and len(rays(4, 34)) == 20


def test_random_preferences_follow_seed_and_concentration():
    def drawn(alpha, seed):
        draw = dirichlet(alpha, 2, seed)
        return np.array([draw() for _ in range(2000)])

    first = drawn([0.1, 0.5], 1)
    assert (first == drawn([0.1, 0.5], 1)).all() and (first != drawn([0.1, 0.5], 2)).any()
    np.testing.assert_allclose(first.sum(axis=1), 1)
    np.testing.assert_allclose(first.mean(axis=0), [1 / 6, 5 / 6], atol=0.03)  # so 0.1 means few at that corner
    assert drawn(0.2, 1).std() > drawn(5.0, 1).std()


@pytest.mark.parametrize("alpha", [0, -1.0, [0.5], [0.5, 0.0]])
def test_wrong_concentrations_are_refused(alpha):
    with pytest.raises(ValueError, match="`alpha` must be one number above 0, or one for each of 2 losses, but is"):
        dirichlet(alpha, 2, 1)


def test_a_preference_has_any_unit():
    np.testing.assert_allclose(as_preference(0.25, 2), [0.25, 0.75])
    np.testing.assert_allclose(as_preference([1, 3], 2), [0.25, 0.75])
    np.testing.assert_allclose(as_preference([2, 1, 1], 3), [0.5, 0.25, 0.25])


@pytest.mark.parametrize("preference", [1.5, -0.1, [1, 2, 3], [0, 0], [np.nan, 1], "no"])
def test_wrong_preferences_are_refused(preference):
    with pytest.raises(ValueError, match="`preference` must be a share from 0 to 1, or 2 weights"):
        as_preference(preference, 2)


def test_wrong_numbers_of_rays_are_refused():
    with pytest.raises(ValueError, match="`n_objectives` must be at least 2, but is 1"):
        rays(1)
    with pytest.raises(ValueError, match="`n` must be at least 1, but is 0"):
        rays(2, 0)


def test_the_inverse_makes_weighted_losses_equal():
    np.testing.assert_allclose(inverse(np.array([0.8, 0.2])), [0.2, 0.8])
    weights = np.array([0.5, 0.3, 0.2])
    np.testing.assert_allclose(np.ptp(weights * inverse(weights)), 0, atol=1e-12)
    np.testing.assert_allclose(inverse(np.array([1.0, 0.0])), [0, 1], atol=1e-5)

"""Intervals of means over replicates, and the probability of being on the front, given those means."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

LEVEL = 0.95
FEW_MEMBERS = 5
"""Of fewer members, how they lie to each other says nothing of where each of them is."""


def t_interval(mean: Array, sd: Array, n: npt.NDArray[np.int64], level: float = LEVEL) -> tuple[Array, Array]:
    """Return Student's interval of a mean; arguments and both ends are arrays that broadcast, NaN where ``n`` < 2.

    Args:
        mean: Means of the replicates.
        sd: Their standard deviations, with ``n - 1`` in the denominator.
        n: Numbers of replicates.
        level: Share of the intervals that hold the true mean, were all of it repeated.
    """
    from scipy.special import stdtrit

    n = np.asarray(n, dtype=float)
    half = np.where(n > 1, stdtrit(np.maximum(n - 1, 1), 0.5 + level / 2) * sd / np.sqrt(np.maximum(n, 1)), np.nan)
    return mean - half, mean + half


def summary_of_rows(values: Array) -> dict[str, Array]:
    """Return ``n``, ``mean``, ``sd`` and the ends ``low`` and ``high`` of the interval of each row, ``(n,)`` arrays.

    Args:
        values: ``(n, n_seeds)`` array; NaN is left out.
    """
    known = ~np.isnan(values)
    n = known.sum(axis=1)
    mean = np.where(n > 0, np.where(known, values, 0.0).sum(axis=1) / np.maximum(n, 1), np.nan)
    squares = np.where(known, (values - mean[:, None]) ** 2, 0.0).sum(axis=1)
    sd = np.where(n > 1, np.sqrt(squares / np.maximum(n - 1, 1)), np.nan)
    # Values that are all the same have no spread; their mean may be off by a rounding.
    same = np.array([bool(here.any()) and np.ptp(row[here]) == 0 for row, here in zip(values, known, strict=True)])
    sd = np.where(same & (n > 1), 0.0, sd)
    low, high = t_interval(mean, sd, n)
    return {"n": n, "mean": mean, "sd": sd, "low": low, "high": high}


def posterior_means(values: Array, n_draws: int, seed: int) -> Array:
    """Draw the true means of all members and metrics together, given their replicates.

    Members of a front lie along it: where there are enough of them, their true means are taken as a sample of one
    normal distribution, whose covariance over the metrics is that of the members' means less what the noise adds to it
    (empirical Bayes: Efron and Morris, "Multivariate empirical Bayes and estimation of covariance matrices", Annals of
    Statistics 4, 1976). Noise is taken as alike for all members, after what a seed does to all of them alike. Without
    that, the same noise counts twice, in the means and in the draws, and members seem dominated that are not.

    Of fewer members, the means have a flat prior: see ``_flat_posterior``.

    Args:
        values: ``(n_members, n_metrics, n_seeds)`` array, NaN where a seed gave nothing; each member has two or more.
        n_draws: Number of draws.
        seed: Decides them.

    Returns:
        ``(n_draws, n_members, n_metrics)`` array.
    """
    if len(values) < FEW_MEMBERS:
        return _flat_posterior(values, n_draws, seed)
    rng = np.random.default_rng(seed)
    there = ~np.isnan(values).any(axis=1, keepdims=True)
    n = there.sum(axis=2)[:, 0]
    mean = np.where(there, values, 0.0).sum(axis=2) / n[:, None]
    deviations = np.where(there, values - mean[:, :, None], 0.0)
    # What a seed does to all members alike changes nothing between them.
    deviations -= np.where(there, deviations.sum(axis=0) / np.maximum(there.sum(axis=0), 1), 0.0)
    df = float((n - 1).sum() * (1 - 1 / len(values)))
    noise = np.einsum("ids,ies->de", deviations, deviations) / df
    between = _positive(np.cov(mean.T).reshape(noise.shape) - noise * (1 / n).mean())
    grand, heavy = mean.mean(axis=0), np.sqrt(df / rng.chisquare(df, n_draws))
    drawn = np.empty((n_draws, *mean.shape))
    for i, (of_member, n_seeds) in enumerate(zip(mean, n, strict=True)):
        weight = between @ np.linalg.pinv(between + noise / n_seeds, hermitian=True)
        root = _root(between - weight @ between)
        normal = rng.standard_normal((n_draws, len(grand))) @ root.T
        drawn[:, i] = grand + weight @ (of_member - grand) + normal * heavy[:, None]
    return drawn


def _root(covariance: Array) -> Array:
    """Return a square root of the nearest covariance matrix, which has no negative eigenvalues; it may be singular."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def _positive(covariance: Array) -> Array:
    """Return the nearest covariance matrix, without negative eigenvalues."""
    root = _root(covariance)
    return root @ root.T


def _flat_posterior(values: Array, n_draws: int, seed: int) -> Array:
    """Draw the true means of few members, without a notion of where they lie; as ``posterior_means``.

    The stacked means of normal data have, under the prior ``|Sigma|^-D`` over all ``D`` of them, a multivariate
    Student posterior with ``n - 1`` degrees of freedom around the sample means, with the scale ``S / n`` (Geisser and
    Cornfield, "Posterior distributions for multivariate normal parameters", Journal of the Royal Statistical Society
    B 25, 1963). So each mean alone has the posterior of Gelman et al., "Bayesian Data Analysis", 3rd edition, section
    3.2, whose central intervals are Student's, and each difference of two members that of the paired t-test: members
    are trained with the same seeds, and what these do to all of them alike cancels. A draw of the normal with
    covariance ``S`` is a combination of the deviations of the replicates, with independent standard normal weights.
    """
    from scipy.special import chdtri

    rng = np.random.default_rng(seed)
    there = ~np.isnan(values).any(axis=1, keepdims=True)
    n = there.sum(axis=2)[:, :, None]
    mean = np.where(there, values, 0.0).sum(axis=2, keepdims=True) / n
    scaled = np.where(there, values - mean, 0.0) / np.sqrt(n * (n - 1))
    normal = np.tensordot(rng.standard_normal((n_draws, values.shape[2])), scaled, axes=(1, 2))
    # One uniform number for all: with equal degrees of freedom it is one chi-squared, as a multivariate t has it.
    df = (n[:, :, 0] - 1).astype(float)
    heavy = np.sqrt(df / chdtri(df, rng.uniform(size=(n_draws, 1, 1))))
    return np.asarray(mean[:, :, 0] + normal * heavy)


def nondominated_share(F: Array, violation: Array) -> Array:
    """Return how often each member is on the Pareto front, over many draws of all members.

    As in ``pareto.pareto_rows``: a member that exceeds limits more than another is never on it.

    Args:
        F: ``(n_draws, n, n_obj)`` array, minimised.
        violation: ``(n_draws, n)`` array of total violations, 0 when feasible.

    Returns:
        ``(n,)`` shares of the draws.
    """
    on_front = violation <= violation.min(axis=1, keepdims=True)
    F = np.where(on_front[:, :, None], F, np.inf)
    shares = np.empty(F.shape[1])
    for i in range(F.shape[1]):
        one = F[:, i : i + 1]
        dominators = np.logical_and((one >= F).all(axis=2), (one > F).any(axis=2))
        shares[i] = (on_front[:, i] & ~dominators.any(axis=1)).mean()
    return shares

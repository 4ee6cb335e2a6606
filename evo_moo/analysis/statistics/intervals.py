"""Intervals of means over replicates, and the probability of being on the front, given those means."""

import warnings

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

LEVEL = 0.95


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


def bootstrap_interval(
    samples: tuple[Array, ...], level: float = LEVEL, seed: int = 0, n_resamples: int = 4999
) -> tuple[float, float] | None:
    """Return the bootstrap's interval of a mean, or of the first sample's mean less the second's.

    Bias-corrected and accelerated (Efron 1987); the percentiles where those corrections are undefined.

    Args:
        samples: One or two arrays ``(n,)`` of independent values.
        level: As for ``t_interval``.
        seed: Decides the resamples.
        n_resamples: Their number.

    Returns:
        None where a sample has fewer than two values, or all are the same.
    """
    from scipy.stats import bootstrap

    if min(map(len, samples)) < 2 or not any(np.ptp(sample) > 0 for sample in samples):
        return None
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # of undefined corrections
            interval = bootstrap(
                samples,
                lambda *parts, axis: parts[0].mean(axis=axis) - (parts[1].mean(axis=axis) if len(parts) > 1 else 0.0),
                n_resamples=n_resamples,
                confidence_level=level,
                method=method,
                rng=np.random.default_rng(seed),
            ).confidence_interval
        if np.isfinite(interval).all():
            return float(interval.low), float(interval.high)
    return None


def posterior_means(values: Array, n_draws: int, seed: int) -> Array:
    """Draw the true means of all members and metrics together, given their replicates.

    The stacked means of normal data have, under the prior ``|Sigma|^-D`` over all ``D`` of them, a multivariate
    Student posterior with ``n - 1`` degrees of freedom around the sample means, with the scale ``S / n`` (Geisser and
    Cornfield, "Posterior distributions for multivariate normal parameters", Journal of the Royal Statistical Society
    B 25, 1963). So each mean alone has the posterior of Gelman et al., "Bayesian Data Analysis", 3rd edition, section
    3.2, whose central intervals are Student's, and each difference of two members that of the paired t-test: members
    are trained with the same seeds, and what these do to all of them alike cancels. A draw of the normal with
    covariance ``S`` is a combination of the deviations of the replicates, with independent standard normal weights.

    Args:
        values: ``(n_members, n_metrics, n_seeds)`` array, NaN where a seed gave nothing; each member has two or more.
        n_draws: Number of draws.
        seed: Decides them.

    Returns:
        ``(n_draws, n_members, n_metrics)`` array.
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
